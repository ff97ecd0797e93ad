"""What cells are called, and all that was said of one."""

from collections.abc import Mapping

from ffmem.names.exchange import LabelsRead, LabelsWritten
from ffmem.names.people import History, Said
from ffmem.render.terminal import called, one_line

_LONGEST = 200
"""Characters of a label, or a note, from elsewhere."""


def history(found: History, *, whole: bool) -> str:
    """`ffmem name`: the name, and all that was said before."""
    sign = ", negative coefficients" if found.sign < 0 else ""
    lines = [f"{found.cell}{sign}{called(found.name) or ': no name'}"]
    if whole:
        lines += [line for one in found.labels for line in _said(one)]
        lines += [
            f"  {one.made}  {one_line(one.by)}: {one_line(one.what)} {one.label}{': ' + _short(one.note) if one.note else ''}"
            for one in found.events
        ]
    return "\n".join(lines)


def _said(one: Said) -> list[str]:
    label = one.label
    state = "replaced" if label.superseded_by is not None else "rejected" if label.rejected_by is not None else ""
    by = " ".join(part for part in (label.source, label.grade, one_line(label.author)) if part)
    told = [
        f"{one_line(score.measure)} {score.value:.2f} ({score.low:.2f} to {score.high:.2f}, n {score.n})"
        for score in one.scores
    ]
    head = f"  {label.made}  {label.id}  {_short(label.text) or '(no name)'}  [{by}]"
    lines = [f"{head}{'  settled' if label.adjudicated else ''}{'  ' + state if state else ''}"]
    lines += [f"      {'; '.join(told)}"] if told else []
    lines += [f"      {_short(label.note)}"] if label.note else []
    lines += [f"      tags: {', '.join(map(one_line, label.tags))}"] if label.tags else []
    return lines


def _short(text: str) -> str:
    line = one_line(text[:_LONGEST])
    return line if len(text) <= _LONGEST else f"{line}…"


def labels_written(found: LabelsWritten) -> str:
    """`ffmem labels export`."""
    return f"{one_line(str(found.file))}: {found.n_labels:,} labels"


def labels_read(found: LabelsRead) -> str:
    """`ffmem labels import`."""
    dropped = f"; {found.n_dropped:,} names by rule of another index left out" if found.n_dropped else ""
    return f"{found.n_labels:,} labels read: {found.n_added:,} added, {found.n_same:,} were there already{dropped}"


def label_counts(found: Mapping[str, int]) -> str:
    """`ffmem labels remap`: how many names there are, by where they come from."""
    return "\n".join(["names:", *(f"  {name:8} {n:>9,}" for name, n in found.items())]) if found else "no names"
