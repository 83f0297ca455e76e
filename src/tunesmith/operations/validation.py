"""Names of operations, as faults, records and scripts are given them."""

from difflib import get_close_matches
from fnmatch import fnmatchcase

from tunesmith.operations import all_operations

__all__ = ["validate_operation_name"]


def validate_operation_name(pattern: str) -> None:
    """Make sure that there is an operation of a name: a mistyped one would never be met.

    Args:
        pattern: The name; `*` stands for any text. A request to a route that there is not has the
            empty name.

    Raises:
        ValueError: There is none.
    """
    names = [operation.spec.name for operation in all_operations()]
    if pattern and not any(fnmatchcase(name, pattern) for name in names):
        near = get_close_matches(pattern, names, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(sorted(names))}"
        raise ValueError(f"no operation is called {pattern!r}: {hint}")
