"""No planted secret survives, and what is no secret does."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.redaction import HIDDEN, allowed_environment, is_secret_name, known_secrets, redacted, redacted_value

# Put together here, so that no scanner takes them for real ones.
SECRETS = {
    "hugging face": "hf_" + "Ab1" * 8,
    "openai": "sk-" + "proj-" + "Zz9" * 8,
    "github": "ghp_" + "Qq7" * 9,
    "slack": "xoxb-" + "1234567890-abcdef",
    "aws": "AKIA" + "ABCDEFGH12345678",
    "google": "AIza" + "Sy" * 17,
    "jwt": "eyJhbGciOiJI.eyJzdWIiOiIx.c2lnbmF0dXJl",
}
SURROUNDINGS = [
    "{}", "using {} now", "Authorization: Bearer {}", '"api_key": "{}"', "HF_TOKEN={}", "password={};", "--token {}",
    "https://someone:{}@example.org/x", "https://{}@example.org", "{{'secret': '{}'}}", "x-api-key: {}",
    "GET /v1?access_token={}&n=1", "Cookie: session={}", "client_secret => {}", "line\nMY_PASSWORD: {}\nline",
]  # fmt: skip


@pytest.mark.parametrize("surrounding", SURROUNDINGS)
@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS.keys())
def test_a_secret_is_removed_wherever_it_stands(surrounding: str, secret: str):
    assert secret not in redacted(surrounding.format(secret))


@pytest.mark.parametrize("surrounding", SURROUNDINGS[2:])
def test_a_secret_without_a_shape_is_known_by_its_name(surrounding: str):
    assert "hunter2" not in redacted(surrounding.format("hunter2hunter2"))


def test_private_keys_go_whole_also_when_their_lines_are_apart():
    kind = "PRIVATE KEY-----"
    lines = ["before", f"-----BEGIN RSA {kind}", "MIIEow", "IBAAK", f"-----END RSA {kind}", "after"]
    assert redacted_value(lines) == redacted_value(tuple(lines)) == ["before", HIDDEN, "after"]
    assert redacted("\n".join(lines[:4])) == f"before\n{HIDDEN}"


@pytest.mark.parametrize(
    "text",
    [
        "max_tokens=512, prompt_tokens: 17", '{"completion_tokens": 12}', "tokenizer: qwen", "https://example.org/a b",
        "[ring] Receiving from socket 5 failed with errno 54", "loading 28 layers", "author: Ann", "512 tokens/s",
        "10.0.0.1:52415", "task-id=req-7 skip-layer-norm-of-28-layers",
    ],
)  # fmt: skip
def test_what_is_no_secret_stays(text: str):
    assert redacted(text) == text


@given(st.dictionaries(st.sampled_from(["api_key", "note", "password", "n"]), st.text(max_size=30) | st.integers()))
def test_documents_stay_documents_and_twice_is_once(document: dict[str, object]):
    once = redacted(json.dumps(document))
    assert set(json.loads(once)) == set(document)
    assert redacted(once) == once


def test_known_values_are_removed_longest_first():
    secrets = known_secrets(
        {"A_SECRET": "abcdef", "B_TOKEN": "abcdefgh", "PATH": "/bin:/sbin", "C_KEY_TOKEN": "x"}, "mine!!"
    )
    assert set(secrets) == {"abcdefgh", "abcdef", "mine!!"}
    assert secrets[0] == "abcdefgh"
    assert redacted("1 abcdefgh 2 abcdef 3 mine!!", secrets) == f"1 {HIDDEN} 2 {HIDDEN} 3 {HIDDEN}"


def test_the_working_folder_is_no_password():
    assert known_secrets({"PWD": "/home/Ann/work", "OLDPWD": "/home/Ann", "MY_PWD": "hunter22"}) == ("hunter22",)


def test_the_environment_is_a_list_of_names():
    environment = {
        "MLX_RANK": "1", "HF_TOKEN": "x", "RINGWARDEN_API_KEY": "x", "RINGWARDEN_PORT": "1", "MY_OWN": "x",
        "MLX_AUTH": "x", "TOKENIZERS_PARALLELISM": "true",
    }  # fmt: skip
    assert set(allowed_environment(environment)) == {"MLX_RANK", "RINGWARDEN_PORT", "TOKENIZERS_PARALLELISM"}
    assert is_secret_name("Proxy-Authorization")


@pytest.mark.parametrize(
    "piece", ["-", "--api", "://", "://a", "token", "eyJ", "-----BEGIN PRIVATE KEY-----", 'password="']
)
def test_no_text_makes_it_slow(piece: str):
    before = time.process_time()
    redacted(piece * (1_000_000 // len(piece)))
    assert time.process_time() - before < 10.0, "it was 17 s for the worst of these before"
