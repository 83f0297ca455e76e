"""How much of a text is in upper case, counted by C as far as it is ASCII."""

import re

__all__ = ["CaseStats"]

_UPPER = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_ASCII = re.compile("[\x00-\x7f]+")


class CaseStats:
    """Counts letters in upper and in lower case."""

    def __init__(self) -> None:
        self._upper = 0
        self._lower = 0

    def see(self, text: str) -> None:
        """Count the letters of a text."""
        raw = text.encode(errors="surrogatepass")
        # Most letters are in lower case, so that little is left to look at for the others.
        rest = raw.translate(None, _UPPER.lower())
        self._lower += len(raw) - len(rest)
        self._upper += len(rest) - len(rest.translate(None, _UPPER))
        if not text.isascii():
            for character in _ASCII.sub("", text):
                if character.isalpha():
                    self._upper += character.isupper()
                    self._lower += character.islower()

    @property
    def mostly_upper(self) -> bool:
        """Whether more than a third of the letters are in upper case."""
        return self._upper * 2 > self._lower
