"""What a language model calls cells, beside its controls."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from ffmem.json_values import JsonObject
from ffmem.names.lm.client.budget import Use
from ffmem.render.label_costs import plan_text, use_text
from ffmem.render.terminal import one_line

if TYPE_CHECKING:
    from ffmem.analyses.intervals import Estimate
    from ffmem.names.lm.plan import Plan
    from ffmem.names.lm.report import LabelReport, UnitLabel

_MOST_SHOWN = 30
"""Labels in a report for people."""
_NAMES = {
    "detection": "detection, random positions (balanced accuracy)",
    "detection_auc": "the same, AUC",
    "detection_hard": "detection, hard positions (balanced accuracy)",
    "detection_hard_auc": "the same, AUC",
    "fuzzing": "fuzzing: marked tokens of firing sentences (balanced accuracy)",
    "simulation": "simulation, top and random sentences (correlation)",
    "simulation_random": "simulation, random sentences alone (correlation)",
    "intruder": "intruder found among five positions (scores the cell, not its name)",
}


def label_plan(found: "Plan") -> str:
    """`ffmem label --plan`."""
    return f"{plan_text(found)}\nControls are counted too; a unit that the model calls unclear needs less. Nothing was sent."


def label_report(found: "LabelReport", about: JsonObject, *, markdown: bool = False) -> str:
    """`ffmem label`."""
    groups = [
        (
            one.group, f"{one.n}", f"{one.n_unclear}", f"{one.n_failed}", _percent(one.passed), _number(one.detection),
            _number(one.detection_hard),
        )
        for one in found.groups
    ]  # fmt: skip
    layers = [
        (one.layer, f"{one.n}", f"{one.n_fakes}", f"{one.above:.2f}", _percent(one.passed), _number(one.detection_hard))
        for one in found.layers
    ]
    labels = [
        (
            f"{one.cell}{'' if one.sign == 1 else ' (-)'}", one_line(one.label), one.kind,
            "-" if one.hard is None else f"{one.hard:.2f}", "-" if one.rule_hard is None else f"{one.rule_hard:.2f}",
            _verdict(one),
        )
        for one in found.units[:_MOST_SHOWN]
    ]  # fmt: skip
    parts = [
        [
            f"{found.labeller} on {about['server']} names {sum(one.n for one in found.layers)} units; {found.judge} judges"
        ],
        found.sentences(),
        _table(("", "n", "unclear", "failed", "pass", "random", "hard"), groups, markdown),
        _table(("layer", "n", "fakes", "above", "pass", "hard"), layers, markdown),
        _table(("score of the cells", "mean"), [(_NAMES[n], _number(e)) for n, e in found.measures.items()], markdown),
        [f"Hard positions: {', '.join(f'{n:,} {why}' for why, n in found.hard_kinds.items())}."]
        if found.hard_kinds
        else [],
        [f"Better than the name by rule on the same positions: {_percent(found.beats_rule)} of {found.beats_rule.n}."]
        if found.beats_rule.n
        else [],
        [f"{n:,} times nothing came of a unit: {why}." for why, n in found.failures.items()],
        _table(("cell", "label", "kind", "hard", "rule", ""), labels, markdown),
        [f"... and {len(found.units) - _MOST_SHOWN:,} more, with --json"] if len(found.units) > _MOST_SHOWN else [],
        [use_text(Use(**about["use"])), f"{found.control_share:.0%} of what was asked is about controls"],
    ]
    return "\n\n".join("\n".join(part) for part in parts if part)


def _verdict(one: "UnitLabel") -> str:
    if not one.passes:
        return ""
    return "passes" if one.rule_hard is None else f"passes, {'beats' if one.beats_rule else 'does not beat'} the rule"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], markdown: bool) -> list[str]:
    rows = list(rows)
    if not rows:
        return []
    if markdown:
        lines = [head, ["---"] * len(head), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
        return [f"| {' | '.join(line)} |" for line in lines]
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in (head, *rows)
    ]


def _percent(share: "Estimate") -> str:
    return "-" if share.n == 0 else f"{share.value:.0%} ({share.low:.0%} to {share.high:.0%})"


def _number(mean: "Estimate") -> str:
    return "-" if mean.n == 0 else f"{mean.value:.2f} ({mean.low:.2f} to {mean.high:.2f})"
