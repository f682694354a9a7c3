"""The name of one run of a daemon, or of one `ringwarden run`."""

import time
import uuid


def new_run_id() -> str:
    """Return a name that no other run has; names sort by time, and can be part of a path."""
    return f"run-{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{uuid.uuid4().hex[:6]}"
