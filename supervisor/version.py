"""The version that is installed."""

from importlib import metadata


def version() -> str:
    """Return the version of the installed distribution, or "unknown" when running from a bare checkout."""
    try:
        return metadata.version("ringwarden")
    except metadata.PackageNotFoundError:
        return "unknown"
