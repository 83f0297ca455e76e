"""What must not be in a cassette: keys, passwords, cookies, whoever pays."""

import json
import os
import re
from collections.abc import Iterable, Mapping

__all__ = ["REMOVED", "Redaction"]

REMOVED = "(removed)"
"""Stands where the value of a header or of a parameter was."""

_SECRET_WORDS = frozenset(
    {"apikey", "auth", "authorization", "cookie", "credential", "credentials", "key", "passwd"}
    | {"password", "secret", "sig", "signature", "token"}
)
_ACCOUNT_WORDS = frozenset({"organization", "project"})
_WORDS = re.compile(r"[^a-z]+")

_IN_BODIES = re.compile(
    rb"""
      \b(?:sk|sess|rk)-[\w-]{16,}                      # OpenAI and others
    | \bAKIA[0-9A-Z]{16}                               # AWS
    | \bwhsec_[\w+/=-]{16,}                            # webhooks
    | \bgh[pousr]_[A-Za-z0-9]{30,}                     # GitHub
    | \bgithub_pat_\w{30,}
    | \bglpat-[\w-]{16,}                               # GitLab
    | \bnpm_[A-Za-z0-9]{30,}                           # npm
    | \bhf_[A-Za-z0-9]{30,}                            # Hugging Face
    | \bxox[abprs]-[A-Za-z0-9-]{10,}                   # Slack
    | \bAIza[\w-]{30,}                                 # Google
    | \beyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]*              # JSON web tokens
    | -----BEGIN\ [A-Z ]*PRIVATE\ KEY-----[\w+/=\s\\]*
    | (?<=[Bb]earer\ )[\w.~+/-]{20,}
    | (?<=://)[^\s/:@"\\]+:[^\s/@"\\]+(?=@)             # who signs in by a URL
    """,
    re.VERBOSE,
)
_NAMES = (
    rb"(?:[\w-]*[-_])?(?:api[-_]?key|authorization|passw(?:or)?d|secret|private[-_]key"
    rb"|(?:access|refresh|id)[-_]token)"
)
_NAMED = re.compile(
    rb'"%(names)s"\s*:\s*"((?:[^"\\]|\\.)+)"'
    rb'|\\"%(names)s\\"\s*:\s*\\"([^"\\]+)\\"'  # JSON in a text of JSON
    # The query of a URL in a text.
    rb"|[?&](?:%(names)s|(?:[\w-]*-)?(?:key|sig|signature|token))=([^\s&\"'\\<>]+)"
    % {b"names": _NAMES},
    re.IGNORECASE,
)
_SHORTEST_CHARS = 8
"""Shorter texts are too often part of others to be taken out everywhere."""


class Redaction:
    """Takes secrets out of what is written down.

    In bodies each byte of a secret becomes `*`: lengths, ranges and chunks stay as they are.

    Args:
        secrets: Texts to take out wherever they stand, besides what looks like a secret, and
            besides the key in `OPENAI_API_KEY`.

    Example:
        ```python
        from tunesmith.testing.cassettes.redaction import Redaction

        assert Redaction(["open sesame"]).body(b"say open sesame!") == b"say ***********!"
        ```
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        given = {*secrets, os.environ.get("OPENAI_API_KEY", "")}
        known = {text for text in given if len(text) >= _SHORTEST_CHARS}
        known |= {json.dumps(text)[1:-1] for text in known}
        longest_first = sorted(known, key=len, reverse=True)
        patterns = [re.escape(text).encode() for text in longest_first]
        self._known = re.compile(b"|".join(patterns)) if patterns else None

    def body(self, content: bytes) -> bytes:
        """Take secrets out of bytes; their number stays."""
        if self._known is not None:
            content = self._known.sub(_mask, content)
        content = _NAMED.sub(_mask_value, content)
        return _IN_BODIES.sub(_mask, content)

    def text(self, text: str) -> str:
        """Take secrets out of a text."""
        return self.body(text.encode(errors="replace")).decode()

    def headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        """Take secrets out of headers; their names stay."""
        secret = _SECRET_WORDS | _ACCOUNT_WORDS
        return {
            name: REMOVED if _has_word(name, secret) else self.text(value)
            for name, value in headers.items()
        }

    def query(self, query: Iterable[tuple[str, str]]) -> list[str]:
        """Write a query down as `name=value`, without secrets."""
        return [
            f"{name}={REMOVED if _has_word(name, _SECRET_WORDS) else self.text(value)}"
            for name, value in query
        ]


def _has_word(name: str, words: frozenset[str]) -> bool:
    return not words.isdisjoint(_WORDS.split(name.lower()))


def _mask(found: re.Match[bytes]) -> bytes:
    return b"*" * len(found[0])


def _mask_value(found: re.Match[bytes]) -> bytes:
    group = found.lastindex or 0
    start, end = found.start(group) - found.start(), found.end(group) - found.start()
    return found[0][:start] + b"*" * (end - start) + found[0][end:]
