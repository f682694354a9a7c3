"""Whether requests are traced, and that what it needs is there."""

from typing import TYPE_CHECKING

from supervisor.settings import Settings

if TYPE_CHECKING:
    from supervisor.tracing.pipeline import Tracing


class TracingUnavailable(Exception):
    """`otel` is set, but nothing can be traced. `remedy` is what to do."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.remedy = f"{remedy}. Or leave the setting otel out"


def check_tracing(settings: Settings) -> None:
    """Find out early whether `open_tracing` will work: a download may take an hour.

    Raises:
        TracingUnavailable: Its packages are not installed, or a variable of theirs cannot be used.
    """
    if not settings.otel:
        return
    try:
        from supervisor.tracing.pipeline import check_variables  # noqa: PLC0415 - an extra
    except ImportError as absent:
        message = f"otel is set, but {absent.name} is not installed"
        raise TracingUnavailable(message, "Install them with: pip install 'ringwarden[otel]'") from absent
    try:
        check_variables()
    except ValueError as problem:
        message = f"otel is set, but a variable of OpenTelemetry (OTEL_*) cannot be used: {problem}"
        raise TracingUnavailable(message.rstrip("."), "Correct that variable") from problem


def open_tracing(settings: Settings, model: str) -> "Tracing | None":
    """Return what traces requests; None when nobody wants it. To be called after `check_tracing`.

    Args:
        settings: Checked settings. Where traces go, and how many, is said by the standard OTEL_* variables.
        model: The served model.
    """
    if not settings.otel:
        return None
    from supervisor.tracing.pipeline import Tracing  # noqa: PLC0415 - an extra

    return Tracing(model)
