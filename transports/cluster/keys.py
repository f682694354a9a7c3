"""CURVE keys: what a node proves itself by, and how people read and type them.

ZeroMQ wants keys in Z85, whose 85 letters include `$`, `&`, `<` and `-`. People are shown the same 32 bytes as 64
hexadecimal digits, which survive shells, chats and a double click; both spellings are read.
"""

import hashlib
import re
import struct

import msgspec
import zmq
from zmq.utils import z85

_HEXADECIMAL = re.compile(r"[0-9a-fA-F]{64}")
_Z85_LETTERS = 40
_FINGERPRINT_DIGITS = 20


class KeyTextError(ValueError):
    """A text that is no CURVE key; `remedy` says what to do."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.remedy = "Copy the whole key that `ringwarden keys` shows on the other machine"


class KeyPair(msgspec.Struct, frozen=True):
    """A node's own keys, in Z85 (40 bytes each). The secret never shows in a repr."""

    public: bytes
    secret: bytes

    def __repr__(self) -> str:
        return f"KeyPair(public={self.public!r}, secret=(hidden))"


def generate_key_pair() -> KeyPair:
    """Return new keys from the system's randomness."""
    public, secret = zmq.curve_keypair()
    return KeyPair(public, secret)


def public_key_of(secret: bytes) -> bytes:
    """Return the public key, in Z85, that belongs to a secret one in Z85."""
    return zmq.curve_public(secret)


def parse_public_key(text: str) -> bytes:
    """Return the key, in Z85, that `text` spells in hexadecimal or Z85. White space around it does not count.

    Raises:
        KeyTextError: It is no key. The message does not repeat the text: it could be a secret, pasted by mistake.
    """
    text = text.strip()
    if _HEXADECIMAL.fullmatch(text):
        return z85.encode(bytes.fromhex(text))
    if len(text) != _Z85_LETTERS:
        raise KeyTextError(
            f"a public key has 64 hexadecimal digits (or {_Z85_LETTERS} Z85 letters), not {len(text)} letters"
        )
    try:
        z85.decode(text.encode("ascii"))
    except (KeyError, struct.error, UnicodeEncodeError) as problem:
        raise KeyTextError("the text has the length of a Z85 key, but is none") from problem
    return text.encode("ascii")


def key_text(public: bytes) -> str:
    """Return a public key as people are shown it: 64 hexadecimal digits.

    Args:
        public: The key in Z85.
    """
    return z85.decode(public).hex()


def fingerprint(public: bytes) -> str:
    """Return what people compare, and what a discovered head announces: 80 bits of the key's SHA-256, as `1f3a-…-09bc`.

    It picks the right key; only the key itself proves anything.
    """
    digits = hashlib.sha256(z85.decode(public)).hexdigest()[:_FINGERPRINT_DIGITS]
    return "-".join(digits[start : start + 4] for start in range(0, _FINGERPRINT_DIGITS, 4))
