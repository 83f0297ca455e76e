"""Removal of secrets from recordings: keys, passwords, cookies, account names."""

import json
import os
import re
from collections.abc import Iterable, Mapping

__all__ = ["REMOVED", "Redaction"]

REMOVED = "(removed)"
"""Replaces the value of a header or query parameter."""

_SAFE_REQUEST_HEADERS = frozenset(
    {"accept", "accept-encoding", "content-length", "content-type", "if-range", "openai-beta"}
    | {"range", "transfer-encoding", "user-agent"}
)

_SECRET_WORDS = frozenset(
    {"apikey", "auth", "authorization", "cookie", "credential", "credentials", "key", "passwd"}
    | {"password", "secret", "sig", "signature", "token"}
)
_KEY_VARIABLES = ("OPENAI_API_KEY", "AZURE_OPENAI_API_KEY")
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
    | (?<=://)[^\s/:@"\\]+:[^\s/@"\\]+(?=@)             # credentials in a URL
    """,
    re.VERBOSE,
)
_NAMES = (
    rb"(?:[\w-]*[-_])?(?:api[-_]?key|authorization|passw(?:or)?d|secret|private[-_]key"
    rb"|(?:access|refresh|id)[-_]token)"
)
_NAMED = re.compile(
    rb'"%(names)s"\s*:\s*"((?:[^"\\]|\\.)+)"'
    rb'|\\"%(names)s\\"\s*:\s*\\"([^"\\]+)\\"'  # JSON in a JSON string
    # The query of a URL in text.
    rb"|[?&](?:%(names)s|(?:[\w-]*-)?(?:key|sig|signature|token))=([^\s&\"'\\<>]+)"
    % {b"names": _NAMES},
    re.IGNORECASE,
)
_MIN_SECRET_CHARS = 8
"""Shorter texts occur too often within others to be removed everywhere."""


class Redaction:
    """Filter that removes secrets from recordings.

    In bodies each byte of a secret becomes `*`, so that lengths, ranges and chunks stay the same.

    Args:
        secrets: Texts to remove besides those that look like secrets and the keys in
            `OPENAI_API_KEY` and `AZURE_OPENAI_API_KEY`.

    Example:
        ```python
        from tunesmith.testing.cassettes.redaction import Redaction

        assert Redaction(["open sesame"]).body(b"say open sesame!") == b"say ***********!"
        ```
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets = tuple(secrets)
        keys = (os.environ.get(name, "") for name in _KEY_VARIABLES)
        known = {text for text in (*self._secrets, *keys) if len(text) >= _MIN_SECRET_CHARS}
        known |= {json.dumps(text)[1:-1] for text in known}
        longest_first = sorted(known, key=len, reverse=True)
        patterns = [re.escape(text).encode() for text in longest_first]
        self._known = re.compile(b"|".join(patterns)) if patterns else None

    def with_headers(self, headers: Mapping[str, str]) -> "Redaction":
        """Return a filter that also removes the values of a request's headers."""
        harmless = _SAFE_REQUEST_HEADERS | {"idempotency-key"}
        values = [value for name, value in headers.items() if name not in harmless]
        return Redaction((*self._secrets, *values)) if values else self

    def body(self, content: bytes) -> bytes:
        """Remove secrets from bytes; the length stays the same."""
        if self._known is not None:
            content = self._known.sub(_mask, content)
        content = _NAMED.sub(_mask_value, content)
        return _IN_BODIES.sub(_mask, content)

    def text(self, text: str) -> str:
        """Remove secrets from a text."""
        return self.body(text.encode(errors="replace")).decode()

    def headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        """Remove secret values from headers; the names stay."""
        secret = _SECRET_WORDS | _ACCOUNT_WORDS
        return {
            name: REMOVED if _has_word(name, secret) else self.text(value)
            for name, value in headers.items()
        }

    def request_headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        """Remove the values of all request headers except standard ones; the names stay.

        Users send secrets in headers of any name.
        """
        return {
            name: self.text(value) if name in _SAFE_REQUEST_HEADERS else REMOVED
            for name, value in headers.items()
        }

    def query(self, query: Iterable[tuple[str, str]]) -> list[str]:
        """Format a query as `name=value` without secrets."""
        return [
            f"{name}={REMOVED if _has_word(name, _SECRET_WORDS) else self.text(value)}"
            for name, value in query
        ]


def _has_word(name: str, words: frozenset[str]) -> bool:
    return not words.isdisjoint(_WORDS.split(name.lower()))


def _mask(match: re.Match[bytes]) -> bytes:
    return b"*" * len(match[0])


def _mask_value(match: re.Match[bytes]) -> bytes:
    group = match.lastindex or 0
    start, end = match.start(group) - match.start(), match.end(group) - match.start()
    return match[0][:start] + b"*" * (end - start) + match[0][end:]
