"""How `--nodes` names nodes."""

AUTOMATIC = "auto"
"""In place of names: whoever is there and needed."""

OWN_NODE = "head"
"""The head's own machine."""


def named_nodes(nodes: str) -> tuple[str, ...]:
    """Return the names in `--nodes a,b,c`."""
    return tuple(name.strip() for name in nodes.split(",") if name.strip())
