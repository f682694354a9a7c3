"""What a node told of its ranks after its hello, while no group of the head owned them yet: the hello as of now."""

import msgspec

from supervisor.cluster.remote_rank import RankMessage
from transports.cluster.handshake import Hello, RunningRank
from transports.cluster.messages import RankDied, RankEvent
from transports.messages import PhaseChanged


def hello_since(hello: Hello, message: RankMessage) -> Hello:
    """Return the hello that the node would say after this; the same one when it changes nothing. Pure."""
    match message:
        case RankDied(certificate=certificate):
            left = tuple(one for one in hello.running if _key(one) != (certificate.generation, certificate.rank))
            if len(left) == len(hello.running):
                return hello
            return msgspec.structs.replace(hello, running=left, deaths=(*hello.deaths, certificate))
        case RankEvent(generation=generation, rank=rank, event=PhaseChanged(phase=phase)):
            told = tuple(
                msgspec.structs.replace(one, phase=phase) if _key(one) == (generation, rank) else one
                for one in hello.running
            )
            return hello if told == hello.running else msgspec.structs.replace(hello, running=told)
        case _:
            return hello


def _key(one: RunningRank) -> tuple[int, int]:
    return one.generation, one.rank
