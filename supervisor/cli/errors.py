"""What a command says when it cannot do what it was asked."""

from supervisor.exit_code import ExitCode


class CommandError(Exception):
    """Ends the command: one line with the remedy, and an exit code that scripts can use."""

    def __init__(self, message: str, remedy: str, exit_code: ExitCode) -> None:
        super().__init__(message)
        self.remedy = remedy
        self.exit_code = exit_code
