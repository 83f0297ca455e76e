"""The table of rules for training files lists every rule with its formats, wording and source."""

import re
from pathlib import Path

from tunesmith.training_rules import FORMATS, RULES

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "training-rules.md").read_text()
ROW = re.compile(r"^\| `([a-z-]+)` \| (.+) \| (.+) \| (.+) \|$", re.MULTILINE)
TABLE = {code: (formats, message, source) for code, formats, message, source in ROW.findall(PAGE)}


def test_the_table_has_every_rule_in_order():
    assert [*TABLE] == [*RULES]


def test_each_row_is_that_of_the_code():
    for code, rule in RULES.items():
        formats, message, source = TABLE[code]
        assert formats == (
            "all" if rule.formats == FORMATS else ", ".join(f"`{name}`" for name in rule.formats)
        )
        assert message.lower() == rule.message.lower()
        assert rule.source in source
