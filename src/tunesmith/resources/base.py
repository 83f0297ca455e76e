"""What every resource is."""

from tunesmith.calls.caller import Caller

__all__ = ["Resource"]


class Resource:
    """A noun of the API, with its operations as methods.

    Args:
        caller: Makes the calls.
    """

    def __init__(self, caller: Caller) -> None:
        self.caller = caller
