"""What each cause means for a person: title, advice, whether a retry helps, and whose words they are."""

from enum import StrEnum

import msgspec

from diagnostics.cause import Cause


class Locality(StrEnum):
    """Where the fault lies, seen from the rank whose death has this cause."""

    LOCAL = "local"
    """This rank is where the trouble began."""
    PEER = "peer"
    """All that is known is that a peer went away."""
    SUPERVISOR = "supervisor"
    """Ringwarden itself ended the process."""


class CauseFacts(msgspec.Struct, frozen=True):
    """One row: `retryable` means that the same request may succeed once the group is serving again."""

    title: str
    advice: str
    retryable: bool
    locality: Locality = Locality.LOCAL


_PEER = Locality.PEER
_LOOK_AT_PEER = "Look at the other ranks: the one with another last message, or none, is the cause."

CAUSES: dict[Cause, CauseFacts] = {
    Cause.METAL_GPU_TIMEOUT: CauseFacts(
        "GPU timeout",
        "Check that every other rank was alive and fast enough, then lower the prefill step or the batch size.",
        True,
    ),
    Cause.METAL_OUT_OF_MEMORY: CauseFacts(
        "Out of GPU memory",
        "Use a smaller or more strongly quantized model, a shorter context, fewer concurrent requests, or more ranks.",
        True,
    ),
    Cause.METAL_COMMAND_BUFFER_OTHER: CauseFacts(
        "GPU work failed",
        "Restart the runner; if it happens again with the same request, update MLX and macOS or report it to MLX.",
        True,
    ),
    Cause.METAL_MALLOC_LIMIT: CauseFacts(
        "One allocation was too large",
        "Shorten the prompt or lower the prefill step, so that no single array is that large; a retry will not help.",
        False,
    ),
    Cause.METAL_RESOURCE_LIMIT: CauseFacts(
        "Too many GPU buffers",
        "Serve fewer sequences at once and clear prompt caches; a restart frees the buffers.",
        True,
    ),
    Cause.RING_PEER_CLOSED: CauseFacts("A ring peer closed its connection", _LOOK_AT_PEER, True, _PEER),
    Cause.RING_RECV_ERRNO: CauseFacts("Receiving from a ring peer failed", _LOOK_AT_PEER, True, _PEER),
    Cause.RING_SEND_ERRNO: CauseFacts("Sending to a ring peer failed", _LOOK_AT_PEER, True, _PEER),
    Cause.RING_ABORT: CauseFacts("The ring gave up", _LOOK_AT_PEER, True, _PEER),
    Cause.RING_CONNECT_FAILED: CauseFacts(
        "The ring could not be formed",
        "Check that every rank was started, that the hostfile's addresses are right, and that no firewall is between.",
        True,
    ),
    Cause.RING_BIND_FAILED: CauseFacts(
        "A ring address could not be taken",
        "Stop what holds the port (often a runner left over), or correct this rank's address in the hostfile.",
        False,
    ),
    Cause.JACCL_INIT_FAILED: CauseFacts(
        "JACCL could not start",
        "Check with `ibv_devices` that RDMA is enabled, that the device file names this Mac's ports, and the cables.",
        False,
    ),
    Cause.JACCL_TRANSPORT: CauseFacts("The RDMA connection to a peer failed", _LOOK_AT_PEER, True, _PEER),
    Cause.NCCL_ERROR: CauseFacts(
        "NCCL failed",
        "Run again with NCCL_DEBUG=INFO, and check that rank 0 is reachable and the GPUs and drivers are the same.",
        False,
    ),
    Cause.MPI_ERROR: CauseFacts(
        "MPI failed", "Check that Open MPI is installed, and how mpirun was called (hosts, slots, program path).", False
    ),
    Cause.MODEL_LOAD_MISSING_WEIGHTS: CauseFacts(
        "Weights do not fit the model",
        "Download the model again, or use a version of mlx-lm that knows this architecture.",
        False,
    ),
    Cause.MODEL_LOAD_CORRUPT: CauseFacts(
        "A model file is damaged", "Delete the model's folder in the cache and download it again.", False
    ),
    Cause.MODEL_UNSUPPORTED: CauseFacts(
        "The model is not supported",
        "Update mlx-lm, or choose a model, a quantization and a number of ranks that it supports.",
        False,
    ),
    Cause.TOKENIZER_ERROR: CauseFacts(
        "The tokenizer failed",
        "Check that the model folder has its tokenizer files and that transformers is new enough for them.",
        False,
    ),
    Cause.PYTHON_EXCEPTION_OTHER: CauseFacts(
        "A Python exception", "Read the traceback in the incident; it names the line that raised.", True
    ),
    Cause.SEGFAULT: CauseFacts(
        "Segmentation fault",
        "Look for a crash report; on builds of MLX for the CPU this is also what running out of memory looks like.",
        True,
    ),
    Cause.BUS_ERROR: CauseFacts(
        "Bus error", "Check that no model file was changed or truncated while it was in use, and the disk.", True
    ),
    Cause.ABORT_OTHER: CauseFacts(
        "The process aborted", "Read the last lines and the crash report; they name the check that failed.", True
    ),
    Cause.KILLED_NO_STDERR: CauseFacts(
        "Killed from outside",
        "Look for memory pressure (jetsam report, kernel log) at that time, or for who sent the signal.",
        True,
    ),
    Cause.FORK_SAFETY: CauseFacts(
        "Forked with threads running", "Start processes with spawn or exec instead of fork.", False
    ),
    Cause.DISK_FULL: CauseFacts("The disk is full", "Free disk space, then start again.", False),
    Cause.DOWNLOAD_FAILED: CauseFacts(
        "The model could not be downloaded",
        "Check the model's name, your access to it, and the network; then start again.",
        True,
    ),
    Cause.PORT_IN_USE: CauseFacts(
        "The port is taken", "Stop the program that holds the port, or choose another one.", False
    ),
    Cause.DLOPEN_FAILED: CauseFacts(
        "A library could not be loaded",
        "Install MLX again for this system and Python (on Linux: `mlx[cpu]`), and keep versions together.",
        False,
    ),
    Cause.THREAD_RESOURCE_EXHAUSTED: CauseFacts(
        "No more threads or processes", "Raise the limit (`ulimit -u`, cgroup pids) or run fewer programs.", True
    ),
    Cause.STALLED: CauseFacts(
        "No progress",
        "Read the stack dumps of all ranks in the incident; the rank that is behind is where to look.",
        True,
    ),
    Cause.NODE_LOST: CauseFacts(
        "A node was lost", "Check that the Mac is on, awake and reachable, and that its agent runs.", True
    ),
    Cause.KILLED_BY_SUPERVISOR: CauseFacts(
        "Stopped by Ringwarden",
        "Nothing to do for this rank; the incident names why it was stopped.",
        True,
        Locality.SUPERVISOR,
    ),
    Cause.PROTOCOL_VIOLATION: CauseFacts(
        "The runner broke the protocol", "Check that runner and supervisor are the same version of Ringwarden.", False
    ),
    Cause.START_TIMEOUT: CauseFacts(
        "The start took too long",
        "Check that every rank can reach the others, then allow more time for loading.",
        True,
    ),
    Cause.EXITED_EARLY: CauseFacts(
        "The runner left early", "Find out why the program ended by itself with exit code 0 while it was needed.", True
    ),
    Cause.UNKNOWN: CauseFacts(
        "Unknown", "Read the evidence in the incident, and report it so that it gets a name.", True
    ),
}
