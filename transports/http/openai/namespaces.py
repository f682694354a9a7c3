"""Functions in namespaces, as Codex sends them: models know only names, so both are joined by what no name may have."""

_SEPARATOR = "."


def joined_name(namespace: str | None, name: str) -> str:
    """Return the name that a model is told."""
    return name if namespace is None else f"{namespace}{_SEPARATOR}{name}"


def split_name(name: str) -> tuple[str | None, str]:
    """Return the namespace, if there is one, and the name of what a model calls."""
    namespace, found, inner = name.partition(_SEPARATOR)
    return (namespace, inner) if found else (None, name)


def is_name(name: str) -> bool:
    """Return whether a function or a namespace may be called this."""
    return bool(name) and _SEPARATOR not in name
