"""Why a model named by the operator cannot be served."""

EX_USAGE, EX_DATA, EX_UNAVAILABLE = 64, 65, 69


class ModelSourceError(Exception):
    """A model name cannot be turned into a folder with a model in it.

    Args:
        model: The name as the operator wrote it.
        reason: What is wrong, one sentence without the final full stop.
        remedy: What the operator can do, one sentence without the final full stop.
        exit_code: sysexits: 64 for a name that can be no model, 65 for a broken model, 69 for one that cannot be had.
    """

    def __init__(self, model: str, reason: str, remedy: str, exit_code: int) -> None:
        super().__init__(f"Cannot use the model {model!r}: {reason}. {remedy}.")
        self.model = model
        self.reason = reason
        self.remedy = remedy
        self.exit_code = exit_code
