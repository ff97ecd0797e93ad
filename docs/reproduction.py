"""Writes the tables of docs/reproduction.md from studies that `ffmem reproduce` has made.

python docs/reproduction.py runs/reproduction-reference runs/reproduction-smollm2
"""

import re
import sys
from pathlib import Path

from ffmem import open_index
from ffmem.render import comparison
from ffmem.studies.geva2021.findings import Findings, findings
from ffmem.studies.geva2021.run import COSTS
from ffmem.studies.results import Results, open_results

PAGE = Path(__file__).with_name("reproduction.md")


def costs(studies: list[tuple[Results, Findings]]) -> str:
    """How long each experiment took: a row each."""
    seconds = [results.load(COSTS) for results, _ in studies]
    names = list(dict.fromkeys(name for one in seconds for name in one))
    head = ["experiment", *(f"{found.model}, s" for _, found in studies)]
    rows = [[name, *(f"{one[name]:,.0f}" if name in one else "-" for one in seconds)] for name in names]
    rows.append(["all", *(f"{sum(one.values()):,.0f}" for one in seconds)])
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows])


def main() -> None:
    """Put the tables between the marks of the page."""
    studies = [
        (results, findings(results, open_index(results.folder.parents[1])))
        for results in map(open_results, sys.argv[1:])
    ]
    numbers, shapes = comparison([found for _, found in studies], markdown=True).split("\n\n")
    tables = f"## Numbers\n\n{numbers}\n\n## Shapes\n\n{shapes}\n\n## What it took\n\n{costs(studies)}\n"
    text = PAGE.read_text("utf-8")
    begin, end = "<!-- tables -->", "<!-- end of tables -->"
    PAGE.write_text(re.sub(f"{begin}.*{end}", lambda _: f"{begin}\n\n{tables}\n{end}", text, flags=re.DOTALL), "utf-8")


if __name__ == "__main__":
    main()
