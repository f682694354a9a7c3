"""The progress word as the compute thread writes it and the pulse reads it.

One tuple is replaced as a whole, so that the pulse never sees half a change, and writing it costs less than a
microsecond: it happens several times for every token.
"""

from transports.progress import Activity, Collective, Progress

# step, activity, name and number of the last collective, whether it ended, done, total, bytes loaded
_Word = tuple[int, Activity, str, int, bool, int, int, int]


class Progression:
    """Written by the compute thread only; read by anybody.

    `step` grows where all ranks pass alike, so that ranks can be compared by it. What only one rank does, such as its
    share of the layers or a request's template, changes the rest of the word.
    """

    def __init__(self) -> None:
        self._word: _Word = (0, Activity.CONNECTING, "", 0, True, 0, 0, 0)

    def advance(self, activity: Activity) -> None:
        """All ranks come here: the next part begins."""
        step, _, name, number, ended, _, _, _ = self._word
        self._word = (step + 1, activity, name, number, ended, 0, 0, 0)

    def do(self, activity: Activity) -> None:
        """This rank does something of its own, or nothing."""
        step, _, name, number, ended, _, _, _ = self._word
        self._word = (step, activity, name, number, ended, 0, 0, 0)

    def count(self, done: int, total: int) -> None:
        """So much of the activity is done."""
        step, activity, name, number, ended, _, _, loaded = self._word
        self._word = (step, activity, name, number, ended, done, total, loaded)

    def load(self, count: int) -> None:
        """So many bytes more are in memory."""
        step, activity, name, number, ended, done, total, loaded = self._word
        self._word = (step, activity, name, number, ended, done, total, loaded + count)

    def enter(self, activity: Activity, collective: str) -> None:
        """This rank begins a collective: from now on it may wait for others."""
        step, _, _, number, _, done, total, _ = self._word
        self._word = (step, activity, collective, number + 1, False, done, total, 0)

    def leave(self) -> None:
        """The collective is over, for this rank."""
        step, activity, name, number, _, done, total, _ = self._word
        self._word = (step + 1, activity, name, number, True, done, total, 0)

    @property
    def word(self) -> Progress:
        """The word to send."""
        step, activity, name, number, ended, done, total, loaded = self._word
        collective = Collective(name, number, ended) if number else None
        return Progress(step, activity, collective, done, total, loaded)
