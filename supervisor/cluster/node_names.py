"""How `--nodes` names nodes."""

AUTOMATIC = "auto"
"""In place of names: whoever is there and needed."""

OWN_NODE = "head"
"""The head's own machine."""
