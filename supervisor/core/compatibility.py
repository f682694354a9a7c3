"""Whether a node fits a head: every difference that breaks or slows a group, named, with what to do about it."""

import re
from collections.abc import Iterator

import msgspec

from diagnostics.evidence import OperatingSystem
from supervisor.core.mlx_variables import effect_of
from transports.cluster.handshake import PROTOCOL_VERSION
from transports.cluster.node_facts import NodeFacts

MAX_VALUE_LETTERS = 80
MUCH_LESS_MEMORY = 0.5
"""A node with less than this share of the other's memory is worth a word: equal shards have to fit the smaller."""

_GIB = 1024**3
_VERSION = re.compile(r"[A-Za-z0-9.+!-]{1,80}")


class Difference(msgspec.Struct, frozen=True):
    """One thing in which a head and a node differ.

    Args:
        field: What it is called: a package, a property, or an environment variable.
        head_value: The head's; None when it has none.
        node_value: The node's; None when it has none.
        breaks: What goes wrong because of it.
        remedy: What a person can do; empty when there is nothing.
        refuses: A group over both must not be formed.
    """

    field: str
    head_value: str | None
    node_value: str | None
    breaks: str
    remedy: str
    refuses: bool

    @property
    def sentence(self) -> str:
        """All of it but the remedy, in one sentence."""
        return (
            f"{self.field} is {self.head_value or 'not there'} on the head and {self.node_value or 'not there'} "
            f"on the node: {self.breaks}."
        )


def compare(head: NodeFacts, node: NodeFacts, *, node_protocol: int = PROTOCOL_VERSION) -> tuple[Difference, ...]:
    """Return every difference that matters, those that refuse first.

    Args:
        head: The head's own facts.
        node: What the node said of itself.
        node_protocol: The protocol version of its `Hello`.
    """
    found = [
        *_protocol(head, node, node_protocol),
        *_packages(head, node),
        *_machines(head, node),
        *_variables(head, node),
    ]
    return tuple(sorted(found, key=lambda difference: not difference.refuses))


def _protocol(head: NodeFacts, node: NodeFacts, node_protocol: int) -> Iterator[Difference]:
    if node_protocol != PROTOCOL_VERSION:
        yield Difference(
            "the cluster protocol",
            f"{PROTOCOL_VERSION} (ringwarden {_cut(head.ringwarden_version)})",
            f"{node_protocol} (ringwarden {_cut(node.ringwarden_version)})",
            "the two do not understand each other",
            "Install the same version of ringwarden on both",
            refuses=True,
        )
    elif head.ringwarden_version != node.ringwarden_version:
        yield _warning(
            "ringwarden",
            head.ringwarden_version,
            node.ringwarden_version,
            "they speak the same protocol, but a fault may be told differently",
            "Install the same version of ringwarden on both when it suits",
        )


def _packages(head: NodeFacts, node: NodeFacts) -> Iterator[Difference]:
    for package, ours, theirs in (
        ("mlx", head.mlx_version, node.mlx_version),
        ("mlx-lm", head.mlx_lm_version, node.mlx_lm_version),
    ):
        if ours == theirs and ours is not None:
            continue
        if ours is None or theirs is None:
            breaks = "no rank can run without it"
        elif package == "mlx":
            breaks = "ranks of different versions may not connect, may hang, or may compute wrong tokens"
        else:
            breaks = "ranks would build the model differently and wait for tensors that never come"
        yield Difference(
            package,
            _cut_if_there(ours),
            _cut_if_there(theirs),
            breaks,
            _install(package, ours, theirs, head, node),
            refuses=True,
        )
    if _minor(head.python_version) != _minor(node.python_version):
        yield _warning(
            "Python",
            head.python_version,
            node.python_version,
            "ranks may fail on one node only",
            "Use the same Python on both when it suits",
        )


def _install(package: str, ours: str | None, theirs: str | None, head: NodeFacts, node: NodeFacts) -> str:
    if ours is None and theirs is None:
        return f"Install {package} on both, in the Python that runs ringwarden"
    where, version, facts = ("head", theirs, head) if ours is None else ("node", ours, node)
    if version is None or not _VERSION.fullmatch(version):
        # Whatever else a peer says, a person must not be told to paste it into a shell.
        return f"Install the same version of {package} on both"
    name = "mlx[cpu]" if package == "mlx" and facts.system == OperatingSystem.LINUX else package
    return f"On the {where}, in the Python that runs ringwarden: pip install '{name}=={version}'"


def _machines(head: NodeFacts, node: NodeFacts) -> Iterator[Difference]:
    if head.system != node.system:
        yield _warning(
            "the system",
            f"{head.system} {head.system_version}",
            f"{node.system} {node.system_version}",
            "Metal and the CPU compute slightly different numbers, and only the ring joins them",
            "",
        )
    elif head.chip != node.chip:
        yield _warning("the chip", head.chip, node.chip, "the slower one sets the pace of the group", "")
    smaller, larger = sorted((head.memory_bytes, node.memory_bytes))
    if smaller < larger * MUCH_LESS_MEMORY:
        yield _warning(
            "memory",
            f"{head.memory_bytes / _GIB:.0f} GiB",
            f"{node.memory_bytes / _GIB:.0f} GiB",
            "equal shards of a model have to fit the smaller one",
            "",
        )


def _variables(head: NodeFacts, node: NodeFacts) -> Iterator[Difference]:
    for name in sorted({*head.mlx_environment, *node.mlx_environment}):
        ours, theirs = head.mlx_environment.get(name), node.mlx_environment.get(name)
        effect = effect_of(name)
        if ours == theirs or effect is None:
            continue
        yield Difference(
            _cut(name),
            _cut_if_there(ours),
            _cut_if_there(theirs),
            effect.breaks,
            f"Set {_cut(name)} to the same value on both, or unset it on both, and start ringwarden again there",
            refuses=effect.refuses,
        )


def _warning(field: str, head_value: str, node_value: str, breaks: str, remedy: str) -> Difference:
    return Difference(field, _cut(head_value), _cut(node_value), breaks, remedy, refuses=False)


def _minor(version: str) -> list[str]:
    return version.split(".")[:2]


def _cut(value: str) -> str:
    return value if len(value) <= MAX_VALUE_LETTERS else value[: MAX_VALUE_LETTERS - 1] + "…"


def _cut_if_there(value: str | None) -> str | None:
    return None if value is None else _cut(value)
