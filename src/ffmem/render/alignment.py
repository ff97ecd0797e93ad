"""Error rates of links read from attention, as a table."""

from typing import TYPE_CHECKING

from ffmem.render.terminal import one_line

if TYPE_CHECKING:
    from ffmem.analyses.alignment.extract import Measure, Reading
    from ffmem.analyses.alignment.links import LeftOut
    from ffmem.analyses.alignment.scoring import Score
    from ffmem.analyses.intervals import Estimate
    from ffmem.studies.alignment.findings import AlignmentStudy, Row

_COLUMNS: tuple[tuple["Measure", "Reading"], ...] = (
    ("weights", "AWI"),
    ("norms", "AWI"),
    ("weights", "AWO"),
    ("norms", "AWO"),
)


def alignment(study: "AlignmentStudy") -> str:
    """`ffmem align`: a row for each layer and head, then what is chosen without gold links, and other systems."""
    n_layers, n_maps = len(study.mean_norms), len(study.mean_norms[0])
    head = "".join(f"{f'{reading} {measure}':>13}" for measure, reading in _COLUMNS)
    lines = [
        f"{one_line(study.model)}: {study.n_pairs:,} pairs",
        _what_counts(study),
        *map(_left_out, study.left_out),
        "",
    ]
    lines += ["Alignment error rate in %, of the layer with all heads and of each head", f"  {'':7}{head}   mean norm"]
    for layer in range(n_layers):
        for place in range(n_maps):
            rows = [study.row(layer, place - 1 if place else None, *column) for column in _COLUMNS]
            cells = "".join(f"{_percent(row.score):>13}" for row in rows)
            lines.append(f"  {rows[0].name:7}{cells}   {study.mean_norms[layer][place]:9.4f}")
    lines += ["", f"  {'':28}{head}"]
    lines.append(f"  {'mean over layers':28}" + "".join(f"{_mean(study.layers(*column)):>13}" for column in _COLUMNS))
    for name, rows_of in (("best layer", study.layers), ("best head", study.heads)):
        best = [min(rows_of(*column), key=lambda row: row.score.error_rate.value) for column in _COLUMNS]
        lines.append(f"  {name:28}" + "".join(f"{f'{row.name} {_percent(row.score)}':>13}" for row in best))
    chosen = (("layer of highest mean norm", study.layer, None), ("head of highest mean norm", *study.head))
    for name, layer, number in chosen:
        rows = [study.row(layer, number, *column) for column in _COLUMNS]
        lines.append(f"  {name:28}" + "".join(f"{f'{row.name} {_percent(row.score)}':>13}" for row in rows))
    lines += [
        "",
        "What norms change of a layer's error rate, in points, with 95 % intervals (below 0: norms are better)",
    ]
    for layer in range(n_layers):
        gains = [one for one in study.gains if one.layer == layer]
        lines.append(f"  L{layer:<6}" + "".join(f"   {one.reading} {_points(one.difference)}" for one in gains))
    lines += [""] + [
        f"Error rate and mean norm of {one.n_heads} heads, norms, {one.reading}: Spearman {one.spearman:.3f}, "
        f"Pearson {one.pearson:.3f}"
        for one in study.correlations
    ]
    best_of_all = min(study.rows, key=lambda row: row.score.error_rate.value)
    lines += ["", f"  {'':34}   AER   95 % interval  precision  recall     links"]
    label = f"{best_of_all.name} {best_of_all.reading} {best_of_all.measure} (the best above)"
    lines += [_full(label, best_of_all.score), *(_full(one.name, one.score) for one in study.others)]
    if not any("align" in one.name for one in study.others):
        lines.append("  No aligner is shown beside: that needs the extra 'alignment', pip install -e '.[alignment]'")
    return "\n".join(lines)


def _what_counts(study: "AlignmentStudy") -> str:
    if study.against == "gold":
        return "Against the gold links that were given"
    return (
        "Against a silver standard, the symmetrised links of eflomal, which learned from the same text without any gold links: "
        "an error rate here says how far two machines differ"
    )


def _left_out(one: "LeftOut") -> str:
    return (
        f"Left out of {one_line(one.name)}: {one.n_links:,} of {one.n_read:,} links, which point beyond the words of "
        f"their pair (the first on line {one.first_line:,}: {one_line(one.first_link)})"
    )


def _percent(score: "Score") -> str:
    return f"{100 * score.error_rate.value:.1f}"


def _points(one: "Estimate") -> str:
    return f"{100 * one.value:+6.1f} ({100 * one.low:+.1f} to {100 * one.high:+.1f})"


def _mean(rows: list["Row"]) -> str:
    return f"{100 * sum(row.score.error_rate.value for row in rows) / len(rows):.1f}"


def _full(name: str, score: "Score") -> str:
    rate = score.error_rate
    interval = f"{100 * rate.low:.1f} to {100 * rate.high:.1f}"
    return (
        f"  {one_line(name):34} {100 * rate.value:5.2f}   {interval:>13}  {100 * score.precision:9.1f}  "
        f"{100 * score.recall:6.1f}  {score.n_links:8,}"
    )
