"""Keys as people type them: every spelling of a key gives that key, and nothing else gives one."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zmq.utils import z85

from transports.cluster.keys import (
    KeyTextError,
    fingerprint,
    generate_key_pair,
    key_text,
    parse_public_key,
    public_key_of,
)

KEY_BYTES = st.binary(min_size=32, max_size=32)


def test_a_new_pair_belongs_together_and_is_new():
    first, second = generate_key_pair(), generate_key_pair()
    assert (len(first.public), len(first.secret)) == (40, 40)
    assert public_key_of(first.secret) == first.public
    assert first.secret != second.secret


def test_a_pair_never_shows_its_secret():
    pair = generate_key_pair()
    secret = pair.secret.decode()
    assert secret not in f"{pair!r} {pair} {[pair]}"


@given(KEY_BYTES)
def test_both_spellings_give_the_key_back(key: bytes):
    public = z85.encode(key)
    assert parse_public_key(key_text(public)) == public
    assert parse_public_key(f" {key_text(public).upper()}\n") == public
    assert parse_public_key(public.decode()) == public


@given(KEY_BYTES)
def test_what_people_are_shown_needs_no_quotes(key: bytes):
    public = z85.encode(key)
    assert re.fullmatch(r"[0-9a-f]{64}", key_text(public))
    assert re.fullmatch(r"[0-9a-f]{4}(-[0-9a-f]{4}){4}", fingerprint(public))


@given(st.text(max_size=80))
def test_no_other_text_is_a_key_and_none_is_repeated(text: str):
    try:
        public = parse_public_key(text)
    except KeyTextError as problem:
        assert len(text.strip()) < 20 or text.strip() not in str(problem)
        assert "ringwarden keys" in problem.remedy
    else:
        assert text.strip().lower() in {key_text(public), public.decode().lower()}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0" * 63,
        "0" * 65,
        "g" * 64,
        "#" * 40,
        "~" * 40,
        "é" * 40,
        "\N{ARABIC-INDIC DIGIT ZERO}" * 64,
        "0" * 39 + "\\",
        "0" * 10_000,
    ],
)
def test_near_misses_are_refused(text: str):
    with pytest.raises(KeyTextError):
        parse_public_key(text)


def test_fingerprints_tell_keys_apart():
    assert len({fingerprint(generate_key_pair().public) for _ in range(100)}) == 100
