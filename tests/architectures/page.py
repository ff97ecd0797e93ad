"""The lists of the page on families: what the zoo shows of architectures that no file names."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ffmem.models.registry import FAMILIES
from tests.architectures.comparison import Outcome
from tests.architectures.making import ARCHITECTURES

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "families.md"
_BEGIN, _END = "<!-- by structure -->\n", "<!-- /by structure -->\n"
_HEAD = "| class | year | for example | attention too |\n|---|---|---|---|\n"
_REFUSED_HEAD = "\nRefused, each with its reason:\n\n| architecture | for example | why |\n|---|---|---|\n"
_ROW = re.compile(r"^\| (\w+) \| (\d{4}) \| (.+) \| (yes|no) \|$", re.MULTILINE)
_IN_FILES = {name for family in FAMILIES for name in family.architectures}

NO_MEMORIES = {
    "mamba": "recurrent: no feed-forward layer of activations times values",
    "mamba2": "recurrent: no feed-forward layer of activations times values",
    "rwkv": "recurrent: what its layers add is multiplied with a gate of each position",
    "clip": "its call needs images; its text part by itself is read (CLIPTextModel)",
    "vit": "it reads images",
    "whisper": "it reads sound; its decoder by itself is read (`--architecture WhisperForCausalLM`)",
}
"""What is not meant to be read, and why."""
NOT_YET = {
    "bitnet": "a norm stands between keys and values",
    "doge": "the stream itself is multiplied, entry by entry, before memories are added",
    "gemma3n": "its stream is four streams",
    "gemma4_experts": "two sums of memories pass norms of their own before they are added",
    "olmo_hybrid": "norms stand before memories in some layers and behind them in others",
    "switch": "its experts are modules of their own, not rows of one tensor",
}
"""What is refused today, and why. This list only shrinks."""


@dataclass(frozen=True)
class Row:
    """A class that is read by its structure."""

    year: int
    hub: str
    attention: bool


def listed() -> dict[str, Row]:
    """The classes that the page lists."""
    text = PAGE.read_text()
    rows = _ROW.findall(text[text.index(_BEGIN) : text.index(_END)])
    return {name: Row(int(year), hub, attention == "yes") for name, year, hub, attention in rows}


def row_of(name: str, outcome: Outcome) -> tuple[str, Row] | None:
    """The row of an architecture that was read right; None if a file names its class."""
    architecture = ARCHITECTURES[name]
    if outcome.verdict != "right" or outcome.model in _IN_FILES:
        return None
    return outcome.model, Row(architecture.year, architecture.hub, outcome.attention)


def refused_rows() -> str:
    """The list of what is refused; it needs no model."""
    lines = [(ARCHITECTURES[name], why) for name, why in sorted((NO_MEMORIES | NOT_YET).items())]
    return _REFUSED_HEAD + "".join(f"| {one.name} | {one.hub} | {why} |\n" for one, why in lines)


def lists(outcomes: Iterable[tuple[str, Outcome]]) -> str:
    """Both lists; of a class with several entries the first is named."""
    rows: dict[str, Row] = {}
    for name, outcome in outcomes:
        found = row_of(name, outcome)
        if found is not None:
            rows.setdefault(*found)
    lines = [
        f"| {name} | {row.year} | {row.hub} | {'yes' if row.attention else 'no'} |\n"
        for name, row in sorted(rows.items(), key=lambda pair: pair[0].lower())
    ]
    return _HEAD + "".join(lines) + refused_rows()


def write(outcomes: Iterable[tuple[str, Outcome]]) -> None:
    """Put both lists into the page."""
    text = PAGE.read_text()
    before, after = text.index(_BEGIN) + len(_BEGIN), text.index(_END)
    PAGE.write_text(text[:before] + lists(outcomes) + text[after:])
