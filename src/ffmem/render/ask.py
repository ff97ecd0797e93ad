"""Answers of all cells at once."""

from collections.abc import Iterable

from ffmem.queries import Diff, Found, Promoting, SearchResult, Similar, marked
from ffmem.render.cells import trigger_line
from ffmem.render.terminal import called, one_line, width


def search(found: SearchResult) -> str:
    """`ffmem search`."""
    lines = [f"{'sentence':>10}  {'cells':>7}  text"]
    for hit in found.hits:
        text = one_line(marked(hit))
        held_out = "(held out) " if hit.held_out else ""
        lines.append(
            f"{hit.sentence_id:>10}  {hit.n_cells:>7,}  {held_out}{_around(text, width() - 21 - len(held_out))}"
        )
        if hit.cells is not None:
            lines += [
                f"{'':21}{one.cell} at {one.position}: {one.coefficient:.4g}{called(one.name)}" for one in hit.cells
            ]
    counted = (
        f"{found.n_matches:,} of {found.n_searched:,} sentences searched match, searched for {one_line(found.sought)}."
    )
    return "\n".join([*lines, f"{counted} {found.note}".strip()])


def _around(text: str, room: int) -> str:
    """The part of a text around its first mark that fits."""
    if len(text) <= room:
        return text
    start = max(0, min(text.find("[") - room // 3, len(text) - room))
    piece = text[start : start + room]
    return ("…" + piece[1:] if start else piece)[: room - 1] + "…" if start + room < len(text) else "…" + piece[1:]


def promoting(found: Promoting) -> str:
    """`ffmem promotes`."""
    verb = "suppress" if found.suppressed else "promote"
    with_model = any(row.true_rank is not None for row in found.rows)
    true_rank = f"{'true rank':>9}  " if with_model else ""
    lines = [f"{'cell':>12}  {'rank':>5}  {true_rank}{'score':>9}  {verb}s"]
    for row in found.rows:
        rank = "-" if row.rank is None else str(row.rank)
        true = f"{row.true_rank:>9,}  " if row.true_rank is not None else ""
        lines.append(f"{row.cell!s:>12}  {rank:>5}  {true}{row.logit:9.4g}  {_tokens(row.promoted)}{called(row.name)}")
    token = one_line(found.token.token)
    if found.is_label:
        return "\n".join([*lines, f"Of {found.n_cells:,} cells, by the score of the label ⟨{token}⟩."])
    return "\n".join([*lines, f"{found.n_cells:,} cells have ⟨{token}⟩ among the tokens that they {verb} most."])


def found(found: Found) -> str:
    """`ffmem find`."""
    lines = []
    for row in found.rows:
        parts = [f"active at {row.active_fraction:.2%}"]
        if row.rank is not None:
            parts.append(f"promotes it at rank {row.rank} ({row.logit:.4g})")
        if row.n_triggers:
            rate = f", {row.lift:.3g} times the rate of all" if row.lift else ""
            parts.append(f"{row.n_triggers} of {row.n_all_triggers} triggers match{rate}")
        sign = ", negative coefficients" if row.sign == -1 else ""
        lines += [f"{row.cell}{sign}: {'; '.join(parts)}{called(row.name)}"]
        lines += [trigger_line(one, width()) for one in row.triggers]
    return "\n".join([*lines, f"{found.n_found:,} cells found. {found.note}".strip()])


def similar(found: Similar) -> str:
    """`ffmem similar`."""
    lines = [f"{'cell':>12}  {'similarity':>10}  {'shared':>6}  {'fires on':16}  promotes"]
    for row in found.rows:
        shared = "-" if row.n_shared is None else str(row.n_shared)
        trigger = "-" if row.trigger is None else f"⟨{one_line(row.trigger)}⟩"
        lines.append(
            f"{row.cell!s:>12}  {row.similarity:10.4f}  {shared:>6}  {trigger:16}  {_tokens(row.promoted)}{called(row.name)}"
        )
    return "\n".join(lines)


def diff(found: Diff) -> str:
    """`ffmem diff`."""
    head = ("overlap of", "overlap of", "active", "mean", "active", "active", "mean", "mean")
    below = (found.compared, "promoted", "differs", "differs", "first", "second", "first", "second")
    lines = [
        f"{title:>12}  " + "  ".join(f"{one:>13}" for one in names) for title, names in (("", head), ("cell", below))
    ]
    for row in found.rows:
        numbers = (row.trigger_overlap, row.promoted_overlap, row.active_difference, row.mean_difference)
        columns = [f"{number:13.4f}" for number in (*numbers, *row.active_fractions)]
        lines.append(
            f"{row.cell!s:>12}  " + "  ".join([*columns, *(f"{mean:13.4g}" for mean in row.means)]) + called(row.name)
        )
    return "\n".join([*lines, f"mean overlap of {found.compared}: {found.mean_overlap:.4f} (rank-biased, p {found.p})"])


def _tokens(strings: Iterable[str]) -> str:
    return " ".join(f"⟨{one_line(token)}⟩" for token in strings)
