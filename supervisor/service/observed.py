"""What a service manager says of the service."""

import msgspec


class ObservedService(msgspec.Struct, frozen=True, kw_only=True):
    """As the manager tells it; None where it does not. `loaded` is False when it does not know the service."""

    loaded: bool
    state: str
    pid: int | None = None
    starts: int | None = None
    last_exit_code: int | None = None
    last_signal: int | None = None
