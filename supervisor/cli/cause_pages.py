"""Where each cause is explained."""

from diagnostics.cause import Cause

_PAGES = {
    "metal": ("metal_",),
    "ring": ("ring_",),
    "collectives": ("jaccl_", "nccl_", "mpi_"),
    "loading": ("model_", "tokenizer_", "download_", "disk_"),
    "supervisor": ("stalled", "node_", "killed_by_", "protocol_", "start_", "exited_", "unknown"),
}


def cause_page(cause: Cause) -> str:
    """Return the page of the documentation, and the place in it, that explains `cause`."""
    page = next((name for name, beginnings in _PAGES.items() if cause.value.startswith(beginnings)), "process")
    return f"docs/causes/{page}.md#{cause.value}"
