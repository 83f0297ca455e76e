"""Keys and e-mail addresses in texts, which a model may repeat to anybody."""

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
    """Check for keys and e-mail addresses."""

    def __init__(self, file: str | None) -> None:
        self._file = file
        self._keys = FindingCounter()
        self._emails = FindingCounter()

    def update(self, chunk: Chunk, texts: list[str]) -> None:
        """Inspect some rows, and the text of each."""
        # Markers are searched for in all texts at once; patterns are tried only where they occur.
        joined = "\n".join(texts)
        if markers := find_markers(joined, _KEY_PREFIXES):
            _count(self._keys, _KEYS, markers, chunk, texts)
        if "@" in joined:
            _count(self._emails, _EMAIL, ["@"], chunk, texts)

    def findings(self) -> Iterator[Finding]:
        """Yield the findings; secrets are masked."""
        if self._keys.count:
            yield self._keys.finding(
                "secret",
                "warning",
                f"{self._keys.rows}: possible keys, which the model could repeat to anybody. "
                "Remove the keys and revoke them.",
                file=self._file,
            )
        if self._emails.count:
            yield self._emails.finding(
                "email-address",
                "warning",
                f"{self._emails.rows}: e-mail addresses, which the model could repeat to anybody.",
                file=self._file,
            )


def _count(
    counter: FindingCounter,
    pattern: re.Pattern[str],
    markers: list[str],
    chunk: Chunk,
    texts: list[str],
) -> None:
    suspects = {i for marker in markers for i, text in enumerate(texts) if marker in text}
    for i in sorted(suspects):
        if match := pattern.search(texts[i]):
            counter.add(chunk[i].line, excerpt=match[0][:4] + "…")
