"""New names of the official SDK's names, read from the tables of `_sdk_names`."""

import re
from typing import NamedTuple

import tunesmith
from tunesmith import types
from tunesmith._sdk_names import INSTEAD, SYNCHRONOUS, find_hint

__all__ = [
    "BUILTINS",
    "Translation",
    "public_path",
    "translate_member",
    "translate_name",
    "translate_parameter",
]

BUILTINS = frozenset({"None", "str"})
"""Replacements that need no import."""

_CODE = re.compile(r"([A-Za-z_][\w.]*)(?:\(…\))?")
_PARAMETER = re.compile(r"(\w+)=…")
_CLIENT = "tunesmith.AsyncClient("
_FUNCTIONS = frozenset({"file_from_path"})
_PACKAGES = frozenset({"pydantic", "tunesmith"})


class Translation(NamedTuple):
    """Translation of a name.

    Attributes:
        path: The new name, such as `tunesmith.RateLimitError`; None if it cannot be translated.
        hint: What to write instead, for a name that cannot be translated.
        is_synchronous: Whether the name belongs to the synchronous client, or is the module used
            as one.
    """

    path: str | None
    hint: str = ""
    is_synchronous: bool = False


def public_path(path: str) -> str:
    """Return the public path of a class that is imported from a private module.

    Args:
        path: The path, such as `openai._exceptions.APIError`.
    """
    _, *modules, name = path.split(".") if "." in path else ["", path]
    is_public = not modules or modules[0] == "types" or name[:1].islower()
    return path if is_public else f"openai.{name}"


def translate_name(path: str) -> Translation | None:
    """Translate a name that is imported from the official SDK; None for a module.

    Args:
        path: The name, such as `openai.types.chat.ChatCompletion`.
    """
    module, _, name = path.partition(".")[2].rpartition(".")
    if module.partition(".")[0] == "types":
        return _translate_type(name) if name[:1].isupper() else None
    return None if module or not name else _translate_name(name)


def _translate_name(name: str) -> Translation | None:
    if name in SYNCHRONOUS:
        return Translation(None, find_hint(("openai",), name) or "", is_synchronous=True)
    if name in dir(tunesmith):
        return Translation(f"tunesmith.{name}")
    translation = _from_table("openai", name)
    if translation is None and not name.islower():
        return Translation(None, "tunesmith has no such name")
    return translation


def _translate_type(name: str) -> Translation:
    if name in dir(types):
        return Translation(f"tunesmith.types.{name}")
    unknown = Translation(None, "tunesmith.types has no such type; annotate it otherwise")
    return _from_table("types", name) or unknown


def _from_table(owner: str, name: str) -> Translation | None:
    instead = INSTEAD[owner].get(name, "")
    if name.startswith("Async") and instead.startswith(_CLIENT):
        return Translation("tunesmith.AsyncClient")
    code = _CODE.fullmatch(instead)
    if code and (code[1] in BUILTINS or code[1].partition(".")[0] in _PACKAGES):
        return Translation(code[1])
    if name.startswith("DefaultAsync"):
        return Translation("httpx.AsyncClient")
    hint = find_hint((owner,), name)
    is_client = owner == "openai" and name not in _FUNCTIONS
    is_client = is_client and instead.startswith(("client.", _CLIENT))
    return Translation(None, hint, is_client) if hint else None


def translate_member(owner: str, name: str) -> str | None:
    """Return the new name of an attribute that is only named otherwise; None for others.

    Args:
        owner: The owner, such as `error`.
        name: The attribute, such as `http_status`.
    """
    instead = INSTEAD[owner].get(name, "")
    renamed = re.fullmatch(rf"{owner}\.(\w+)(?:\(\))?", instead)
    return renamed[1] if renamed else None


def translate_parameter(operation: str, name: str) -> Translation:
    """Translate a parameter that a method does not have.

    Args:
        operation: Name of the operation, such as `chat.completions.create`.
        name: The parameter.
    """
    for owner in (operation, "parameter"):
        instead = INSTEAD.get(owner, {}).get(name)
        if instead and (renamed := _PARAMETER.fullmatch(instead)):
            return Translation(renamed[1])
    hint = find_hint((operation, "parameter"), name)
    return Translation(None, hint or f"write extra_body={{{name!r}: …}}")
