"""The keys of one state folder: its own pair, and the public keys that it trusts, each under a name.

Other processes may write both files meanwhile: `ringwarden keys accept` works beside a running head, which sees the
change with its next look. What cannot be read strictly is an error: a damaged file never means that nobody is trusted.
"""

import re
import tomllib
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec
from zmq.error import ZMQError

from supervisor.cluster.private_file import (
    FileStamp,
    PrivateFileError,
    held_lock,
    read_private_file,
    stamp_of,
    tighten_private_file,
    write_private_file,
)
from supervisor.state_directory import StateDirectory, StateDirectoryError
from transports.cluster.keys import KeyPair, KeyTextError, generate_key_pair, key_text, parse_public_key, public_key_of

HEAD = "head"
MAX_NAME_LETTERS = 63
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_MAX_OWN_KEY_BYTES = 1024
_MAX_BYTES_PER_TRUSTED_KEY = 192
_LOCK_TIMEOUT_S = 5.0
_TRUSTED_FILE_HEADER = "# The keys that this node trusts, written by `ringwarden keys`; comments are not kept.\n"


class KeyStoreError(Exception):
    """The store cannot be read or written; `remedy` says what to do."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy


class KeyRefusedError(Exception):
    """A name or key that cannot be accepted or removed; nothing was changed. `remedy` says what to do."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy


class NodeNameError(KeyRefusedError):
    """A text that is no node's name."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name[:MAX_NAME_LETTERS]!r} is no name for a key",
            f"Use lower-case letters, digits and (not first) hyphens, {MAX_NAME_LETTERS} at most, such as mini-1",
        )


class _OwnKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    public: str
    secret: str


class _Seen(NamedTuple):
    """The trusted keys by name, the names by key, and the file that they were read from."""

    stamp: FileStamp | None
    keys: dict[str, bytes]
    names: dict[bytes, str]


class KeyStore:
    """The keys in one state folder. Its methods block, on small files, and at most 5 s on another `ringwarden keys`.

    Args:
        folder: The state folder; it is made, for this user only, when something is written.
        max_trusted_keys: How many names it takes.
    """

    def __init__(self, folder: Path, *, max_trusted_keys: int = 1024) -> None:
        self.folder = folder
        self._own_file = folder / "node.key"
        self._trusted_file = folder / "trusted.toml"
        self._lock_file = folder / "keys.lock"
        self._max_trusted_keys = max_trusted_keys
        self._seen: _Seen | None = None

    def own(self) -> KeyPair:
        """Return this folder's own keys; make them when there are none. Whoever asks, and when, they stay the same.

        Raises:
            KeyStoreError: The file is damaged, others may read it, or it cannot be read or written.
        """
        with _told():
            found = read_private_file(self._own_file, max_bytes=_MAX_OWN_KEY_BYTES)
        if found is None:
            with self._locked():
                # Somebody else may have been first.
                found = read_private_file(self._own_file, max_bytes=_MAX_OWN_KEY_BYTES)
                if found is None:
                    pair = generate_key_pair()
                    own = _OwnKey(key_text(pair.public), pair.secret.decode("ascii"))
                    write_private_file(self._own_file, msgspec.json.encode(own) + b"\n")
                    return pair
        return self._own_of(found)

    def own_if_any(self) -> KeyPair | None:
        """Return this folder's own keys; None, and none are made, when there are none. Raises as `own` does."""
        with _told():
            found = read_private_file(self._own_file, max_bytes=_MAX_OWN_KEY_BYTES)
        return None if found is None else self._own_of(found)

    def tighten(self) -> tuple[Path, ...]:
        """Take away what other users may do with the own key, or change in the trusted ones; return what was changed.

        Raises:
            KeyStoreError: A file cannot be changed.
        """
        with _told():
            own = tighten_private_file(self._own_file)
            trusted = tighten_private_file(self._trusted_file, may_be_read=True)
        changed = ((self._own_file, own), (self._trusted_file, trusted))
        return tuple(path for path, was_wider in changed if was_wider)

    def trusted(self) -> dict[str, bytes]:
        """Return the trusted keys in Z85 by name, in the order of names; the file is read again when it changed.

        Raises:
            KeyStoreError: The file is damaged, others may write it, or it cannot be read.
        """
        return dict(self._see().keys)

    def name_of(self, public: bytes) -> str | None:
        """Return the name under which a key in Z85 is trusted, None for a stranger's. Raises as `trusted` does."""
        return self._see().names.get(public)

    def key_of(self, name: str) -> bytes | None:
        """Return the key in Z85 that is trusted under a name. Raises as `trusted` does."""
        return self.trusted().get(name)

    def accept(self, name: str, public: bytes) -> bool:
        """Trust a key under a name. It is on the disk when this returns; False when it was trusted so already.

        Args:
            name: `head` for the head of a node, else what the cluster is to call the node.
            public: Its key in Z85.

        Raises:
            NodeNameError: The name is none.
            KeyRefusedError: The name has another key, the key another name, it is our own, or there are too many.
            KeyStoreError: The store cannot be read or written.
        """
        if not _NAME.fullmatch(name):
            raise NodeNameError(name)
        if public == self.own().public:
            raise KeyRefusedError("that is this machine's own key", "Give the key that the other machine shows")
        with self._locked():
            trusted = self._read_trusted()
            if trusted.get(name) == public:
                return False
            self._check_new(name, public, trusted)
            self._write_trusted({**trusted, name: public})
        return True

    def remove(self, name: str) -> bytes:
        """Trust this name no longer; return the key it had.

        Raises:
            KeyRefusedError: There is no such name.
            KeyStoreError: The store cannot be read or written.
        """
        with self._locked():
            trusted = self._read_trusted()
            if name not in trusted:
                known = ", ".join(trusted) if trusted else "none"
                raise KeyRefusedError(f"no key is trusted as {name[:MAX_NAME_LETTERS]!r}", f"Trusted are: {known}")
            removed = trusted.pop(name)
            self._write_trusted(trusted)
        return removed

    def _see(self) -> _Seen:
        with _told():
            stamp = stamp_of(self._trusted_file)
            if self._seen is None or self._seen.stamp != stamp:
                # Stamped before it is read: a change in between is seen next time.
                keys = self._read_trusted()
                self._seen = _Seen(stamp, keys, {key: name for name, key in keys.items()})
        return self._seen

    def _check_new(self, name: str, public: bytes, trusted: dict[str, bytes]) -> None:
        if name in trusted:
            raise KeyRefusedError(
                f"{name} is trusted with another key already",
                f"If that one is out of use: ringwarden keys remove {name}",
            )
        same = next((other for other, key in trusted.items() if key == public), None)
        if same is not None:
            raise KeyRefusedError(
                f"this key is trusted already, as {same}", f"To rename it, first: ringwarden keys remove {same}"
            )
        if len(trusted) >= self._max_trusted_keys:
            raise KeyRefusedError(
                f"{self._max_trusted_keys} keys are trusted, which is the most", "Remove one that is out of use"
            )

    @contextmanager
    def _locked(self) -> Generator[None, None, None]:
        try:
            StateDirectory(self.folder).create()
        except StateDirectoryError as problem:
            raise KeyStoreError(str(problem), problem.remedy) from problem
        with _told(), held_lock(self._lock_file, timeout_s=_LOCK_TIMEOUT_S):
            yield

    def _own_of(self, content: bytes) -> KeyPair:
        try:
            own = msgspec.json.decode(content, type=_OwnKey)
            public, secret = parse_public_key(own.public), own.secret.encode("ascii")
            belongs = public_key_of(secret) == public
        except (msgspec.MsgspecError, KeyTextError, UnicodeError, ValueError, ZMQError) as problem:
            raise self._damaged_own() from problem
        if not belongs:
            raise self._damaged_own()
        return KeyPair(public, secret)

    def _damaged_own(self) -> KeyStoreError:
        return KeyStoreError(
            f"{self._own_file} is damaged",
            "Put the file back from a copy, or delete it: the other machines then have to accept a new key",
        )

    def _read_trusted(self) -> dict[str, bytes]:
        limit = len(_TRUSTED_FILE_HEADER) + self._max_trusted_keys * _MAX_BYTES_PER_TRUSTED_KEY
        content = read_private_file(self._trusted_file, max_bytes=limit, may_be_read=True)
        if content is None:
            return {}
        if not content.strip():
            # Never written so by us: somebody's disk was full, or worse.
            raise self._damaged_trusted("it is empty")
        try:
            table = tomllib.loads(content.decode("utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as problem:
            raise self._damaged_trusted(f"it is not TOML ({problem})") from problem
        return self._checked(table)

    def _checked(self, table: dict[str, object]) -> dict[str, bytes]:
        trusted: dict[str, bytes] = {}
        for name, text in sorted(table.items()):
            if not _NAME.fullmatch(name):
                raise self._damaged_trusted(f"{name[:MAX_NAME_LETTERS]!r} is no name")
            try:
                key = parse_public_key(text if isinstance(text, str) else "")
            except KeyTextError as problem:
                raise self._damaged_trusted(f"{name} has no key: {problem}") from problem
            if key in trusted.values():
                raise self._damaged_trusted(f"{name} has the key of another name")
            trusted[name] = key
        if len(trusted) > self._max_trusted_keys:
            raise self._damaged_trusted(f"it has more than {self._max_trusted_keys} keys")
        return trusted

    def _damaged_trusted(self, reason: str) -> KeyStoreError:
        return KeyStoreError(
            f"{self._trusted_file} cannot be used: {reason}",
            "Correct it, or delete it and accept the keys again with `ringwarden keys accept`",
        )

    def _write_trusted(self, trusted: dict[str, bytes]) -> None:
        lines = [f'{name} = "{key_text(key)}"\n' for name, key in sorted(trusted.items())]
        write_private_file(self._trusted_file, (_TRUSTED_FILE_HEADER + "".join(lines)).encode("utf-8"))


@contextmanager
def _told() -> Generator[None, None, None]:
    try:
        yield
    except PrivateFileError as problem:
        raise KeyStoreError(str(problem), problem.remedy) from problem
