"""Taking secrets out of text that leaves the machine. Pure. Better a word too many than a key too few."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

HIDDEN = "***removed***"
_SHORTEST_KNOWN_SECRET = 6

_SECRET_NAME = re.compile(
    r"api[_-]?key|access[_-]?key|private[_-]?key|token(?!s|iz)|secret|passw(?:or)?d|passphrase|pwd|credential|auth(?!ors?\b)|cookie|bearer",
    re.IGNORECASE,
)
_QUOTED_OR_WORD = r"(?:\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*'|[^\s,;\"'}\])&]+)"
_NAMED = re.compile(
    r"(?P<name>(?:api[_-]?key|access[_-]?key|private[_-]?key|(?<![a-z])token(?!s|iz)|"
    r"secret|passw(?:or)?d|passphrase|(?<![a-z])pwd|credential|cookie|authorization)"
    r"[\w.-]{0,40}[\"']?\s{0,4}(?:=>|[=:])\s{0,4})"
    rf"(?P<value>(?:(?:Bearer|Basic)\s+)?{_QUOTED_OR_WORD})",
    re.IGNORECASE,
)
# Each with the group that stays in front of what is removed.
_PATTERNS = (
    re.compile(r"()-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL),
    re.compile(r"(://)[^\s/'\"]{1,512}(?=@)"),
    re.compile(r"(\b(?:Bearer|Basic)\s+)[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE),
    re.compile(r"((?<![\w-])--[\w-]{0,40}(?:api-key|token|secret|password)(?!-file)[\w-]{0,20}[ =])\S+", re.IGNORECASE),
    re.compile(r"()\bhf_[A-Za-z0-9]{8,}"),
    re.compile(r"()\b(?:sk|pk|rk)[-_][A-Za-z0-9_-]{12,}"),
    re.compile(r"()\b(?:gh[pousr]_|github_pat_|glpat-)[A-Za-z0-9_-]{12,}"),
    re.compile(r"()\bxox[a-z]-[A-Za-z0-9-]{10,}"),
    re.compile(r"()\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    re.compile(r"()\bAIza[0-9A-Za-z_-]{30,}"),
    re.compile(r"()\beyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]{4,}(?:\.[A-Za-z0-9_-]*)?"),
)
# A shell's folders. Taken for passwords, they would be cut out of every path in a traceback.
_FOLDER_NAMES = frozenset({"PWD", "OLDPWD"})
_ENVIRONMENT_NAMES = frozenset(
    {"HF_HOME", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "TOKENIZERS_PARALLELISM", "LANG", "LC_ALL", "TERM", "SHELL",
     "OMP_NUM_THREADS", "VIRTUAL_ENV", "CUDA_VISIBLE_DEVICES", "NO_COLOR", "TZ"}
)  # fmt: skip
_ENVIRONMENT_PREFIXES = ("MLX_", "METAL_", "MTL_", "RINGWARDEN_", "PYTHON", "OMPI_", "NCCL_")


def is_secret_name(name: str) -> bool:
    """Return whether a variable or field of this name is likely to hold a secret."""
    return _SECRET_NAME.search(name) is not None


def allowed_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that matter to a failure: by a list of names, without any that sounds secret."""
    return {
        name: environment[name]
        for name in sorted(environment)
        if (name in _ENVIRONMENT_NAMES or name.startswith(_ENVIRONMENT_PREFIXES)) and not is_secret_name(name)
    }


def known_secrets(environment: Mapping[str, str], *others: str | None) -> tuple[str, ...]:
    """Return values that must not be seen anywhere: of secret-sounding variables, and `others`; the longest first."""
    named = {value for name, value in environment.items() if name not in _FOLDER_NAMES and is_secret_name(name)}
    values = named | {one for one in others if one}
    return tuple(sorted((one for one in values if len(one) >= _SHORTEST_KNOWN_SECRET), key=len, reverse=True))


def redacted(text: str, secrets: Iterable[str] = ()) -> str:
    """Return `text` without the given secrets and without anything that has the shape of one.

    Removed are values of names such as `api_key`, `token` or `password`, users and passwords in URLs, bearer tokens,
    private keys, and the token formats of well-known services.
    """
    for secret in secrets:
        text = text.replace(secret, HIDDEN)
    for pattern in _PATTERNS:
        text = pattern.sub(rf"\g<1>{HIDDEN}", text)
    return _NAMED.sub(_hide_named, text)


def redacted_value(value: Any, secrets: Sequence[str] = ()) -> Any:
    """Return what JSON can hold (dicts, lists, texts, numbers) with every text redacted, before it is escaped.

    Lists of texts are lines: a key that goes over several of them is removed from all.
    """
    if isinstance(value, str):
        return redacted(value, secrets)
    if isinstance(value, dict):
        items = cast("dict[str, Any]", value).items()
        return {
            name: HIDDEN if isinstance(one, str) and is_secret_name(name) else redacted_value(one, secrets)
            for name, one in items
        }
    if isinstance(value, list | tuple):
        parts = cast("Sequence[Any]", value)
        if all(isinstance(part, str) for part in parts):
            return redacted("\n".join(parts), secrets).split("\n") if parts else []
        return [redacted_value(part, secrets) for part in parts]
    return value


def _hide_named(found: re.Match[str]) -> str:
    value = found["value"]
    # A quoted value stays quoted, so that JSON stays JSON.
    quote = value[0] if value[0] in "\"'" and value[-1] == value[0] else ""
    if not quote and '"' in found["name"]:
        quote = '"'
    return f"{found['name']}{quote}{HIDDEN}{quote}"
