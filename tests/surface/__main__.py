"""Compare the names of the official SDK with those of tunesmith.

python -m tests.surface            prints the comparison
python -m tests.surface --write    writes it to the documentation

Exits with 1 if a name is neither here nor explained.
"""

import sys

from tests.surface.comparison import PAGE, compare, read_official, render

comparison = compare(read_official())
page = render(comparison)
if "--write" in sys.argv:
    PAGE.write_text(page)
else:
    sys.stdout.write(page)
for name in comparison.unexplained:
    sys.stderr.write(f"unexplained: {name}\n")
sys.exit(bool(comparison.unexplained))
