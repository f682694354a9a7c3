"""MPI and NCCL, and what the launchers `mpirun` and `mlx.launch` report about ranks."""

from diagnostics.cause import Cause
from diagnostics.signature import Fault, Signature, Strength

_NCCL = "MLX distributed/nccl"
_MPI = "Open MPI (mpirun, PRRTE)"
_LAUNCH = "mlx.launch"


def _reported(  # noqa: PLR0917 - one row of a table
    name: str, statuses: str, signals: str, cause: Cause, message: str, status: int
) -> tuple[Signature, ...]:
    """One way to die, as mlx.launch and as mpirun report it."""
    return (
        Signature(
            id=f"launch.{name}",
            cause=cause,
            keyword="Node with rank",
            pattern=rf"Node with rank (?P<rank>\d+) exited with code -(?:{statuses})\b",
            message=message,
            example=f"[WARN] Node with rank 1 exited with code -{status}",
            source=_LAUNCH,
            native=True,
            any_level=True,
            fatal=False,
            strength=Strength.REPORT,
        ),
        Signature(
            id=f"mpi.{name}",
            cause=cause,
            keyword="noticed that",
            pattern=rf"noticed that process rank (?P<rank>\d+)\b.{{0,160}}exited on signal (?:{signals})\b",
            message=message,
            example="prterun noticed that process rank 1 with PID 6344 on node vm exited on signal "
            f"{signals.split('|', maxsplit=1)[0]} (text).",
            source=_MPI,
            native=True,
            fatal=False,
            strength=Strength.CRASH,
        ),
    )


COLLECTIVES: tuple[Signature, ...] = (
    *_reported("killed", "9", "9", Cause.KILLED_NO_STDERR, "was killed by SIGKILL; its launcher says so", 9),
    *_reported("segfault", "11", "11", Cause.SEGFAULT, "crashed with SIGSEGV; its launcher says so", 11),
    *_reported("bus_error", "7|10", "7|10", Cause.BUS_ERROR, "crashed with SIGBUS; its launcher says so", 7),
    *_reported("aborted", "6", "6", Cause.ABORT_OTHER, "aborted with SIGABRT; its launcher says so", 6),
    Signature(
        id="nccl.error",
        cause=Cause.NCCL_ERROR,
        keyword="NCCL error",
        pattern=r"NCCL error\b.{0,200}",
        message="was ended by an NCCL error",
        example="NCCL error nccl.cpp:112 'unhandled system error'",
        source=_NCCL,
        since="0.29.0",
        native=True,
    ),
    Signature(
        id="nccl.connect",
        cause=Cause.NCCL_ERROR,
        keyword="connect() failed after",
        pattern=r"\[Rank \d+\] connect\(\) failed after",
        message="could not connect to rank 0 to start NCCL",
        example="RuntimeError: [Rank 1] connect() failed after 300000 milliseconds and 600 retries: Connection refused",
        source=_NCCL,
        since="0.29.0",
        fault=Fault.NETWORK,
    ),
    Signature(
        id="nccl.set_up",
        cause=Cause.NCCL_ERROR,
        keyword="nccl",
        pattern=r"Cannot initialize nccl distributed backend|\[nccl\] (?!.{0,20}not supported)\S",
        message="could not start NCCL",
        example="RuntimeError: Cannot initialize nccl distributed backend.",
        source=_NCCL,
        since="0.29.0",
        fault=Fault.CONFIGURATION,
    ),
    Signature(
        id="mpi.init",
        cause=Cause.MPI_ERROR,
        keyword="MPI",
        pattern=r"Cannot initialize MPI|MPI_ABORT was invoked|application called MPI_Abort|MPI_ERR\w+"
        r"|MPI_INIT\w* .{0,20}failed"
        r"|MPI could not split this group",
        message="was ended by an MPI error",
        example="RuntimeError: Cannot initialize MPI",
        source="MLX distributed/mpi; Open MPI",
        since="0.14.0",
        fault=Fault.UNKNOWN,
    ),
    Signature(
        id="mpi.runtime",
        cause=Cause.MPI_ERROR,
        keyword="ERROR",
        pattern=r"PMIX? ERROR\b|\b(?:ORTE|PRTE)_ERROR",
        message="was ended by an error of Open MPI's runtime",
        example="[m1:00812] PMIX ERROR: UNREACHABLE in file ptl_base_connect.c at line 742",
        source=_MPI,
        native=True,
        fault=Fault.UNKNOWN,
    ),
    Signature(
        id="mpi.single",
        cause=Cause.MPI_ERROR,
        keyword="[mpi]",
        pattern=r"\[mpi\] The world has a single process",
        message="was started without mpirun, so MPI has only one process",
        example="RuntimeError: [mpi] The world has a single process. Launch with mpirun to initialize the mpi backend.",
        source="MLX distributed/mpi",
        since="0.32.1",
        fault=Fault.CONFIGURATION,
    ),
    Signature(
        id="mpi.slots",
        cause=Cause.MPI_ERROR,
        keyword="enough slots",
        pattern=r"[Tt]here are not enough slots available",
        message="was not started; mpirun has fewer slots than ranks",
        example="There are not enough slots available in the system to satisfy the 9 slots that were requested",
        source=_MPI,
        native=True,
        fault=Fault.CONFIGURATION,
    ),
    Signature(
        id="mpi.launch",
        cause=Cause.MPI_ERROR,
        keyword="unable to launch",
        pattern=r"(?:mpi|prte|orte)\w* was unable to launch the specified application",
        message="was not started; mpirun could not launch the program",
        example="prterun was unable to launch the specified application as it could not access an executable:",
        source=_MPI,
        native=True,
        fault=Fault.CONFIGURATION,
    ),
)
