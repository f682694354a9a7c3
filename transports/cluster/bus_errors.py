"""What the users of the bus have to reckon with."""


class BusFull(Exception):
    """A peer does not keep up, or is away: what waits for it reached its limit. Nothing of the message was queued."""


class MessageTooLong(ValueError):
    """A message of our own is longer than any peer would take."""


class NodeUnknown(Exception):
    """No session with a node of that name."""


class NodeGone(Exception):
    """The session of the node ended before it answered."""


class RequestTimedOut(Exception):
    """The node did not answer in time."""


class BusCannotListen(OSError):
    """The head's address and port cannot be had; `errno` says why."""
