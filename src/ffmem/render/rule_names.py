"""Names by rule, and how far they can be trusted, for a terminal."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from sys import stderr
from typing import TYPE_CHECKING

from ffmem.render.terminal import one_line

if TYPE_CHECKING:
    from ffmem.names.evaluation import Evaluation, Row
    from ffmem.names.rules.summary import Layer, Summary

_N_KINDS = 3
_PEERS = (
    (
        "Bills et al. 2023, GPT-2 XL",
        "most cells low, over 1,000 of 307,200 at 0.8 or more",
        "F1 on held-out text, by layer",
    ),
    ("Huang et al. 2023, on those", "high error even where most confident", "an A has F1 of 0.5 at its lower end"),
    ("Transluce 2024", "explanations chosen and scored on different text", "learnt on one half, scored on the other"),
    ("ModelMapper 2026", "2 % of fakes get a name", "see fakes"),
    ("checks of sparse autoencoders 2026", "random baselines .87 against .90", "see fakes: an untrained model"),
)
"""Who reports what (docs/how-to/name-cells.md has the sources), and which number of ours stands beside it."""


def rule_names(found: "Summary", kept: str) -> str:
    """`ffmem names`."""
    head = f"{found.n_units:,} units: {found.n_named:,} named"
    if found.is_tested:
        lines = [
            f"{head}, {found.n_confident:,} of them confidently (A or B), each held against the other half of the text"
        ]
    else:
        lines = [
            f"{found.n_units:,} units: too few documents to hold any out, so no name has a grade, and none is shown elsewhere"
        ]
    lines += ["", f"{'layer':>8} {'A':>5} {'B':>5} {'C':>5} {'dead, always, rare':>19}   commonest kinds"]
    lines += [_layer(one) for one in _some(found.layers)]
    if found.best:
        lines += ["", "surest names:"]
        lines += [
            f"  {one.cell!s:>9}{' -' if one.sign < 0 else '  '} {one_line(one.text)}  ({one.grade}, F1 {one.f1:.2f})"
            for one in found.best
        ]
    return "\n".join([*lines, *(["", kept] if kept else [])])


def _some(layers: Sequence["Layer"], most: int = 6) -> "list[Layer]":
    """All layers, or some of many, the first and the last included."""
    if len(layers) <= most:
        return list(layers)
    return [layers[round(i * (len(layers) - 1) / (most - 1))] for i in range(most)]


def _layer(one: "Layer") -> str:
    kinds = sorted(
        ((share, kind) for kind, share in one.kinds.items() if kind not in ("none", "unclear")), reverse=True
    )
    told = ", ".join(f"{kind} {share:.0%}" for share, kind in kinds[:_N_KINDS])
    grades = " ".join(f"{share:5.0%}" for share in one.grades.values())
    return f"{one.layer:>8} {grades} {one.certain:19.0%}   {told}"


def evaluation(found: "Evaluation") -> str:
    """`ffmem names --evaluate`."""
    told = ", ".join(f"{name} {share:.1%}" for name, share in found.coverage.items())
    lines = [f"{found.n_units:,} units by grade: {told}"]
    if not found.is_tested:
        return "\n".join([*lines, "", "There are too few documents to hold any out: nothing was tested."])
    for title, rows in (("by layer", found.layers), ("by kind", found.kinds)):
        lines += ["", f"{title}, on held-out documents", _HEAD, *(_row(one) for one in rows)]
    lines += [
        "",
        f"claims of a topic, against the {_N_STRONGEST} held-out documents where the unit is strongest",
    ]
    for one in found.topics:
        numbers = (
            f"{one.lift:.1f} times chance, {one.often:.0%} at 10 or more; the commonest topic there: {one.agrees:.0%}"
            if one.n
            else "-"
        )
        lines.append(f"  {one.names:36} {one.n:6,}  {numbers}")
    lines += ["", "fakes, named as if they were true", f"  {'':24} {'units':>8} {'A or B':>8} {'any grade':>10}"]
    lines += [f"  {one.name:24} {one.n_units:8,} {one.confident:8.2%} {one.graded:10.2%}" for one in found.fakes]
    lines += ["", "beside what others report"]
    lines += [f"  {who:36} {what:58} {ours}" for who, what, ours in _PEERS]
    return "\n".join(lines)


_N_STRONGEST = 10
_HEAD = (
    f"  {'':>10} {'units':>7} {'graded':>7} {'A or B':>7} {'F1':>5} {'>= .5':>6} {'prec.':>6} {'recall':>6} {'lift':>6} "
    f"{'same family':>12} {'overlap':>8} {'swapped':>8} {'value':>6}"
)


def _row(one: "Row") -> str:
    def number(value: float | None, form: str) -> str:
        return "-" if value is None else format(value, form)

    return (
        f"  {one.name:>10} {one.n_units:7,} {one.graded:7.1%} {one.confident:7.1%} {number(one.f1, '.2f'):>5} "
        f"{number(one.strong, '.0%'):>6} {number(one.precision, '.2f'):>6} {number(one.recall, '.2f'):>6} "
        f"{number(one.lift, '.1f'):>6} {number(one.same_family, '.2f'):>12} {number(one.overlap, '.2f'):>8} "
        f"{number(one.swapped, '.3f'):>8} {number(one.value_side, '.0%'):>6}"
    )


@contextmanager
def naming(quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """A listener that shows how many units are named, on a terminal."""
    live = not quiet and stderr.isatty()

    def listen(done: int, n: int) -> None:
        if live:
            print(f"\r{done:,} of {n:,} units", end="", file=stderr, flush=True)

    yield listen
    if live:
        print("\r\x1b[K", end="", file=stderr, flush=True)
