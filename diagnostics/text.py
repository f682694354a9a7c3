"""Reading one line of a log: escape codes, what stands in front of the message, and whether it only quotes."""

import html
import json
import re
from enum import IntEnum
from typing import cast

_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
_TAG = re.compile(
    r"(?:\[(?:rank|runner|node|worker|host)?[ =:#_]?\d+(?:[/,:]\d+)?\](?:<std(?:err|out)>)?:?"
    r"|(?:rank|runner|node|worker)[ _=#-]?\d+ ?[|:>]|>)\s?",
    re.IGNORECASE,
)
_DAY = r"[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d"
_ISO = r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?"
_STAMP = re.compile(
    rf"(?:{_ISO} [\w.-]+ [\w./-]+\[\d+\]:|{_DAY} [\w.-]+ [\w./-]+(?:\[\d+\])?:"
    rf"|\[?{_ISO}\]?(?: std(?:err|out) [FP])?)\s?"
)
_LEVEL = re.compile(
    r"(?:^|(?<=[\s|\[\-:(\]]))(?:(?P<low>TRACE|DEBUG|INFO|NOTICE|WARN(?:ING)?)|(?P<high>ERROR|CRITICAL|FATAL))"
    r"(?=\s*[\]|:\-)]|\s{1,8}\S)"
    r"|\blevel=\"?(?:(?P<low2>trace|debug|info|notice|warn(?:ing)?)|(?P<high2>error|fatal|critical|panic))\b"
    r"|\[(?:(?P<low3>debug|info|notice|warning)|(?P<high3>error|critical)) *\]"
    r"|(?P<low4>\b(?:[A-Z]\w*)?[Ww]arning: )",
)
_QUOTING_KEY = re.compile(r"[\"'](?:content|prompt|text|messages?|input|arguments)[\"']\s*:")
_BOLD = re.compile(r"(?<!\*)\*\*(?!\*)")
_WORDS_BEFORE = re.compile(r"(?:^|[\s(])(?:[A-Za-z]+,? ){2,}$")
_WORDS_AFTER = re.compile(r",? (?:when|whenever|means|if|because|which means|so that|and then)\b|\?$")
_RECOVERED = re.compile(
    r"\b(?:backing off|re-?try(?:ing)?\b(?! exceeded)|retries left|trying again|attempt \d+ ?(?:of|/) ?\d+|falling back"
    r"|fallback(?! (?:also )?failed)"
    r"|recovered|ignoring|skipping|harmless|non-fatal|continuing)",
    re.IGNORECASE,
)
_RETRIED = re.compile(r"\bretrying\b|\battempt \d+ ?(?:of|/) ?\d+|\brecovered\b", re.IGNORECASE)
_NO_WAY_BACK = ("libc++abi", "terminate called", "what():", "Fatal Python error")
_MLX_TAGS = (
    r"(?:METAL|metal::malloc|malloc(?:_or_wait)?|ring|jaccl|nccl|mpi|distributed|load(?:_\w+)?|safetensor|read|write"
    r"|Rank \d+|json\.exception\.\w+\.\d+)"
)
_DOUBLE_BRACKETS = re.compile(rf"\[\[({_MLX_TAGS})\]\]")
# Behind an exception's name nothing else can stand there; elsewhere it could be an ordinary word.
_LOST_BRACKETS = re.compile(rf"(?:^|(?<=: )|(?<= - ))({_MLX_TAGS}) (?=[A-Z])|(?<=Error: )({_MLX_TAGS}) (?=[a-z])")
_CRASH_WARNING = re.compile(r"\bWARN(?:ING)?\b.{0,120}\b(?:crashed|died|terminated)\b")
_WARNING = re.compile(r"\b(?:WARN(?:ING)?|DEBUG|TRACE|warn(?:ing)?|debug)\b")
_FAILURE = re.compile(
    r"fail|could ?n[o']t|can ?n[o']t|can't|unable|error|exception|\blost\b|\bno\b|without|timed out|unavailable|broken",
    re.IGNORECASE,
)
_LOGFMT = re.compile(r"(?:time=\S+ )?level=(?P<level>[A-Za-z]+)\b")
_LOGFMT_TEXT = re.compile(r"\b(?:msg|error|err|stderr)=(?P<value>\"(?:[^\"\\]|\\.)*\"|\S+)")
_LOW_LEVELS = ("trace", "debug", "info", "notice", "warn")
_LEVEL_KEYS = ("level", "levelname", "severity", "lvl", "log.level")
_TEXT_KEYS = ("message", "msg", "event", "text", "log")
_TRACE_KEYS = ("exc_info", "exception", "traceback", "stack", "stack_trace", "exc_text", "error")


class Level(IntEnum):
    """How a log line presents itself."""

    NONE = 0
    BENIGN = 1
    ERROR = 2


def clean(text: str) -> str:
    """`text` without escape codes and trailing white space."""
    return (_ANSI.sub("", text) if "\x1b" in text else text).rstrip()


def restored(text: str) -> str:
    """`text` with the brackets of MLX's tags, and the characters that HTML escapes, as MLX wrote them."""
    if "&" in text and ";" in text:
        text = html.unescape(text)
    if "[[" in text:
        text = _DOUBLE_BRACKETS.sub(r"[\1]", text)
    return _LOST_BRACKETS.sub(lambda found: f"[{found[1] or found[2]}] ", text)


def body(text: str) -> str:
    """`text` without rank tags and time stamps in front; indentation behind them is kept."""
    for _ in range(3):
        found = _TAG.match(text) or _STAMP.match(text)
        if found is None:
            break
        text = text[found.end() :]
    return text


def level_before(text: str, position: int) -> Level:
    """The level of the last logging header in front of `position`."""
    level = Level.NONE
    for found in _LEVEL.finditer(text[: position + 8]):
        if found.start() >= position:
            break
        level = Level.ERROR if (found.lastgroup or "").startswith("high") else Level.BENIGN
    return level


def is_quoted(text: str, position: int) -> bool:
    """Whether the text at `position` is somebody's words inside quotes or a request body."""
    before = text[:position]
    return (
        before.count('"') % 2 == 1
        or before.endswith(("`", "\u201c", "'"))
        or (before.count("`") % 2 == 1 and "`" in text[position:])
        or len(_BOLD.findall(before)) % 2 == 1
        or _QUOTING_KEY.search(before) is not None
    )


def is_prose(text: str, position: int) -> bool:
    """Whether the tag at `position` stands within a sentence: words before it, and words after what it says."""
    if not text.startswith("[", position) or not _WORDS_BEFORE.search(text, 0, position):
        return False
    return _WORDS_AFTER.search(text, position) is not None


def is_glued(text: str, position: int) -> bool:
    """Whether the text at `position` was written straight behind other output, without a separator."""
    return position > 0 and (text[position - 1].isalnum() or text[position - 1] in ".%)]>")


def tells_of_recovery(text: str) -> bool:
    """Whether the line says that the program goes on."""
    return _RECOVERED.search(text) is not None


def was_retried(text: str) -> bool:
    """Whether somebody caught the failure that the line tells of, and tried again."""
    return _RETRIED.search(text) is not None and not any(words in text for words in _NO_WAY_BACK)


def warns_of_crash(text: str) -> bool:
    """Whether a warning says that something else came to its end: then what follows it is meant."""
    return _CRASH_WARNING.search(text) is not None


def warns_of_failure(text: str) -> bool:
    """Whether the line is a warning, or less, of something that did not work: what follows it was handled."""
    low = level_before(text, len(text)) is Level.BENIGN and _WARNING.search(text) is not None
    failed = _FAILURE.search(text) is not None and not warns_of_crash(text)
    return (low and failed) or was_retried(text)


def log_record(text: str) -> tuple[Level, tuple[str, ...]] | None:
    """Level and text lines of a line that is one structured log record; None when it is not."""
    return _logfmt_record(text) or _json_record(text)


def _logfmt_record(text: str) -> tuple[Level, tuple[str, ...]] | None:
    found = _LOGFMT.match(text)
    if found is None:
        return None
    values = [one["value"] for one in _LOGFMT_TEXT.finditer(text)]
    # What Ollama's server passes on from a runner has the runner's name first, and a level that means nothing.
    relayed = len(values) > 1 and values[0].endswith("runner")
    low = found["level"].lower().startswith(_LOW_LEVELS)
    level = Level.NONE if relayed else Level.BENIGN if low else Level.ERROR
    return level, tuple(_unquoted(value) for value in values)


def _unquoted(value: str) -> str:
    try:
        return str(json.loads(value)) if value.startswith('"') else value
    except ValueError:
        return value.strip('"')


def _json_record(text: str) -> tuple[Level, tuple[str, ...]] | None:
    """Level and text lines of a line that is one JSON log record; None when it is not."""
    if not (text.startswith("{") and text.endswith("}")):
        return None
    try:
        decoded: object = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(decoded, dict):
        return None
    record = cast(dict[str, object], decoded)
    named = next((str(record[key]).lower() for key in _LEVEL_KEYS if key in record), "")
    low = named.startswith(_LOW_LEVELS) or named in ("10", "20", "30")
    texts = [value for key in (*_TRACE_KEYS, *_TEXT_KEYS) if isinstance(value := record.get(key), str)]
    if not named and not texts:
        return None
    level = Level.BENIGN if low else Level.ERROR if named else Level.NONE
    return level, tuple(line for value in texts for line in value.split("\n") if line.strip())
