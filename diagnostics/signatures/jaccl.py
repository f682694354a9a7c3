"""JACCL (RDMA over Thunderbolt): everything before the queue pairs work is set-up, the rest is transport."""

from diagnostics.cause import Cause
from diagnostics.signature import Fault, Signature

_SOURCE = "MLX distributed/jaccl (0.30.1 and later)"

JACCL: tuple[Signature, ...] = (
    Signature(
        id="jaccl.peer_lost",
        cause=Cause.JACCL_TRANSPORT,
        keyword="failed with errno=",
        pattern=r"(?:\[jaccl\] ?)?(?P<way>Send|Recv) failed with errno=(?P<errno>\d+)",
        message="lost the JACCL coordinator's connection; MLX reported errno={errno}, which is stale when the peer "
        "merely closed",
        example="RuntimeError: [jaccl] Recv failed with errno=2",
        source=_SOURCE,
        since="0.30.1",
        symptom=True,
        fault=Fault.PEER,
    ),
    Signature(
        id="jaccl.work_request",
        cause=Cause.JACCL_TRANSPORT,
        keyword="failed with error code",
        pattern=r"(?:\[jaccl\] ?)?(?:Send|Recv) failed with error code (?P<code>-?\d+)",
        message="could not post work to its RDMA queue pair; the driver answered {code}",
        example="RuntimeError: [jaccl] Send failed with error code 12",
        source=_SOURCE,
        since="0.30.1",
    ),
    Signature(
        id="jaccl.not_built",
        cause=Cause.JACCL_INIT_FAILED,
        keyword="jaccl distributed",
        pattern=r"Cannot initialize jaccl distributed backend",
        message="could not start JACCL; this MLX is built without it or RDMA is off",
        example="RuntimeError: Cannot initialize jaccl distributed backend.",
        source=_SOURCE,
        since="0.30.1",
        fault=Fault.CONFIGURATION,
    ),
    Signature(
        id="jaccl.queue_pair",
        cause=Cause.JACCL_INIT_FAILED,
        keyword="queue pair",
        pattern=r"(?:\[jaccl\] ?)?(?:Changing queue pair to (?:INIT|RTR|RTS) failed with errno \d+"
        r"|Creating the queue pair failed|Couldn't create queue pair)",
        message="could not set up its RDMA queue pair",
        example="RuntimeError: [jaccl] Changing queue pair to RTR failed with errno 96",
        source=_SOURCE,
        since="0.30.1",
        fault=Fault.NETWORK,
    ),
    Signature(
        id="jaccl.set_up",
        cause=Cause.JACCL_INIT_FAILED,
        keyword="[jaccl]",
        pattern=r"\[jaccl\] (?!Connection attempt|Send failed|Recv failed|Group split|sum_scatter|Unsupported dtype"
        r"|In ring mode)(?P<text>\S.{0,120})",
        message="could not set up JACCL; it said: {text}",
        example="RuntimeError: [jaccl] Couldn't allocate protection domain",
        source=_SOURCE,
        since="0.30.1",
        fault=Fault.CONFIGURATION,
    ),
)
