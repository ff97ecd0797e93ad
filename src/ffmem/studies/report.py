"""What a study came to, as plain data: the one source of its page, the explorer's, the terminal, Markdown, and files."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ffmem.ids import CellId
from ffmem.json_values import JsonObject
from ffmem.store.label_reader import LabelReader
from ffmem.studies.controls import Control
from ffmem.studies.exhibit import Chart, Claim, Exhibit, Number, Table
from ffmem.studies.results import Findings, Results, plain
from ffmem.studies.runner import findings_of
from ffmem.studies.study import Study, study_named
from ffmem.studies.verdicts import judged

FAINT = 0.2
"""An effect of a control with nothing learned that is smaller than this share of the model's is no rival of it."""
Key = tuple[str, str]
"""The name of an exhibit, and the quantity or statement in it."""


@dataclass(frozen=True)
class Section:
    """An exhibit, and what it came to here."""

    name: str
    title: str
    question: str
    definition: str
    conclude: str
    reading: str
    sample: str
    numbers: tuple[Number, ...]
    claims: tuple[Claim, ...]
    charts: tuple[Chart, ...]
    tables: tuple[Table, ...]
    notes: tuple[str, ...]

    @property
    def anchor(self) -> str:
        """Of its place in a page."""
        return "".join(one if one.isalnum() else "-" for one in f"{self.name} {self.title}".lower())

    @property
    def short(self) -> str:
        """For a list of contents."""
        return self.title if self.name == "Addition" else self.name


@dataclass(frozen=True)
class Beside:
    """What the same study came to of a control."""

    name: str
    definition: str
    says_nothing: bool
    """See `Control`."""
    numbers: Mapping[Key, Number]
    """By the name of the exhibit, and the quantity."""
    claims: Mapping[Key, Claim]
    """By the name of the exhibit, and the statement."""


@dataclass(frozen=True)
class Report:
    """A study of one model and corpus, told in full."""

    study: str
    key: str
    """Of the results it was made from."""
    model: str
    corpus: str
    options: JsonObject
    """As plain JSON values."""
    kicker: str
    paper: str
    title: str
    intro: str
    note: str
    facts: tuple[tuple[str, str], ...]
    left_out: tuple[str, ...]
    sections: tuple[Section, ...]
    costs: tuple[tuple[str, float], ...]
    """Experiments, and the seconds that each took; those of controls follow."""
    controls: tuple[Beside, ...] = ()
    """What stands beside its numbers and claims."""

    def also_shown_by(self, item: str, claim: Claim) -> list[str]:
        """The controls with nothing learned that show what is shown here: so it says nothing of what the model has learned.

        One whose effect is below `FAINT` of the model's does not take the claim from it.
        """
        if claim.verdict != "shown":
            return []
        there = [(one.name, one.claims.get((item, claim.statement))) for one in self.controls if one.says_nothing]
        return [name for name, same in there if same is not None and _is_as_clear(same, claim)]

    @property
    def numbers(self) -> list[tuple[str, Number]]:
        """Every quantity, with the name of its exhibit, in the order of the page."""
        return [(section.name, number) for section in self.sections for number in section.numbers]

    @property
    def claims(self) -> list[tuple[str, Claim]]:
        """Every claim, with the name of its exhibit."""
        return [(section.name, claim) for section in self.sections for claim in section.claims]

    @property
    def charts(self) -> dict[str, Chart]:
        """Every chart, by name."""
        return {chart.name: chart for section in self.sections for chart in section.charts}

    @property
    def tables(self) -> dict[str, Table]:
        """Every table, by name."""
        return {table.name: table for section in self.sections for table in section.tables}

    def to_json(self) -> JsonObject:
        """The numbers and claims as plain JSON values; charts and tables by their names, since they are files of their own."""
        return {
            "study": self.study,
            "key": self.key,
            "model": self.model,
            "corpus": self.corpus,
            "options": self.options,
            "facts": dict(self.facts),
            "controls": {one.name: one.definition for one in self.controls},
            "numbers": [
                {"item": item}
                | plain(number)
                | {"controls": _of_controls(self.controls, lambda one: one.numbers, (item, number.quantity))}
                for item, number in self.numbers
            ],
            "shapes": [
                {"item": item, "claim": one.statement, "holds": one.verdict == "shown"}
                | plain(one)
                | {"also_shown_by": self.also_shown_by(item, one)}
                | {"controls": _of_controls(self.controls, lambda one: one.claims, (item, one.statement))}
                for item, one in self.claims
            ],
            "figures": list(self.charts),
            "tables": list(self.tables),
        }

    def named(self, names: LabelReader) -> "Report":
        """The same with a column `name` beside each column `cell` of its tables, if one of those cells has a name."""
        if not names.path.exists():
            return self
        sections = tuple(
            replace(section, tables=tuple(_named(table, names) for table in section.tables))
            for section in self.sections
        )
        return replace(self, sections=sections)

    def without_text(self) -> "Report":
        """The same without the tables and charts that quote the corpus."""
        shown = tuple(
            replace(
                section,
                charts=tuple(chart for chart in section.charts if not chart.holds_text),
                tables=tuple(table for table in section.tables if not table.holds_text),
            )
            for section in self.sections
        )
        return replace(self, sections=shown)


def _named(table: Table, names: LabelReader) -> Table:
    if "cell" not in table.columns:
        return table
    cells = [_cell(str(row["cell"])) for row in table.rows]
    found = [None if cell is None else names.shown(cell) for cell in cells]
    if not any(found):
        return table
    at = table.columns.index("cell") + 1
    rows = [
        {
            **{key: row[key] for key in list(row)[: list(row).index("cell") + 1]},
            "name": str(name) if name else "",
            **row,
        }
        for row, name in zip(table.rows, found, strict=True)
    ]
    return replace(table, rows=rows, columns=(*table.columns[:at], "name", *table.columns[at:]))


def _cell(text: str) -> CellId | None:
    try:
        return CellId.parse(text)
    except ValueError:
        return None


def report_of(results: Results) -> Report:
    """What a study came to so far.

    Raises:
        StoreError: a result is damaged.
    """
    return make_report(study_named(results.study), findings_of(results))


def _is_as_clear(of_control: Claim, claim: Claim) -> bool:
    effect, ours = of_control.test.effect, claim.test.effect
    return of_control.verdict == "shown" and not effect < FAINT * ours


def _of_controls(
    controls: Sequence[Beside], part: Callable[[Beside], Mapping[Key, Any]], key: Key
) -> dict[str, JsonObject]:
    return {one.name: plain(part(one)[key]) for one in controls if key in part(one)}


def make_report(study: Study[Any], findings: Findings) -> Report:
    """The exhibits of a study, each with what it came to, and what it came to of each control."""
    sections = _sections(study, findings)
    of_controls = {name: _sections(study, one) for name, one in findings.controls.items()}
    controls = tuple(
        _beside(control, of_controls[control.name]) for control in study.controls if control.name in of_controls
    )
    missing = (f"No control {name!r}: {why}" for name, why in findings.controls_missing.items())
    return Report(
        study=study.name,
        key=findings.header["key"],
        model=findings.model,
        corpus=findings.corpus,
        options=findings.header["options"],
        kicker=study.kicker,
        paper=study.paper,
        title=study.title(findings),
        intro=study.intro,
        note=study.note,
        facts=(*study.facts(findings), *(_facts_of_control(one, findings) for one in controls)),
        left_out=(*study.left_out(findings), *missing),
        sections=tuple(_with_controls(section, of_controls) for section in sections),
        costs=(*findings.costs.items(), *_costs_of_controls(findings)),
        controls=controls,
    )


def _sections(study: Study[Any], findings: Findings) -> list[Section]:
    """The exhibits of a study, and the claims of all of them judged together."""
    sections = [_section(exhibit, findings) for exhibit in study.exhibits(findings)]
    claims = judged([section.claims for section in sections])
    return [replace(section, claims=some) for section, some in zip(sections, claims, strict=True)]


def _beside(control: Control[Any], sections: Sequence[Section]) -> Beside:
    return Beside(
        control.name,
        control.definition,
        control.says_nothing,
        {(section.name, number.quantity): number for section in sections for number in section.numbers},
        {(section.name, claim.statement): claim for section in sections for claim in section.claims},
    )


def _facts_of_control(control: Beside, findings: Findings) -> tuple[str, str]:
    options, fewer = findings.header["options"], findings.controls[control.name].header["options"]
    changed = [f"{name.replace('_', ' ')} {value:,}" for name, value in fewer.items() if value != options.get(name)]
    return f"control: {control.name}", "; ".join([control.definition, *changed])


def _costs_of_controls(findings: Findings) -> Iterator[tuple[str, float]]:
    for name, one in findings.controls.items():
        yield f"control: {name}", sum(one.costs.values())


def _with_controls(section: Section, of_controls: Mapping[str, Sequence[Section]]) -> Section:
    """With the charts of the controls after each chart, on the same scale."""
    there = {name: {(one.name, one.title): one for one in sections} for name, sections in of_controls.items()}
    charts: list[Chart] = []
    for chart in section.charts:
        others = [
            replace(other, name=f"{chart.name}-{control}", caption=f"{control}: {other.caption}", beside=chart.name)
            for control, sections in there.items()
            for other in getattr(sections.get((section.name, section.title)), "charts", ())
            if other.name == chart.name and other.rows
        ]
        together = _extent([chart, *others])
        charts += [replace(one, extent=together) for one in (chart, *others)] if others else [chart]
    return replace(section, charts=tuple(charts))


def _extent(charts: Sequence[Chart]) -> tuple[float, float] | None:
    """The ends of a vertical axis that has room for all of them; None if they find them by themselves."""
    if charts[0].form == "shares" or charts[0].log:
        return None
    columns = ("low", "high", "value", "q5", "q95")
    values = [row[name] for chart in charts for row in chart.rows for name in columns if row.get(name) is not None]
    ends = [*values, 0.0] if charts[0].from_zero else values
    return (min(ends), max(ends)) if ends else None


def _section(exhibit: Exhibit[Findings], findings: Findings) -> Section:
    return Section(
        name=exhibit.name,
        title=exhibit.title,
        question=" ".join(exhibit.question.split()),
        definition=" ".join(exhibit.definition.split()),
        conclude=" ".join(exhibit.conclude.split()),
        reading=exhibit.reading(findings),
        sample=exhibit.sample(findings),
        numbers=tuple(exhibit.numbers(findings)),
        claims=tuple(exhibit.claims(findings)),
        charts=tuple(exhibit.charts(findings)),
        tables=tuple(exhibit.tables(findings)),
        notes=tuple(exhibit.notes(findings)),
    )
