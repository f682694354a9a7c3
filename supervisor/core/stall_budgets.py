"""How long a rank may stand still, by what it does: learned from the longest honest silences, with a floor and a cap.

The theory. Nobody can know how long a step takes on a machine that was never seen, so a budget begins at the cap. Every
silence that ended by itself was honest; after `enough` of them the budget is ten times the longest, at least the
activity's floor, at most the cap. What was learned outlives generations: a restart makes no machine faster.

| activity                                     | floor, in floors | enough | cap            |
| -------------------------------------------- | ---------------- | ------ | -------------- |
| connecting                                   | not learned      |        | the start's    |
| loading                                      | 4                | 8      | the start's    |
| warming up                                   | 4                | 8      | the start's    |
| preparing a request                          | 2                | 4      | serving's      |
| prefilling                                   | 4                | 8      | serving's      |
| decoding                                     | 1                | 20     | serving's      |
| agreeing with the other ranks                | as decoding, and only once no rank is busy otherwise  |||
| idle, although a request is in flight        | 1                | 4      | serving's      |

The floors of prefill and load are wide because what teaches them can be small: a short prompt says nothing about a
full chunk of eight, a layer from the page cache nothing about one from a disk.
"""

import msgspec

from transports.progress import Activity

_TIMES_THE_LONGEST = 10.0
_STARTING = frozenset({Activity.CONNECTING, Activity.LOADING, Activity.WARMING_UP})


class StallLimits(msgspec.Struct, frozen=True):
    """The bounds of every budget, in seconds: `floor_s` for the shortest, `serving_s` and `starting_s` for the longest.

    A floor above its cap counts as the cap.
    """

    serving_s: float = 120.0
    starting_s: float = 120.0
    floor_s: float = 15.0


class Budget(msgspec.Struct, frozen=True):
    """The longest silence that is not a stall. `is_learned` is False for the cautious value of the beginning."""

    limit_s: float
    is_learned: bool


class _Rule(msgspec.Struct, frozen=True):
    floors: int
    enough: int


_RULES = {
    Activity.LOADING: _Rule(4, 8),
    Activity.WARMING_UP: _Rule(4, 8),
    Activity.PREPARING: _Rule(2, 4),
    Activity.PREFILL: _Rule(4, 8),
    Activity.DECODE: _Rule(1, 20),
    Activity.IDLE: _Rule(1, 4),
}


class StallBudgets:
    """What was learned, for the life of a group. Pure: no clock."""

    def __init__(self, limits: StallLimits) -> None:
        self._limits = limits
        self._longest_s: dict[Activity, float] = {}
        self._seen: dict[Activity, int] = {}

    def learn(self, activity: Activity, silence_s: float) -> None:
        """A rank was silent for so long in this activity, and then moved by itself."""
        self._seen[activity] = self._seen.get(activity, 0) + 1
        self._longest_s[activity] = max(silence_s, self._longest_s.get(activity, 0.0))

    def of(self, activity: Activity) -> Budget:
        """Return the activity's budget as of now."""
        activity = Activity.DECODE if activity is Activity.AGREEING else activity
        cap_s = self._limits.starting_s if activity in _STARTING else self._limits.serving_s
        rule = _RULES.get(activity)
        if rule is None or self._seen.get(activity, 0) < rule.enough:
            return Budget(cap_s, is_learned=False)
        wanted_s = max(_TIMES_THE_LONGEST * self._longest_s[activity], rule.floors * self._limits.floor_s)
        return Budget(min(wanted_s, cap_s), is_learned=True)
