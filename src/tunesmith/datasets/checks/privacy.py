"""Keys and e-mail addresses in the text: a model may repeat them to anybody."""

import re
from collections.abc import Iterator

from tunesmith.datasets.checks.texts import find_markers
from tunesmith.datasets.findings import Finding, FindingCounter
from tunesmith.datasets.rows import Chunk

__all__ = ["SecretsCheck"]

_KEYS = re.compile(
    r"""\b(?:
        sk-[A-Za-z0-9_-]{20,}               # OpenAI and others
      | AKIA[0-9A-Z]{16}                    # AWS
      | gh[pousr]_[A-Za-z0-9]{30,}          # GitHub
      | xox[abprs]-[A-Za-z0-9-]{10,}        # Slack
      | AIza[0-9A-Za-z_-]{30,}              # Google
    )|-----BEGIN\ [A-Z ]*PRIVATE\ KEY-----""",
    re.VERBOSE,
)
_KEY_PREFIXES = ("sk-", "AKIA", "AIza", "-----BEGIN", *(f"xox{kind}-" for kind in "abprs"), "_")
_EMAIL = re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{2,63})+")


class SecretsCheck:
    """Looks for what should not be in training data."""

    def __init__(self, file: str | None) -> None:
        self._file = file
        self._keys = FindingCounter()
        self._emails = FindingCounter()

    def see(self, chunk: Chunk, texts: list[str]) -> None:
        """Look at some rows, and the text of each."""
        # To look for signs in all texts at once is quick; patterns are tried only where they are.
        joined = "\n".join(texts)
        if signs := find_markers(joined, _KEY_PREFIXES):
            _count(self._keys, _KEYS, signs, chunk, texts)
        if "@" in joined:
            _count(self._emails, _EMAIL, ["@"], chunk, texts)

    def findings(self) -> Iterator[Finding]:
        """Say what was found; secrets are masked."""
        if self._keys.count:
            yield self._keys.finding(
                "secret",
                "warning",
                f"{self._keys.count} rows seem to hold keys; the model could tell them to anybody. "
                "Take them out, and have the keys revoked.",
                file=self._file,
            )
        if self._emails.count:
            yield self._emails.finding(
                "email-address",
                "warning",
                f"{self._emails.count} rows hold e-mail addresses; the model could tell them to "
                "anybody.",
                file=self._file,
            )


def _count(
    tally: FindingCounter,
    pattern: re.Pattern[str],
    signs: list[str],
    chunk: Chunk,
    texts: list[str],
) -> None:
    suspects = {i for sign in signs for i, text in enumerate(texts) if sign in text}
    for i in sorted(suspects):
        if found := pattern.search(texts[i]):
            tally.add(chunk[i].line, excerpt=found[0][:4] + "…")
