"""Which variables of the installing shell a service gets: those that change what Ringwarden does, and no secret."""

import re
from collections.abc import Mapping

from supervisor.redaction import is_secret_name, redacted

_PREFIXES = ("RINGWARDEN_", "MLX_")
_NAMES = frozenset(
    {
        "HF_ENDPOINT",
        "HF_HOME",
        "HF_HUB_CACHE",
        "HF_HUB_OFFLINE",
        "HTTPS_PROXY",
        "HTTP_PROXY",
        "NO_PROXY",
        "SSL_CERT_FILE",
        "XDG_CACHE_HOME",
        "XDG_STATE_HOME",
        "https_proxy",
        "http_proxy",
        "no_proxy",
    }
)
# Of one launch by hand: they would lead a rank into a group that is not ours. The key is a secret.
_LEFT_OUT = ("MLX_RANK", "MLX_WORLD_SIZE", "MLX_HOSTFILE", "MLX_IBV_DEVICES", "MLX_JACCL_")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PROXY_WITH_PASSWORD = re.compile(r"[^/\s]+@")


def carried_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables for the service, sorted by name."""
    return {
        name: environment[name]
        for name in sorted(environment)
        if _is_wanted(name) and not _is_secret(name, environment)
    }


def withheld_variables(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names of variables that the service would get if their values were no secrets."""
    return tuple(name for name in sorted(environment) if _is_wanted(name) and _is_secret(name, environment))


def _is_wanted(name: str) -> bool:
    if name.startswith(_LEFT_OUT) or _NAME.fullmatch(name) is None:
        return False
    return name in _NAMES or name.startswith(_PREFIXES)


def _is_secret(name: str, environment: Mapping[str, str]) -> bool:
    value = environment[name]
    if is_secret_name(name) and not name.endswith("_FILE"):
        return True
    return redacted(value) != value or (
        name.lower().endswith("_proxy") and _PROXY_WITH_PASSWORD.search(value) is not None
    )
