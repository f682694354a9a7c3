"""Node liveness: lost by a closed connection or by silence, back by itself, and never for the head's own sleep."""

from hypothesis import given, settings
from hypothesis import strategies as st

from supervisor.core.node_liveness import (
    Connected,
    Disconnected,
    Heard,
    LivenessAction,
    LivenessInput,
    LivenessLimits,
    LossReason,
    NodeBack,
    NodeLiveness,
    NodeLost,
    Tick,
)

LIMITS = LivenessLimits(reconnect_grace_s=0.5, node_silence_s=5.0, tick_s=0.25, max_gap_s=0.5)
STEP_S = 0.25


class Head:
    """Ticks as a shell does, whenever time passes."""

    def __init__(self) -> None:
        self.liveness = NodeLiveness(LIMITS)
        self.now = 100.0
        self.said: list[LivenessAction] = []

    def take(self, *inputs: LivenessInput) -> list[LivenessAction]:
        found = [action for one in inputs for action in self.liveness.handle(one, self.now)]
        self.said += found
        return found

    def passes(self, seconds: float, *heard: str) -> list[LivenessAction]:
        """Time passes while the head listens and hears these nodes."""
        found: list[LivenessAction] = []
        for _ in range(round(seconds / STEP_S)):
            self.now += STEP_S
            found += self.take(Tick(), *(Heard(node) for node in heard))
        return found


def joined(*nodes: str) -> Head:
    head = Head()
    for number, node in enumerate(nodes):
        head.take(Connected(node, number))
    return head


def test_a_node_that_speaks_is_never_lost() -> None:
    assert joined("a", "b").passes(60.0, "a", "b") == []


def test_a_closed_connection_is_a_loss_after_the_grace() -> None:
    head = joined("a", "b")
    assert head.take(Disconnected("a", 0)) == []
    assert head.passes(0.25, "b") == []
    assert head.passes(0.25, "b") == [NodeLost("a", LossReason.DISCONNECTED, 0.5)]
    assert head.liveness.lost("a") is LossReason.DISCONNECTED
    assert head.liveness.lost("b") is None
    assert head.passes(20.0, "b") == [], "said once"


def test_a_node_that_reconnects_in_time_is_not_lost() -> None:
    head = joined("a")
    head.take(Disconnected("a", 0))
    head.passes(0.25)
    head.take(Connected("a", 7))
    assert head.passes(4.5) == []


def test_the_old_connection_may_close_after_the_new_one_opened() -> None:
    head = joined("a")
    head.take(Connected("a", 7), Disconnected("a", 0), Disconnected("a", 0), Disconnected("a", 99))
    assert head.passes(4.5) == []
    head.take(Disconnected("a", 7))
    assert head.passes(0.5) == [NodeLost("a", LossReason.DISCONNECTED, 0.5)]


def test_what_is_read_after_its_connection_closed_does_not_hide_the_loss() -> None:
    head = joined("a")
    head.take(Disconnected("a", 0))
    assert head.passes(0.5, "a") == [NodeLost("a", LossReason.DISCONNECTED, 0.5)]


def test_silence_is_a_loss_after_its_time() -> None:
    head = joined("a", "b")
    assert head.passes(4.75, "b") == []
    assert head.passes(0.25, "b") == [NodeLost("a", LossReason.SILENT, 5.0)]


def test_a_lost_node_is_back_when_it_connects_or_speaks_again() -> None:
    head = joined("a", "b")
    head.take(Disconnected("a", 0))
    head.passes(5.0)
    assert head.take(Heard("a")) == []
    assert head.take(Heard("b")) == [NodeBack("b")]
    assert head.take(Connected("a", 3)) == [NodeBack("a")]
    assert head.passes(4.75, "a", "b") == []


def test_a_head_that_slept_loses_nobody_and_gives_everyone_a_fresh_window() -> None:
    head = joined("a", "b", "c")
    head.passes(4.5, "b")
    head.take(Disconnected("c", 2))
    head.now += 3600.0
    assert head.take(Tick()) == []
    assert head.take(Connected("c", 9)) == []
    assert head.passes(4.75, "b", "c") == []
    assert head.passes(0.25, "b", "c") == [NodeLost("a", LossReason.SILENT, 5.0)]


def test_the_first_message_after_the_sleep_may_come_before_the_tick() -> None:
    head = joined("a", "b")
    head.passes(4.5)
    head.now += 60.0
    assert head.take(Heard("a"), Tick(), Heard("b")) == []


def test_a_head_that_always_comes_late_still_finds_the_dead() -> None:
    head = joined("a", "b")
    for _ in range(30):
        head.now += 2.0
        head.take(Tick(), Heard("b"))
    assert [action.node for action in head.said if isinstance(action, NodeLost)] == ["a"]


def test_a_tick_is_due_often_enough_to_tell_a_sleep_from_a_silence() -> None:
    head = Head()
    assert head.liveness.deadline is None
    head.take(Connected("a", 0))
    assert head.liveness.deadline == head.now + LIMITS.tick_s
    head.passes(4.75)
    head.take(Disconnected("a", 0))
    head.passes(0.5)
    assert head.liveness.deadline is None, "nobody is left to lose"


def test_a_node_that_left_in_order_is_not_lost() -> None:
    head = joined("a", "b")
    head.take(Disconnected("a", 0))
    head.liveness.forget("a")
    assert head.passes(10.0, "b") == []
    assert head.take(Heard("a"), Connected("a", 4)) == [], "it joins anew"


NODES = st.sampled_from(["a", "b", "c"])
INPUTS = st.one_of(
    st.builds(Connected, NODES, st.integers(0, 3)),
    st.builds(Disconnected, NODES, st.integers(0, 3)),
    st.builds(Heard, NODES),
    st.just(Tick()),
)
SCRIPTS = st.lists(st.tuples(INPUTS, st.floats(0, LIMITS.max_gap_s)), max_size=120)


@settings(deadline=None)
@given(SCRIPTS)
def test_losses_are_true_and_take_turns_with_returns(script: list[tuple[LivenessInput, float]]) -> None:
    """Against a model that keeps the whole history, for a head that always listens."""
    head = Head()
    opened: dict[str, set[int]] = {}
    heard_at: dict[str, float] = {}
    closed_at: dict[str, float] = {}
    lost: set[str] = set()
    for one, passed_s in script:
        head.now += passed_s
        match one:
            case Connected(node, connection):
                opened.setdefault(node, set()).add(connection)
                heard_at[node] = head.now
                closed_at.pop(node, None)
            case Disconnected(node, connection) if connection in opened.get(node, ()):
                opened[node].discard(connection)
                if not opened[node]:
                    closed_at[node] = head.now
            case Heard(node) if opened.get(node):
                heard_at[node] = head.now
            case _:
                pass
        for action in head.take(one):
            if isinstance(action, NodeBack):
                assert action.node in lost
                lost.discard(action.node)
                continue
            assert action.node not in lost
            lost.add(action.node)
            since = closed_at.get(action.node, heard_at[action.node])
            assert abs(head.now - since - action.after_s) < 1e-6
        for node, since in heard_at.items():
            due = min(since + LIMITS.node_silence_s, closed_at.get(node, 1e9) + LIMITS.reconnect_grace_s)
            assert node in lost or head.now < due + 1e-6, "nobody stays unnoticed"
            assert node not in lost or head.now > due - 1e-6, "nobody is lost too early"


@settings(deadline=None)
@given(SCRIPTS, st.floats(0.51, 1e6))
def test_a_sleep_alone_never_loses_anybody(script: list[tuple[LivenessInput, float]], slept_s: float) -> None:
    head = Head()
    for one, passed_s in script:
        head.now += passed_s
        head.take(one)
    for node in "abc":
        head.take(Heard(node))
    head.now += slept_s
    assert not any(isinstance(action, NodeLost) for action in head.take(Tick(), Tick()))
