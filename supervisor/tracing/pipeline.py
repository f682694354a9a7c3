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

from supervisor.tracing.request_spans import RequestSpans
from supervisor.version import version

_LAST_BATCH_S = 2.0


class Tracing:
    """The spans of requests and their way out. The standard OTEL_* variables say where they go, which, and as what.

    Args:
        model: The served model.
    """

    def __init__(self, model: str) -> None:
        _warn_once()
        self._provider = TracerProvider(resource=_resource(), shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self.spans = RequestSpans(self._provider.get_tracer("ringwarden", version()), model)

    async def close(self) -> None:
        """Send what is queued, for a short time at most."""
        # A daemon thread: a collector that hangs holds nobody's exit up.
        closing = threading.Thread(target=self._provider.shutdown, daemon=True)
        closing.start()
        await anyio.to_thread.run_sync(closing.join, _LAST_BATCH_S)


class _FirstFailure(logging.Handler):
    """Logs the first thing that goes wrong; each batch would tell it again."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._told = False

    def emit(self, record: logging.LogRecord) -> None:
        """Log it, if it is the first."""
        if not self._told:
            self._told = True
            logger.warning("traces are lost, and only this is logged about it: {}", record.getMessage())


def _resource() -> Resource:
    """Who sends: what OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES say, else Ringwarden of this version."""
    told = Resource.create()
    if not str(told.attributes[SERVICE_NAME]).startswith("unknown_service"):
        return told
    return told.merge(Resource({SERVICE_NAME: "ringwarden", SERVICE_VERSION: version()}))


def _warn_once() -> None:
    log = logging.getLogger("opentelemetry")
    log.propagate = False
    log.handlers = [_FirstFailure()]
