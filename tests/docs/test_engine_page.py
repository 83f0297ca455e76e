"""The engine of the how-to page passes the tests that the page recommends."""

import re
from pathlib import Path

from tunesmith.testing import EngineContract

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "engine.md"


class TestTheEngineOfThePage(EngineContract):
    def engine(self):
        names = {}
        snippet = re.search(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
        exec(snippet.group(1), names)
        return names["ByteEngine"]()
