"""A collector of traces: OTLP over HTTP, as protobuf."""

import threading
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

Attributes = dict[str, Any]


class ReceivedSpan:
    """One span as it came, with what it was sent by."""

    def __init__(self, span: Any, resource: Attributes) -> None:
        self.name: str = span.name
        self.trace_id: str = span.trace_id.hex()
        self.span_id: str = span.span_id.hex()
        self.parent_id: str = span.parent_span_id.hex()
        self.began_ns: int = span.start_time_unix_nano
        self.ended_ns: int = span.end_time_unix_nano
        self.is_error: bool = span.status.code == 2
        self.attributes = _plain(span.attributes)
        self.events = {event.name: _plain(event.attributes) for event in span.events}
        self.resource = resource


class Collector:
    """What has come so far."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.spans: list[ReceivedSpan] = []

    def of_request(self, request_id: str) -> ReceivedSpan | None:
        """The span of a request, once it is there."""
        found = (span for span in self.spans if span.attributes.get("ringwarden.request_id") == request_id)
        return next(found, None)

    def children(self, parent: ReceivedSpan) -> dict[str, ReceivedSpan]:
        """By name."""
        return {span.name: span for span in self.spans if span.parent_id == parent.span_id}


@contextmanager
def collector() -> Generator[Collector]:
    """Listen on a free port while the context lasts."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            for group in ExportTraceServiceRequest.FromString(body).resource_spans:
                resource = _plain(group.resource.attributes)
                collected.spans += [ReceivedSpan(span, resource) for scope in group.scope_spans for span in scope.spans]
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
            del format, args

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    collected = Collector(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield collected
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _plain(attributes: Any) -> Attributes:
    return {one.key: _value(one.value) for one in attributes}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(each) for each in value.array_value.values]
    return getattr(value, kind)
