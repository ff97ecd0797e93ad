"""What people say about cells."""

from collections.abc import Sequence
from pathlib import Path

from ffmem.analyses.intervals import Estimate
from ffmem.annotations.annotator_agreement import Agreement
from ffmem.annotations.batches import Batch
from ffmem.annotations.protocol import LABELS, MIN_TRIGGERS
from ffmem.annotations.store import Imported, Invalid
from ffmem.annotations.summary import LayerSummary, Summary
from ffmem.render.terminal import one_line


def drawn(batch: Batch, files: Sequence[Path]) -> str:
    """`ffmem annotate draw`."""
    n_triggers = sum(len(one.triggers) for one in batch.cells)
    return "\n".join(
        [
            f"batch {batch.name}: {len(batch.cells)} cells, {n_triggers:,} triggers; a sheet for each annotator, in two forms:",
            *(f"  {path}" for path in files),
            "Filled in, import it: ffmem annotate import DIR SHEET",
        ]
    )


def imported(found: Sequence[Imported]) -> str:
    """`ffmem annotate import`."""
    lines = []
    for one in found:
        blank = f", {one.n_blank} left blank" if one.n_blank else ""
        lines.append(f"batch {one.batch}, {one.annotator}: {one.n_cells} cells{blank}; {one.done}")
        # not which cell: whoever mends the sheet shall not know
        lines += _invalid([(f"pattern {bad.pattern.number}", bad) for bad in one.invalid])
    return "\n".join(lines)


def agreement(found: Agreement, files: Sequence[Path]) -> str:
    """`ffmem annotate agreement`."""
    lines = [
        f"{', '.join(found.annotators)}: {found.n_cells} cells, {found.n_triggers:,} triggers",
        f"Krippendorff's alpha of their labels: {found.alpha:.3f}",
        f"{'pair':24}  {'cells':>5}  {'alpha':>6}  {'patterns':>9}  {'matched':>7}  {'overlap':>7}  {'one class':>9}",
    ]
    for pair in found.pairs:
        patterns = " / ".join(map(str, pair.n_patterns))
        lines.append(
            f"{' - '.join(pair.annotators):24}  {pair.n_cells:5}  {pair.alpha:6.3f}  {patterns:>9}  "
            f"{pair.matched_fraction:7.1%}  {pair.overlap:7.2f}  {pair.same_class_fraction:9.1%}"
        )
    return "\n".join([*lines, *(f"to settle: {path}" for path in files)])


def summary(found: Summary) -> str:
    """`ffmem annotate summary`: the table of Figure 2."""
    head = f"{'layer':>8}  {'cells':>5}" + "".join(
        f"  {label:>18}" for label in (*LABELS, "covered", "patterns a cell")
    )
    lines = [head, *(_layer(one) for one in (*found.layers, found.all_layers))]
    invalid = [
        (f"{bad.batch}, {bad.annotator}: {bad.cell} pattern {bad.pattern.number}", bad) for bad in found.invalid
    ]  # fmt: skip
    return "\n".join([*lines, *_invalid(invalid)])


def _layer(one: LayerSummary) -> str:
    shares = [_percent(estimate) for estimate in (*one.shares.values(), one.coverage)]
    n = one.patterns_per_cell
    shown = [*shares, f"{n.value:.1f} ({n.low:.1f}-{n.high:.1f})"]
    return f"{one.layer:>8}  {one.n_cells:5}" + "".join(f"  {text:>18}" for text in shown)


def _percent(share: Estimate) -> str:
    return f"{100 * share.value:.1f} % ({100 * share.low:.0f}-{100 * share.high:.0f})"


def _invalid(found: Sequence[tuple[str, Invalid]]) -> list[str]:
    if not found:
        return []
    lines = [f"  {which}, {one_line(bad.pattern.text)!r}: {bad.n_triggers} triggers" for which, bad in found]
    return [f"invalid, in fewer than {MIN_TRIGGERS} different triggers, and not counted:", *lines]
