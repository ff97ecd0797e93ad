"""Writes the tables of docs/reproduction-attention.md from what `ffmem reproduce-attention --out` has written.

python docs/reproduction_attention.py runs/attention-minilm runs/attention-reference runs/attention-smollm2
"""

import json
import sys
from pathlib import Path
from typing import Any

from ffmem.analyses.intervals import Estimate
from ffmem.studies.kobayashi2020.experiments import AttentionFindings
from ffmem.studies.kobayashi2020.page import headlines, shapes

PAGE = Path(__file__).with_name("reproduction-attention.md")


def read(folder: Path) -> AttentionFindings:
    """What a study found."""
    return AttentionFindings(**_estimates(json.loads((folder / "results.json").read_text())))


def _estimates(value: Any) -> Any:
    if isinstance(value, dict):
        if value.keys() == {"value", "low", "high", "n"}:
            return Estimate(**value)
        return {name: _estimates(inner) for name, inner in value.items()}
    return [_estimates(inner) for inner in value] if isinstance(value, list) else value


def _order(key: tuple[str, ...]) -> tuple[bool, str]:
    """The sections of the first paper, then the second paper."""
    return key[0].startswith("2"), key[0]


def table(rows: list[list[str]]) -> str:
    """Rows as Markdown, the first one as the head."""
    return "\n".join("| " + " | ".join(row) + " |" for row in [rows[0], ["---"] * len(rows[0]), *rows[1:]])


def main() -> None:
    """Write what stands behind the mark."""
    studies = [read(Path(folder)) for folder in sys.argv[1:]]
    names = [f"{found.model} on {found.corpus}" for found in studies]
    numbers = [{(one.item, one.quantity, one.paper): one.text() for one in headlines(found)} for found in studies]
    keys = sorted(dict.fromkeys(key for column in numbers for key in column), key=_order)
    rows = [["", "quantity", "paper", *names]]
    rows += [[*key, *(column.get(key, "-") for column in numbers)] for key in keys]
    held = [
        {(one.item, one.claim): f"{'**yes**' if one.holds else 'not shown'}: {one.why}" for one in shapes(found)}
        for found in studies
    ]
    claims = sorted(dict.fromkeys(key for column in held for key in column), key=_order)
    told = [
        ["", "what the papers saw", *names],
        *([*key, *(column.get(key, "-") for column in held)] for key in claims),
    ]
    sizes = [["", *names]]
    sizes += [
        ["texts", *(f"{found.n_texts:,}" for found in studies)],
        ["tokens", *(f"{found.n_tokens:,}" for found in studies)],
        ["tokens that frequencies come from", *(f"{found.n_counted:,}" for found in studies)],
        ["layers x heads", *(f"{len(found.layers)} x {found.n_heads}" for found in studies)],
    ]
    text = PAGE.read_text().split("<!-- tables -->")[0]
    parts = [table(sizes), "## Numbers", table(rows), "## What the papers saw", table(told)]
    PAGE.write_text(text + "<!-- tables -->\n\n" + "\n\n".join(parts) + "\n")


if __name__ == "__main__":
    main()
