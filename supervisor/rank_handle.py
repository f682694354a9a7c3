"""What a group's supervisor needs of one rank, wherever its process runs."""

from collections.abc import Awaitable
from typing import Protocol

from diagnostics.evidence import SupervisorFinding
from diagnostics.incident import DeathCertificate
from diagnostics.phase import Phase
from supervisor.core.watchdog import RankObservation
from transports.messages import Command


class RankHandle(Protocol):
    """One rank of one generation. Used from the event loop; nothing but what is awaited waits."""

    @property
    def rank(self) -> int: ...

    @property
    def node(self) -> str:
        """The name of the node that its process runs on."""
        ...

    @property
    def pid(self) -> int | None:
        """None before the start, after the end, and while it is not known."""
        ...

    @property
    def phase(self) -> Phase: ...

    @property
    def step(self) -> int:
        """The last progress word."""
        ...

    @property
    def progress(self) -> str | None:
        """How far its phase is, `3/28`; None when it does not count."""
        ...

    @property
    def footprint_bytes(self) -> int | None:
        """The memory that its process holds; None where that is not known."""
        ...

    def send(self, command: Command) -> None:
        """Queue a command. A runner that is gone gets nothing.

        Raises:
            ChannelFull: When too many commands are unread.
            FrameViolation: When the command is larger than a frame.
        """
        ...

    def tasks_in_flight(self, tasks: int) -> None:
        """Tell how many tasks are owed an end: what a rank that leaves now leaves behind."""
        ...

    def stop(self, *, gracefully: bool) -> None:
        """Begin to end it, unless that began before; `gracefully` when it can still finish its token."""
        ...

    def condemn(self, finding: SupervisorFinding) -> None:
        """End the living runner because of what was found."""
        ...

    def dump_stacks(self) -> None:
        """Make the runner write its Python stacks; it goes on."""
        ...

    def observe(self, observe_s: float) -> Awaitable[RankObservation]:
        """Look at its process for so long."""
        ...

    async def run(self) -> DeathCertificate:
        """Supervise it to its end. Cancelling it kills the runner."""
        ...

    async def late_certificate(self) -> DeathCertificate | None:
        """After `run`: wait for what the system tells later about an unexplained SIGKILL; None when it never does."""
        ...
