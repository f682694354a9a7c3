"""The keys: this machine's own, those that it trusts, and the file with the API's."""

import stat
from collections.abc import Iterator
from pathlib import Path

import msgspec

from supervisor.cluster.key_store import HEAD, KeyStore, KeyStoreError
from supervisor.cluster.node_names import AUTOMATIC, OWN_NODE
from supervisor.doctor.finding import Finding, failed, ok, skipped, warning
from supervisor.exit_code import ExitCode
from supervisor.settings import Settings, listed
from transports.cluster.keys import KeyPair, fingerprint

OWN, TRUSTED, API_KEY = "key-own", "keys-trusted", "key-api"
MAX_NAMES_SHOWN = 8


class KeyFacts(msgspec.Struct, frozen=True):
    """What the store holds. `nodes` are those of --nodes, without this machine and `auto`; errors keep their remedy.

    `api_key_mode` is None when no file with an API key is set, or it cannot be looked at.
    """

    own: KeyPair | None
    trusted: tuple[str, ...]
    nodes: tuple[str, ...]
    in_cluster: bool
    own_problem: tuple[str, str] | None = None
    trusted_problem: tuple[str, str] | None = None
    api_key_file: Path | None = None
    api_key_mode: int | None = None


def read_keys(settings: Settings) -> KeyFacts:
    """Read the keys; none are made. Blocks on small files."""
    store = KeyStore(settings.state_dir)
    own, own_problem, trusted, trusted_problem = None, None, (), None
    try:
        own = store.own_if_any()
    except KeyStoreError as problem:
        own_problem = (str(problem), problem.remedy)
    try:
        trusted = tuple(store.trusted())
    except KeyStoreError as problem:
        trusted_problem = (str(problem), problem.remedy)
    named = () if settings.nodes == AUTOMATIC else listed(settings.nodes)
    return KeyFacts(
        own=own,
        trusted=trusted,
        nodes=tuple(name for name in named if name != OWN_NODE),
        in_cluster=bool(settings.nodes or trusted),
        own_problem=own_problem,
        trusted_problem=trusted_problem,
        api_key_file=settings.api_key_file,
        api_key_mode=_mode(settings.api_key_file),
    )


def judge_keys(facts: KeyFacts) -> Iterator[Finding]:
    """Yield a finding for the own key, the trusted ones, and the API's."""
    yield _own(facts)
    yield _trusted(facts)
    yield _api_key(facts)


def _own(facts: KeyFacts) -> Finding:
    if facts.own_problem is not None:
        words, remedy = facts.own_problem
        diagnosis = "Without its key, this machine is no part of a cluster; one that others read proves nothing."
        return failed(OWN, [words], diagnosis, f"{remedy}.", ExitCode.CONFIG)
    if facts.own is None and facts.in_cluster:
        return warning(
            OWN,
            ["there is no key yet"],
            "The other machines cannot trust this one before it has a key.",
            "Type `ringwarden keys`, and on the others what it shows.",
        )
    if facts.own is None:
        return skipped(OWN, "This machine has no key yet, and needs none alone.")
    return ok(OWN, f"fingerprint {fingerprint(facts.own.public)}, readable by you only")


def _trusted(facts: KeyFacts) -> Finding:
    if facts.trusted_problem is not None:
        words, remedy = facts.trusted_problem
        return failed(TRUSTED, [words], "Nobody can be let in, or joined.", f"{remedy}.", ExitCode.CONFIG)
    known = ", ".join(facts.trusted[:MAX_NAMES_SHOWN]) or "nobody"
    missing = [name for name in facts.nodes if name not in facts.trusted]
    if missing:
        return failed(
            TRUSTED,
            [f"trusted: {known}", f"--nodes names {', '.join(missing)}, whose keys are not trusted"],
            "Those nodes are turned away, so the group never starts.",
            f"On each of them type `ringwarden keys`, and here: ringwarden keys accept {missing[0]} KEY.",
            ExitCode.CONFIG,
        )
    if not facts.trusted:
        return skipped(TRUSTED, "This machine trusts no other, and needs none alone.")
    role = " (so this machine can be a node)" if HEAD in facts.trusted else ""
    return ok(TRUSTED, f"{len(facts.trusted)} trusted: {known}{role}")


def _api_key(facts: KeyFacts) -> Finding:
    if facts.api_key_file is None or facts.api_key_mode is None:
        return skipped(API_KEY, "No file with an API key is set.")
    evidence = [f"{facts.api_key_file}, mode {facts.api_key_mode:04o}"]
    if facts.api_key_mode & 0o077:
        diagnosis = "Other users may read or change the API key."
        return warning(API_KEY, evidence, diagnosis, f"If nobody else needs it: chmod 600 '{facts.api_key_file}'.")
    return ok(API_KEY, *evidence)


def _mode(path: Path | None) -> int | None:
    try:
        return None if path is None else stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return None
