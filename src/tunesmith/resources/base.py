"""What every resource is."""

from tunesmith.calls.caller import Caller
from tunesmith.errors import InvalidRequestError

__all__ = ["Resource", "validate_poll_interval"]


class Resource:
    """A noun of the API, with its operations as methods.

    Args:
        caller: Makes the calls.
    """

    def __init__(self, caller: Caller) -> None:
        self.caller = caller


def validate_poll_interval(seconds: float) -> None:
    """Refuse to look again and again without a pause.

    Raises:
        InvalidRequestError: The interval is not above 0.
    """
    if not seconds > 0:
        raise InvalidRequestError(
            f"poll_interval must be more than 0 seconds, not {seconds}", param="poll_interval"
        )
