"""Writes the tables of docs/reproduction.md from studies that `ffmem study` has made.

python docs/reproduction.py runs/reproduction-reference runs/reproduction-smollm2
"""

import re
import sys
from pathlib import Path

from ffmem.studies.markdown import report_as_markdown
from ffmem.studies.report import report_of
from ffmem.studies.results import open_results

PAGE = Path(__file__).with_name("reproduction.md")


def main() -> None:
    """Put the tables between the marks of the page."""
    tables = report_as_markdown([report_of(open_results(folder)) for folder in sys.argv[1:]])
    text = PAGE.read_text("utf-8")
    begin, end = "<!-- tables -->", "<!-- end of tables -->"
    PAGE.write_text(
        re.sub(f"{begin}.*{end}", lambda _: f"{begin}\n\n{tables}\n\n{end}", text, flags=re.DOTALL), "utf-8"
    )


if __name__ == "__main__":
    main()
