"""What `ringwarden keys` does: show our own public key, and keep the list of those that are trusted."""

import platform
import re
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from rich.table import Table

from supervisor.cli.errors import CommandError
from supervisor.cli.reading import print_json
from supervisor.cli.terminal import console, shown
from supervisor.cluster.key_store import HEAD, MAX_NAME_LETTERS, KeyRefusedError, KeyStore, KeyStoreError, NodeNameError
from supervisor.exit_code import ExitCode
from transports.cluster.keys import KeyTextError, fingerprint, key_text, parse_public_key


class _OwnKeyShown(msgspec.Struct, frozen=True):
    public_key: str
    fingerprint: str
    suggested_name: str
    state_dir: str


class _TrustedKeyShown(msgspec.Struct, frozen=True):
    name: str
    public_key: str
    fingerprint: str


class _TrustChanged(msgspec.Struct, frozen=True):
    name: str
    public_key: str
    fingerprint: str
    changed: bool


def show_own_key(state_dir: Path, *, as_json: bool) -> None:
    """Carry out `keys`: make the pair when there is none, and print the public half with the command for the others."""
    with _told():
        public = KeyStore(state_dir).own().public
    own = _OwnKeyShown(key_text(public), fingerprint(public), suggested_name(platform.node()), str(state_dir))
    if as_json:
        print_json(own)
        return
    _say(f"This machine's public key  {own.public_key}")
    _say(f"Its fingerprint            {own.fingerprint}")
    _say("")
    _say("If this machine is the head, type on each node:")
    _say(f"  ringwarden keys accept {HEAD} {own.public_key}")
    _say("If this machine is a node, type on the head (the name is yours to choose):")
    _say(f"  ringwarden keys accept {own.suggested_name} {own.public_key}")


def accept_key(state_dir: Path, name: str, text: str, *, as_json: bool) -> None:
    """Carry out `keys accept`: trust this key from now on. A head that runs sees it at once."""
    with _told():
        public = parse_public_key(text)
        changed = KeyStore(state_dir).accept(name, public)
    done = _TrustChanged(name, key_text(public), fingerprint(public), changed)
    if as_json:
        print_json(done)
    else:
        what = "is trusted as" if changed else "was trusted already, as"
        _say(f"The key with the fingerprint {done.fingerprint} {what} {name}.")


def remove_key(state_dir: Path, name: str, *, as_json: bool) -> None:
    """Carry out `keys remove`: the next time it shows this key, that node is refused."""
    with _told():
        public = KeyStore(state_dir).remove(name)
    done = _TrustChanged(name, key_text(public), fingerprint(public), changed=True)
    if as_json:
        print_json(done)
    else:
        _say(f"{name} is trusted no longer; its key had the fingerprint {done.fingerprint}.")


def list_keys(state_dir: Path, *, as_json: bool) -> None:
    """Carry out `keys list`."""
    with _told():
        trusted = KeyStore(state_dir).trusted()
    rows = [_TrustedKeyShown(name, key_text(key), fingerprint(key)) for name, key in trusted.items()]
    if as_json:
        print_json(rows)
    elif rows:
        table = Table("name", "fingerprint", box=None, pad_edge=False)
        for row in rows:
            table.add_row(shown(row.name), row.fingerprint)
        console().print(table)
    else:
        _say("no keys are trusted")


def suggested_name(hostname: str) -> str:
    """Return a name for a node of that hostname: `Anns-Mac-mini.local` becomes `anns-mac-mini`."""
    first = hostname.split(".", maxsplit=1)[0].lower()
    name = re.sub(r"[^a-z0-9]+", "-", first)[:MAX_NAME_LETTERS].strip("-")
    return name if name and name != HEAD else "node-1"


@contextmanager
def _told() -> Generator[None, None, None]:
    try:
        yield
    except NodeNameError as problem:
        raise CommandError(str(problem), problem.remedy, ExitCode.USAGE) from problem
    except (KeyRefusedError, KeyTextError) as problem:
        raise CommandError(str(problem), problem.remedy, ExitCode.BAD_DATA) from problem
    except KeyStoreError as problem:
        raise CommandError(str(problem), problem.remedy, ExitCode.CONFIG) from problem


def _say(line: str) -> None:
    # Never wrapped: a key with a line break in it is no key.
    console().print(shown(line), soft_wrap=True)
