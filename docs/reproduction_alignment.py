"""Writes the tables of docs/reproduction-alignment.md from what `ffmem align --out` has written.

python docs/reproduction_alignment.py "Multi30k, silver=runs/align-multi30k" "RWTH, gold=runs/align-rwth"
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

PAGE = Path(__file__).with_name("reproduction-alignment.md")
COLUMNS = (("AWI", "weights"), ("AWI", "norms"), ("AWO", "weights"), ("AWO", "norms"))
PAPER = {
    "mean over layers": ("68.4", "62.9", "68.5", "60.5"),
    "best layer": ("47.7", "41.4", "29.8", "25.0"),
    "layer of highest mean norm": ("-", "83.0", "-", "25.0"),
    "head of highest mean norm": ("-", "87.1", "-", "35.5"),
    "Spearman of error rate and mean norm, heads": ("", "0.56", "", "-0.44"),
    "Pearson of the same": ("", "0.55", "", "-0.52"),
}
"""Means over 5 seeds that the official notebook prints, AWO weights, AWO norms, AWI weights, AWI norms."""


def table(rows: list[list[str]]) -> str:
    """Rows as Markdown, the first one as the head."""
    return "\n".join("| " + " | ".join(row) + " |" for row in [rows[0], ["---"] * len(rows[0]), *rows[1:]])


def rate(row: dict[str, Any]) -> str:
    """An error rate in percent, with its interval."""
    low, high = (100 * end for end in row["interval"])
    return f"{100 * row['aer']:.1f} ({low:.1f} to {high:.1f})"


def found(study: dict[str, Any], place: str, reading: str, measure: str) -> dict[str, Any]:
    """One row of a study."""
    wanted = (place, reading, measure)
    return next(row for row in study["rows"] if (row["place"], row["reading"], row["measure"]) == wanted)


def layers_of(study: dict[str, Any]) -> list[str]:
    """Names of whole layers."""
    return list(dict.fromkeys(row["place"] for row in study["rows"] if "." not in row["place"]))


def by_layer(name: str, study: dict[str, Any]) -> str:
    """Error rates of layers and heads."""
    places = list(dict.fromkeys(row["place"] for row in study["rows"]))
    rows = [["place", *(f"{reading} {measure}" for reading, measure in COLUMNS), "mean norm"]]
    for place in places:
        some = [found(study, place, *column) for column in COLUMNS]
        shown = [rate(row) if "." not in place else f"{100 * row['aer']:.1f}" for row in some]
        rows.append([place, *shown, f"{some[0]['mean_norm']:.3f}"])
    gains = [["layer", "AWI", "AWO"]]
    for layer in layers_of(study):
        own = {one["reading"]: one for one in study["norms_less_weights"] if one["layer"] == layer}
        cells = [
            f"{100 * one['value']:+.1f} ({100 * one['low']:+.1f} to {100 * one['high']:+.1f})"
            for one in (own["AWI"], own["AWO"])
        ]
        gains.append([layer, *cells])
    others = [["links of", "AER", "precision", "recall", "links"]]
    for one in study["others"]:
        others.append(
            [
                one["name"],
                rate(one),
                *(f"{100 * one[what]:.1f}" for what in ("precision", "recall")),
                f"{one['links']:,}",
            ]
        )
    head = f"### {name}: {study['pairs']:,} pairs"
    what = "AER of norms less that of weights, in points; below 0, norms are better:"
    return f"{head}\n\n{table(rows)}\n\n{what}\n\n{table(gains)}\n\nOther systems on the same pairs:\n\n{table(others)}"


def beside_the_paper(studies: dict[str, dict[str, Any]]) -> str:
    """The numbers that the paper has, too."""
    order = (("AWO", "weights"), ("AWO", "norms"), ("AWI", "weights"), ("AWI", "norms"))
    rows = [["", "paper", *studies]]
    for what, printed in PAPER.items():
        for (reading, measure), paper in zip(order, printed, strict=True):
            if paper:
                ours = [number(study, what, reading, measure) for study in studies.values()]
                rows.append([f"{what}, {reading} {measure}", paper, *ours])
    return table(rows)


def number(study: dict[str, Any], what: str, reading: str, measure: str) -> str:
    """One of the paper's numbers, of a study."""
    if what.startswith(("Spearman", "Pearson")):
        one = next(one for one in study["correlations"] if one["reading"] == reading)
        return f"{one['spearman' if what.startswith('Spearman') else 'pearson']:.2f}"
    if what.endswith("highest mean norm"):
        place = study["highest_mean_norm"]["layer" if what.startswith("layer") else "head"]
        return f"{100 * found(study, place, reading, measure)['aer']:.1f} ({place})"
    rates = {layer: found(study, layer, reading, measure)["aer"] for layer in layers_of(study)}
    if what == "mean over layers":
        return f"{100 * sum(rates.values()) / len(rates):.1f}"
    best = min(rates, key=lambda layer: rates[layer])
    return f"{100 * rates[best]:.1f} ({best})"


def main() -> None:
    """Put the tables between the marks of the page."""
    studies = {}
    for argument in sys.argv[1:]:
        name, _, folder = argument.partition("=")
        studies[name] = json.loads((Path(folder) / "alignment.json").read_text("utf-8"))
    parts = ["## Beside the paper", beside_the_paper(studies), "## Layers and heads"]
    parts += [by_layer(name, study) for name, study in studies.items()]
    tables, text = "\n\n".join(parts), PAGE.read_text("utf-8")
    begin, end = "<!-- tables -->", "<!-- end of tables -->"
    PAGE.write_text(
        re.sub(f"{begin}.*{end}", lambda _: f"{begin}\n\n{tables}\n\n{end}", text, flags=re.DOTALL), "utf-8"
    )


if __name__ == "__main__":
    main()
