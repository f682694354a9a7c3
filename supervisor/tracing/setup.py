"""Whether requests are traced, and that what it needs is there."""

from typing import TYPE_CHECKING

from supervisor.settings import Settings

if TYPE_CHECKING:
    from supervisor.tracing.pipeline import Tracing


class TracingUnavailable(Exception):
    """`otel` is set, but its packages are not installed. `remedy` is what to do."""

    remedy = "Install them with: pip install 'ringwarden[otel]'. Or leave the setting otel out"


def check_tracing(settings: Settings) -> None:
    """Find out early whether `open_tracing` will work: a download may take an hour.

    Raises:
        TracingUnavailable: See there.
    """
    if settings.otel:
        _pipeline()


def open_tracing(settings: Settings, model: str) -> "Tracing | None":
    """Return what traces requests; None when nobody wants it.

    Args:
        settings: Checked settings. Where traces go, and how many, is said by the standard OTEL_* variables.
        model: The served model.

    Raises:
        TracingUnavailable: The packages are not installed.
    """
    return _pipeline()(model) if settings.otel else None


def _pipeline() -> "type[Tracing]":
    try:
        from supervisor.tracing.pipeline import Tracing  # noqa: PLC0415 - an extra
    except ImportError as absent:
        raise TracingUnavailable(f"otel is set, but {absent.name} is not installed") from absent
    return Tracing
