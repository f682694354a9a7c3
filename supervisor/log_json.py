"""One line of the log as JSON."""

import traceback
from datetime import UTC
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from loguru import Record

_ENCODER = msgspec.json.Encoder()


def json_line(record: "Record") -> str:
    """Return the line with its end: `time` (RFC 3339, UTC), `level`, `message`, then what the line is bound to.

    An exception is in `exception`, its traceback without variables.
    """
    fields: dict[str, Any] = {
        "time": record["time"].astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "level": record["level"].name,
        "message": _whole(record["message"]),
    }
    fields |= {name: _plain(value) for name, value in record["extra"].items() if name not in fields}
    error = record["exception"]
    if error is not None and error.value is not None:
        fields["exception"] = _whole("".join(traceback.format_exception(error.value)))
    return _ENCODER.encode(fields).decode() + "\n"


def _plain(value: object) -> str | int | float | bool | None:
    """JSON has these; whatever else somebody binds is shown as text."""
    return value if isinstance(value, int | float | bool | None) else _whole(str(value))


def _whole(text: str) -> str:
    """Half a surrogate pair, as undecodable file names have, is not in UTF-8."""
    return text.encode("utf-8", "replace").decode()
