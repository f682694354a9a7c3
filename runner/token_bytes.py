"""The bytes of single tokens, which need not be whole characters."""

from collections.abc import Callable
from typing import Any, cast

from mlx_lm.tokenizer_utils import BPEStreamingDetokenizer, SPMStreamingDetokenizer

from runner.mlx_binding import Tokenizer

_WORD_START = "\u2581".encode()


def bytes_of_tokens(tokenizer: Tokenizer) -> Callable[[int], bytes]:
    """Return what gives a token's bytes; tokens beyond the tokenizer's, which padded models have, have none."""
    detokenizer = tokenizer.detokenizer
    if isinstance(detokenizer, SPMStreamingDetokenizer):
        pieces = cast(list[bytes], detokenizer.tokenmap)
        return lambda token: pieces[token].replace(_WORD_START, b" ") if token < len(pieces) else b""
    if isinstance(detokenizer, BPEStreamingDetokenizer):
        names = cast(list[str | None], cast(Any, detokenizer).tokenmap)
        table = _byte_of_letter()

        def spelled(token: int) -> bytes:
            name = names[token] if token < len(names) else None
            return b"".join(table.get(letter) or letter.encode() for letter in name or "")

        return spelled
    return lambda token: tokenizer.decode([token]).encode()


def _byte_of_letter() -> dict[str, bytes]:
    """How byte-level vocabularies spell bytes: printable ones as themselves, the others from U+0100 on, in order."""
    printable = {*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)}
    table = {chr(byte): bytes([byte]) for byte in printable}
    others = [byte for byte in range(256) if byte not in printable]
    return table | {chr(256 + number): bytes([byte]) for number, byte in enumerate(others)}
