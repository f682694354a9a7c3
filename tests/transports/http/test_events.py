"""`/events` byte for byte: ids, names, kinds, what is known already, silence, the end, the key."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import pytest

from diagnostics.phase import Phase
from supervisor.live.hub import LiveHub
from tests.transports.http.scripted_gateway import ScriptedGateway
from tests.transports.http.serving import RawClient, Serving, serving
from transports.http.limits import HttpSecurity
from transports.live import LiveEvent, Missed, OutputLine, PhaseChanged, RecordedEvent, Snapshot

DECODER = msgspec.json.Decoder(LiveEvent)


def phase(rank: int) -> PhaseChanged:
    return PhaseChanged(1.0, rank, Phase.READY, 1)


class Reader:
    """The events of one response; comments are kept apart."""

    def __init__(self, client: RawClient, path: str = "/events", **headers: str) -> None:
        self._client = client
        self._rest = b""
        self.comments: list[str] = []
        client.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        self.status, self.headers = client.head()

    def next(self) -> dict[str, Any] | None:
        """The fields of the next event; None when the response has ended as it should."""
        while True:
            block, found, rest = self._rest.partition(b"\n\n")
            if not found:
                chunk = self._client.chunk()
                if not chunk:
                    assert self._rest == b"", "it ends in the middle of an event"
                    return None
                self._rest += chunk
                continue
            self._rest = rest
            if block.startswith(b":"):
                self.comments.append(block.decode())
                continue
            return dict(line.split(": ", 1) for line in block.decode().split("\n"))

    def until(self, name: str) -> LiveEvent:
        """The next event of a kind."""
        while (fields := self.next()) is not None:
            if fields["event"] == name:
                return DECODER.decode(fields["data"])
        raise AssertionError(f"the response ended without {name}")


@contextmanager
def watched(*events: RecordedEvent, **changes: Any) -> Iterator[tuple[LiveHub, Serving, RawClient]]:
    gateway = ScriptedGateway()
    for event in events:
        gateway.live.publish(event)
    with serving(gateway, **changes) as server, RawClient(server.port) as client:
        yield gateway.live, server, client


def test_a_snapshot_comes_first_and_then_what_is_kept():
    with watched(phase(0), phase(1)) as (hub, _, client):
        reader = Reader(client, "/events?since=0")
        assert reader.status == 200
        assert reader.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert reader.headers["x-accel-buffering"] == "no"
        assert "no-store" in reader.headers["cache-control"]
        first = reader.next()
        assert first is not None
        assert "id" not in first
        snapshot = DECODER.decode(first["data"])
        assert isinstance(snapshot, Snapshot)
        assert snapshot.cluster.model == "tiny"
        assert [rank.rank for rank in snapshot.cluster.ranks] == [0, 1]
        second = reader.next()
        assert second is not None
        assert second == {
            "id": str(hub.newest_id - 1),
            "event": "PhaseChanged",
            "data": '{"type":"PhaseChanged","at":1.0,"rank":0,"phase":"ready","generation":1}',
        }
        assert reader.until("PhaseChanged") == phase(1)


def test_a_client_that_comes_back_says_where_it_was():
    with watched(phase(0), phase(1), phase(2)) as (hub, _, client):
        reader = Reader(client, "/events?since=0&types=PhaseChanged", last_event_id=str(hub.newest_id - 1))
        assert reader.until("PhaseChanged") == phase(2)


def test_a_client_that_was_sent_nothing_yet_can_come_back_too():
    with watched(phase(0)) as (hub, server, client):
        reader = Reader(client, "/events?types=PhaseChanged")
        server.call_later(0.1, lambda: hub.publish(phase(1)))
        assert reader.until("PhaseChanged") == phase(1)
        assert reader.comments[0] == f": ringwarden\nid: {hub.newest_id - 1}"


def test_only_the_kinds_that_are_asked_for():
    line = OutputLine(1.0, 1, "stderr", "<img src=x onerror=alert(1)>\n: \u2028", ("req-1",), "exact")
    with watched(phase(0), line) as (_, _, client):
        fields = Reader(client, "/events?since=0&types=OutputLine,OutputSkipped").next()
        assert fields is not None
        assert DECODER.decode(fields["data"]) == line


def test_snapshots_come_about_once_a_second_and_live_events_at_once():
    with watched() as (hub, server, client):
        reader = Reader(client)
        first = reader.until("Snapshot")
        began = time.monotonic()
        server.call(lambda: hub.publish(phase(5)))
        assert reader.until("PhaseChanged") == phase(5)
        assert time.monotonic() - began < 0.5
        second = reader.until("Snapshot")
        assert isinstance(first, Snapshot)
        assert isinstance(second, Snapshot)
        assert 0.9 < second.at - first.at < 2.5


def test_what_comes_in_quick_succession_comes_together():
    with watched() as (hub, server, client):
        client.request("GET", "/events?types=PhaseChanged")
        client.head()
        for number in range(100):
            server.call_later(number * 0.005, lambda rank=number: hub.publish(phase(rank)))
        chunks, text = 0, b""
        while b'"rank":99' not in text:
            text += client.chunk()
            chunks += 1
        assert text.count(b"event: PhaseChanged") == 100
        assert chunks < 30, "0.5 s are ten pauses"


def test_silence_is_filled_with_comments():
    with watched(comment_interval_s=1.2) as (hub, server, client):
        reader = Reader(client, "/events?types=PhaseChanged")
        server.call_later(1.0, lambda: hub.publish(phase(1)))
        reader.until("PhaseChanged")
        assert ": listening" in reader.comments


def test_it_ends_as_it_should_when_the_service_stops():
    with watched() as (hub, server, client):
        reader = Reader(client)
        reader.until("Snapshot")
        server.call(lambda: hub.publish(phase(9)))
        server.call(hub.close)
        assert reader.until("PhaseChanged") == phase(9)
        while reader.next() is not None:
            pass


@pytest.mark.parametrize(
    ("path", "param", "says"),
    [
        ("/events?since=yesterday", "since", "'yesterday'"),
        ("/events?since=-1", "since", "'-1'"),
        ("/events?types=Snapshot,Nonsense", "types", "Nonsense"),
    ],
)
def test_what_cannot_be_understood_is_refused(path: str, param: str, says: str):
    with watched() as (_, _, client):
        client.request("GET", path)
        status, _, body = client.whole()
        assert status == 400
        assert body["error"]["param"] == param
        assert says in body["error"]["message"]


def test_a_client_that_does_not_read_misses_lines_and_holds_nobody_up():
    with watched() as (hub, server, slow), RawClient(server.port) as quick:
        path = "/events?types=OutputLine,OutputSkipped,Missed"
        behind, ahead = Reader(slow, path), Reader(quick, path)

        def flood() -> None:
            for number in range(10_000):
                hub.publish(OutputLine(1.0, 0, "stderr", f"{number} " + "x" * 500, (), "none"))

        # Long enough that it does not fit into any buffer between here and there.
        for _ in range(3):
            server.call(flood)
        server.call(lambda: hub.publish(OutputLine(1.0, 0, "stderr", "the last one", (), "none")))
        assert _until_line(ahead, "the last one")
        assert _until_line(behind, "the last one")


def _until_line(reader: Reader, text: str) -> bool:
    """Whether events were missed before the line."""
    has_missed = False
    while (fields := reader.next()) is not None:
        event = DECODER.decode(fields["data"])
        if isinstance(event, OutputLine) and event.text == text:
            break
        has_missed = has_missed or isinstance(event, Missed)
    return has_missed


def test_its_head_alone_can_be_asked_for():
    with watched() as (_, _, client):
        client.request("HEAD", "/events")
        status, headers = client.head()
        assert (status, headers["content-type"]) == (200, "text/event-stream; charset=utf-8")


def test_too_many_listeners_are_refused_and_one_that_leaves_makes_room():
    gateway = ScriptedGateway()
    gateway.live = LiveHub(max_listeners=1)
    with serving(gateway) as server:
        with RawClient(server.port) as first:
            Reader(first).until("Snapshot")
            with RawClient(server.port) as second:
                second.request("GET", "/events")
                status, headers, body = second.whole()
                assert status == 429
                assert "retry-after" in headers
                assert body["error"]["code"] == "too_many_listeners"
        deadline = time.monotonic() + 10
        while True:
            with RawClient(server.port) as third:
                if Reader(third).status == 200:
                    return
            assert time.monotonic() < deadline


def test_it_needs_the_key():
    gateway = ScriptedGateway()
    with serving(gateway, security=HttpSecurity(api_key="secret")) as server:
        with RawClient(server.port) as client:
            client.request("GET", "/events")
            assert client.whole()[0] == 401
        with RawClient(server.port) as client:
            assert Reader(client, authorization="Bearer secret").status == 200
