"""The table of families in the documentation, as their files state them."""

from importlib import import_module
from typing import Any

import transformers

from ffmem.models.base import Family, Layout
from ffmem.models.registry import FAMILIES

_CAUSAL = {True: "a prefix", False: "a position in a sentence"}


def family_table() -> str:
    """A row for each family, as Markdown: what it states where a config of its own says nothing else.

    Architectures whose layouts agree in what is shown share a row.
    """
    lines = [
        "| family | architectures | norms | cells | sub-layers | attention | a trigger is |",
        "|---|---|---|---|---|---|---|",
    ]
    for family in FAMILIES:
        rows: dict[tuple[str, ...], list[str]] = {}
        for architecture in family.architectures:
            rows.setdefault(_shown(_layouts(family, architecture)), []).append(architecture)
        lines += [
            f"| [`{family.name}`](#{family.name}) | {', '.join(architectures)} | {' | '.join(shown)} | "
            f"{_CAUSAL[family.causal]} |"
            for shown, architectures in rows.items()
        ]
    return "\n".join(lines) + "\n"


def _layouts(family: Family, architecture: str) -> tuple[Layout, ...]:
    """Of a config that says nothing but the architecture."""
    config = _class_of(family, architecture).config_class(architectures=[architecture])
    layouts = family.layout(config)
    return layouts if isinstance(layouts, tuple) else (layouts,)


def _class_of(family: Family, architecture: str) -> Any:
    """The model's class: of transformers, or of our own module of the family's name."""
    found = getattr(transformers, architecture, None)
    return getattr(import_module(f"ffmem.models.{family.name}"), architecture) if found is None else found


def _shown(layouts: tuple[Layout, ...]) -> tuple[str, ...]:
    layout = layouts[-1]
    norm = {"layernorm": "LayerNorm", "rmsnorm": "RMSNorm"}[layout.norm]
    cells = "gated" if layout.gate_key else "ungated, in attention" if layout.in_attention else "ungated"
    stacks = "" if len(layouts) == 1 else ", two stacks"
    return (
        f"{norm}, {layout.placement}",
        f"{cells}, in experts" if layout.experts else cells,
        f"{'parallel' if layout.parallel else 'in sequence'}{stacks}",
        " and ".join(f"`{part.module}`" for part in layout.attention),
    )
