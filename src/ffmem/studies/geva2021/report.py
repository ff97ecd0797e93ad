"""One page that tells a study: charts drawn in the browser from data that the page holds; each figure as files beside it."""

import json
from collections.abc import Callable, Container
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ffmem.markup import Markup, environment
from ffmem.store.files import atomic_write
from ffmem.store.reader import Index
from ffmem.studies import charts
from ffmem.studies.geva2021.figures import FIGURES, names_of
from ffmem.studies.geva2021.findings import Findings, findings
from ffmem.studies.geva2021.headlines import headlines, shapes
from ffmem.studies.geva2021.items import Item, items_of
from ffmem.studies.results import Results, as_csv
from ffmem.version import __version__

_N_SHOWN = 12
"""Rows of a table on the page; the file beside it has all."""


@dataclass(frozen=True)
class Figure:
    """A chart of a section."""

    name: str
    caption: str


class Told(Protocol):
    """What is said of a section before its numbers."""

    @property
    def name(self) -> str: ...  # noqa: D102 (the name says it)
    @property
    def title(self) -> str: ...  # noqa: D102 (the name says it)
    @property
    def question(self) -> str: ...  # noqa: D102 (the name says it)
    @property
    def definition(self) -> str: ...  # noqa: D102 (the name says it)
    @property
    def conclude(self) -> str: ...  # noqa: D102 (the name says it)


@dataclass(frozen=True)
class Section:
    """A figure or table of the paper, or an addition to it, in words and charts."""

    item: Told
    anchor: str
    short: str
    reading: str
    sample: str
    figures: tuple[Figure, ...]
    extra: Markup


def write_report(results: Results, index: Index) -> Path:
    """The page of a study, ``report.html`` in the folder of its results, with ``figures/`` beside it.

    Args:
        results: of a study, finished or not: what there is yet is told.
        index: what was studied.

    Returns:
        the page. It needs nothing but itself: no network, no other file.
    """
    found = findings(results, index)
    folder = results.folder / "figures"
    folder.mkdir(exist_ok=True)
    specs = {name: write_figure(folder, name, FIGURES[name][1](found)) for name in names_of(found)}
    for name, rows in tables(found, index).items():
        atomic_write(folder / f"{name}.csv", as_csv(rows))
    atomic_write(folder / "numbers.csv", as_csv([one.__dict__ for one in headlines(found)]))
    page = results.folder / "report.html"
    atomic_write(page, _page(found, index, results.key, specs).encode())
    return page


def write_figure(folder: Path, name: str, chart: Any) -> dict[str, Any]:
    """A chart as files; gives what draws it in a browser."""
    atomic_write(folder / f"{name}.csv", as_csv(charts.rows_of(chart)))
    for form in ("svg", "png"):
        atomic_write(folder / f"{name}.{form}", charts.image(chart, form))
    spec: dict[str, Any] = chart.to_dict()
    return spec


def _page(found: Findings, index: Index, key: str, specs: dict[str, Any]) -> str:
    return page_of(
        kicker="Feed-forward layers as key-value memories",
        title=f"{found.model} on {found.corpus}",
        intro=_INTRO,
        note="In brackets: 95 % intervals. ~ marks numbers read off the paper's figures; - stands where it gives none.",
        made_from=key,
        specs=specs,
        facts=facts_of(found, index),
        left_out=left_out(found),
        items=[section(found, index, one, specs) for one in items_of(found)],
        headlines=headlines(found),
        shapes=shapes(found),
    )


def page_of(*, specs: dict[str, Any], **told: Any) -> str:
    """A page of sections with charts that needs nothing but itself.

    Args:
        specs: what draws each chart, by name.
        told: what the template names: kicker, title, intro, note, facts, left_out, items (`Section`), headlines, shapes,
            made_from.
    """
    return (
        environment("ffmem.studies")
        .get_template("report.html")
        .render(
            script=Markup(charts.script().replace("</script", "<\\/script")),
            specs=Markup(json.dumps(specs, sort_keys=True).replace("<", "\\u003c")),
            version=__version__,
            **told,
        )
    )


_INTRO = (
    "The experiments of Geva, Schuster, Berant and Levy (EMNLP 2021) on this model and this text, beside the paper's numbers. "
    "The paper's model has 16 layers of 4,096 ReLU cells and was trained on 100 million words of WikiText-103; where this one "
    "differs in size, text or vocabulary, equal numbers are not to be expected: what can be compared are shapes."
)


def facts_of(found: Findings, index: Index) -> list[tuple[str, str]]:
    """What was studied, as names and values."""
    counts, identity, facts = index.manifest["counts"], found.header["index"], index.manifest["model"]
    other = found.header["held_out"]
    n, documents = (f"{counts[name]:,}" for name in ("n_sentences_held_out", "n_documents_held_out"))
    cells = f"{index.n_cells:,}: {index.cells.describe()}; {facts['activation']}{', gated' if facts['gated'] else ''}"
    return [
        ("model", f"{found.model}, weights {identity['model']['weights_sha256'][:12]}"),
        ("cells", cells),
        (
            "vocabulary",
            f"{found.d_vocab:,} tokens; values read by the projection {', '.join(found.projections()) or found.projection}",
        ),
        ("indexed", f"{counts['n_sentences']:,} sentences, {counts['n_tokens']:,} tokens of {found.corpus}"),
        (
            "held out",
            other["name"] if other else f"{n} sentences of {documents} documents that the index does not hold",
        ),
        ("seed", str(found.header["options"]["seed"])),
    ]


def left_out(found: Findings) -> list[str]:
    """What this model cannot be asked, in words."""
    if any(name.startswith("agreement-") for name in found.values):
        return []
    return [
        f"{found.model} does not predict the next token of a text, so the experiments on values, changed triggers and "
        "predictions do not apply to it."
    ]


def section(found: Findings, index: Index, item: Item, specs: Container[str]) -> Section:
    """A section, with those of its charts whose names are in ``specs``."""
    anchor = f"{item.name} {item.title}".lower()
    return Section(
        item=item,
        anchor="".join(one if one.isalnum() else "-" for one in anchor),
        short=item.name if item.name != "Addition" else item.title,
        reading=item.read(found),
        sample=item.sample(found),
        figures=tuple(Figure(name, (FIGURES[name][1].__doc__ or "").strip()) for name in item.figures if name in specs),
        extra=_EXTRAS[item.title](found, index) if item.title in _EXTRAS else Markup(""),
    )


def tables(found: Findings, index: Index) -> dict[str, list[dict[str, Any]]]:
    """What stands beside the page as tables."""
    made: dict[str, list[dict[str, Any]]] = {}
    if found.agreement is not None:
        made["strongest-values"] = _strongest(found, index)
    if "elimination-cases" in found.values:
        made["elimination-cases"] = _cases(found)
    return made


def _strongest(found: Findings, index: Index) -> list[dict[str, Any]]:
    """Table 2, row by row."""
    assert found.agreement is not None
    return [
        {
            "value": one["cell"] if one["sign"] > 0 else f"{one['cell']} below 0",
            "top token": index.text.vocabulary[one["top_token"]],
            "probability": round(one["probability"], 6),
            "triggers followed by it": one["n_matches"],
            "triggers": one["n_triggers"],
            "precision": round(one["n_matches"] / one["n_triggers"], 4) if one["n_triggers"] else None,
        }
        for one in found.agreement["strongest"]
    ]


def _cases(found: Findings) -> list[dict[str, Any]]:
    """The cases of section 5.2, with a column for a person's judgement."""
    return [
        {
            "prefix": one["prefix"],
            "stream's candidate (R)": one["residual_token"],
            "prediction (O)": one["output_token"],
            "layer's own (Y)": one["ff_token"],
            "related or distant": "",
            **{
                f"{what} of {token} under {where}": one[f"{name}_{what}s"][place]
                for what in ("score", "rank")
                for token, name in _SIDES
                for place, where in enumerate("ryo")
            },
            "y raises R over O by": one["change"],
        }
        for one in found.values["elimination-cases"]
    ]


_SIDES = (("R", "residual_token"), ("O", "output_token"))


def _table(rows: list[dict[str, Any]], names: list[str], file: str) -> Markup:
    """The first rows, and a link to the file with all."""
    head = Markup().join(Markup("<th>{}</th>").format(name) for name in names)
    body = Markup().join(
        Markup("<tr>{}</tr>").format(Markup().join(_cell(row[name]) for name in names)) for row in rows[:_N_SHOWN]
    )
    return Markup(
        '<div class="wide"><table><thead><tr>{}</tr></thead><tbody>{}</tbody></table></div>'
        '<p class="files">{} of {} rows; all of them: <a href="figures/{}.csv">CSV</a></p>'
    ).format(head, body, min(_N_SHOWN, len(rows)), len(rows), file)


def _cell(value: Any) -> Markup:
    if isinstance(value, int | float):
        return Markup('<td class="n">{}</td>').format(f"{value:,}" if isinstance(value, int) else f"{value:.4g}")
    return Markup("<td><code>{}</code></td>").format("" if value is None else value)


def _parameters(found: Findings, _: Index) -> Markup:
    names = {
        "attention": "attention",
        "feed_forward": "feed-forward layers",
        "norms": "norms",
        "other": "embeddings and the rest",
    }
    counted = found.values["parameters"]
    rows = Markup().join(
        Markup('<tr><td>{}</td><td class="n">{}</td><td class="n">{}</td></tr>').format(
            title, f"{counted[name]:,}", f"{counted[name] / counted['total']:.1%}"
        )
        for name, title in names.items()
    )
    return Markup("<table><tbody>{}</tbody></table>").format(rows)


def _chance(found: Findings, _: Index) -> Markup:
    """How often the detector claims a pattern in random prefixes."""
    rows = Markup().join(
        Markup("<tr><td>{}</td>{}{}</tr>").format(
            one["kind"],
            *(Markup('<td class="n">{}</td>').format(f"{one[name]['value']:.1%}") for name in ("before", "after")),
        )
        for one in found.values["patterns"]["chance"]
    )
    names = ("kind", "random cells with a pattern, by the rule of 3 alone", "after control")
    head = Markup("<tr>{}</tr>").format(Markup().join(Markup("<th>{}</th>").format(name) for name in names))
    links = Markup(" ").join(Markup('<a href="patterns/{0}.csv">{0}</a>').format(name) for name in found.layers)
    told = found.values["patterns"]["why_not_semantic"]
    note = Markup("<p class=note>No semantic patterns: {}.</p>").format(told) if told else Markup("")
    return Markup(
        '<details><summary>Chance, kind by kind</summary><div class="wide"><table><thead>{}</thead><tbody>{}</tbody>'
        "</table></div>"
        '</details>{}<p class="files">All patterns of all cells, as CSV: {}</p>'
    ).format(head, rows, note, links)


_EXTRAS: dict[str, Callable[[Findings, Index], Markup]] = {
    "The strongest values": lambda found, index: _table(
        _strongest(found, index),
        ["value", "top token", "probability", "triggers followed by it", "triggers"],
        "strongest-values",
    ),
    "Does the last layer eliminate candidates?": lambda found, _: _table(
        _cases(found), ["prefix", "stream's candidate (R)", "prediction (O)", "layer's own (Y)"], "elimination-cases"
    ),
    "Where the parameters are": _parameters,
    "What the triggers of a key have in common": _chance,
}
"""Tables of some items, by title."""
