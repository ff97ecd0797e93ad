"""What a study came to, as plain data: the one source of its page, the explorer's, the terminal, Markdown, and files."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ffmem.json_values import JsonObject
from ffmem.studies.exhibit import Chart, Claim, Exhibit, Number, Table
from ffmem.studies.results import Findings, Results, plain
from ffmem.studies.runner import findings_of
from ffmem.studies.study import Study, study_named
from ffmem.studies.verdicts import judged


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
    """Experiments, and the seconds that each took."""

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
            "numbers": [{"item": name} | plain(number) for name, number in self.numbers],
            "shapes": [
                {"item": name, "claim": one.statement, "holds": one.verdict == "shown"} | plain(one)
                for name, one in self.claims
            ],
            "figures": list(self.charts),
            "tables": list(self.tables),
        }

    def without_text(self) -> "Report":
        """The same without the tables that quote the corpus."""
        shown = tuple(
            replace(section, tables=tuple(table for table in section.tables if not table.holds_text))
            for section in self.sections
        )
        return replace(self, sections=shown)


def report_of(results: Results) -> Report:
    """What a study came to so far.

    Raises:
        StoreError: a result is damaged.
    """
    return make_report(study_named(results.study), findings_of(results))


def make_report(study: Study[Any], findings: Findings) -> Report:
    """The exhibits of a study, each with what it came to."""
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
        facts=tuple(study.facts(findings)),
        left_out=tuple(study.left_out(findings)),
        sections=_with_verdicts([_section(exhibit, findings) for exhibit in study.exhibits(findings)]),
        costs=tuple(findings.costs.items()),
    )


def _with_verdicts(sections: Sequence[Section]) -> tuple[Section, ...]:
    """All claims of a report are judged together."""
    claims = judged([section.claims for section in sections])
    return tuple(replace(section, claims=some) for section, some in zip(sections, claims, strict=True))


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
