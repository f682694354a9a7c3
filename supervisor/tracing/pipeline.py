"""From finished spans to a collector: OTLP over HTTP, in batches, on a thread of its own.

Serving never waits for it: spans are queued up to a bound and dropped beyond it, and a collector that does not answer
costs one warning.
"""

import logging
import threading

import anyio.to_thread
from loguru import logger
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from supervisor.log import message_of
from supervisor.redaction import redacted
from supervisor.tracing.request_spans import RequestSpans
from supervisor.version import version

_LAST_BATCH_S = 2.0
_MAX_LETTERS = 400
_SENDERS = ("opentelemetry.exporter.", "opentelemetry.sdk.trace.export", "opentelemetry.sdk._shared_internal")
"""Who logs that spans could not be sent: the exporter, and the queue before it, by its old and its new name."""


def check_variables() -> None:
    """Find out whether `Tracing` can be made with the OTEL_* variables as they are; nothing is sent.

    Raises:
        ValueError: One of them has a value that cannot be used.
    """
    _tell(logging.NullHandler())
    _provider().shutdown()


class Tracing:
    """The spans of requests and their way out. The standard OTEL_* variables say where they go, which, and as what.

    Args:
        model: The served model.
    """

    def __init__(self, model: str) -> None:
        warnings = _FirstOfEachKind()
        _tell(warnings)
        self._provider = _provider()
        warnings.is_sending = True
        self.spans = RequestSpans(self._provider.get_tracer("ringwarden", version()), model)

    async def close(self) -> None:
        """Send what is queued, for a short time at most."""
        # A daemon thread: a collector that hangs holds nobody's exit up.
        closing = threading.Thread(target=self._provider.shutdown, daemon=True)
        closing.start()
        await anyio.to_thread.run_sync(closing.join, _LAST_BATCH_S)


class _FirstOfEachKind(logging.Handler):
    """Logs the first thing that goes wrong in sending, and the first that each other part of the library complains of.

    Each batch would tell the same again; and a client's odd header must not use up the word about a collector.
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._told: set[str] = set()
        self.is_sending = False
        """From then on, what those complain of that send is a loss; before, it is a variable that they do without."""

    def emit(self, record: logging.LogRecord) -> None:
        """Log it, if it is the first of its kind."""
        is_loss = self.is_sending and record.name.startswith(_SENDERS)
        kind = "sending" if is_loss else record.name
        if kind in self._told:
            return
        self._told.add(kind)
        what = "traces are lost, and only this is logged about it" if is_loss else "OpenTelemetry says, once"
        # Headers and addresses with passwords may be in it.
        logger.warning("{}: {}", what, redacted(message_of(record))[:_MAX_LETTERS])


def _provider() -> TracerProvider:
    provider = TracerProvider(resource=_resource(), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider


def _resource() -> Resource:
    """Who sends: what OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES say, else Ringwarden of this version."""
    told = Resource.create()
    if not str(told.attributes[SERVICE_NAME]).startswith("unknown_service"):
        return told
    return told.merge(Resource({SERVICE_NAME: "ringwarden", SERVICE_VERSION: version()}))


def _tell(handler: logging.Handler) -> None:
    log = logging.getLogger("opentelemetry")
    log.propagate = False
    log.handlers = [handler]
