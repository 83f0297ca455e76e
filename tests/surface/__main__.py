"""Compare the names of the official SDK with those of tunesmith.

python -m tests.surface            prints the comparison
python -m tests.surface --write    writes it to the documentation, and the migration guide's tables

Exits with 1 if a name is neither here nor explained.
"""

import sys

from tests.surface.comparison import GUIDE, PAGE, compare, read_official, render, with_names

comparison = compare(read_official())
page = render(comparison)
if "--write" in sys.argv:
    PAGE.write_text(page)
    GUIDE.write_text(with_names(GUIDE.read_text()))
else:
    sys.stdout.write(page)
for name in comparison.unexplained:
    sys.stderr.write(f"unexplained: {name}\n")
sys.exit(bool(comparison.unexplained))
