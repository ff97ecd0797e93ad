"""What an index says about one cell, as plain frozen records that know how to show themselves."""

import re
from dataclasses import dataclass
from typing import Literal

from ffmem.ids import CellId
from ffmem.json_values import JsonObject, Record, fields_to_json
from ffmem.markup import Markup, each

LabelSource = Literal["human", "lm", "rule", "import"]
"""Who says what a cell is called: a person, a language model, a rule of ours, or a file from elsewhere."""
MAX_NAME = 60
"""Characters of a name, as it is shown."""
_WITHOUT_TEXT = ("dead", "always", "rare", "position", "shape", "field")
"""Kinds of names by rule that hold no words of the text."""
_TRUST = {
    "A": "Sure: on documents that it was not made from, this rule holds well (grade A: F1 is 0.5 or more).",
    "B": "Fair: on documents that it was not made from, this rule holds in part (grade B: F1 is 0.25 or more).",
    "C": "Weak: on documents that it was not made from, this rule holds little, or is in doubt (grade C: F1 is 0.1 or more).",
}
"""What the grade of a name by rule means; F1 is the lower end of its 95 % interval."""
_QUOTED = re.compile("[\"\u201c-\u201f\u00ab\u00bb\u2039\u203a`\u300c-\u300f\u2018-\u201b]|(?<!\\w)'")
"""What a name has that quotes something; an apostrophe within a word is none."""


def mark(text: str, span: tuple[int, int], before: str = "[", after: str = "]") -> tuple[str, str, str]:
    """A text in three parts around some of its bytes, cut at whole characters, white space left out of the mark."""
    data = text.encode()
    start, end = span
    while start > 0 and data[start] & 0xC0 == 0x80:
        start -= 1
    while end < len(data) and data[end] & 0xC0 == 0x80:
        end += 1
    token = data[start:end].decode()
    lead = token[: len(token) - len(token.lstrip())] if token.strip() else ""
    body = token.strip() or token
    tail = token[len(lead) + len(body) :]
    return data[:start].decode() + lead, before + body + after, tail + data[end:].decode()


@dataclass(frozen=True)
class Document:
    """Where a sentence comes from."""

    document_id: int
    name: str
    metadata: JsonObject
    """Every other field that the corpus gave with the document."""


@dataclass(frozen=True)
class Trigger(Record):
    """A trigger example: a prefix on which a cell has one of its largest coefficients."""

    sign: int
    """1 in the list of positive coefficients, -1 in that of negative ones (gated cells only)."""
    rank: int
    """From 0 within its sign."""
    coefficient: float
    """The scalar that multiplies the cell's value vector at this position."""
    sentence_id: int
    """From 0, in corpus order."""
    position: int
    """Of the firing token, from 0 among the sentence's own tokens."""
    tokens: tuple[str, ...]
    """Strings of all tokens of the sentence; bytes that are no whole character stand as \\xNN."""
    text: str
    """The whole sentence."""
    span: tuple[int, int]
    """The firing token in the text: first byte and byte after the last, in UTF-8."""
    next_token: str | None
    """The token after the firing one; None at the end of the sentence."""
    n_occurrences: int
    """How often exactly this sentence stands in the corpus."""
    document: Document
    """Where it stands first."""

    def marked(self, before: str = "[", after: str = "]") -> tuple[str, str, str]:
        """The text in three parts around the firing token: see `mark`."""
        return mark(self.text, self.span, before, after)


@dataclass(frozen=True)
class Statistics(Record):
    """Activity of a cell over every position that was indexed."""

    n_tokens: int
    n_sentences: int
    active_fraction: float
    """Share of positions with a coefficient above 0."""
    mean: float
    mean_square: float
    minimum: float
    maximum: float
    histogram_edges: tuple[float, ...]
    """Bin b holds edges[b] <= x < edges[b + 1]; the first edge is -inf, the last inf."""
    histogram: tuple[tuple[int, ...], ...]
    """Sentences by their largest coefficient; for gated cells a second row, by their lowest coefficient negated."""


@dataclass(frozen=True)
class Quadrant(Record):
    """What a gated cell does where its gate, before the activation, and its up branch have certain signs."""

    gate: int
    """1: the gate is above 0; -1: below."""
    up: int
    """1: the up branch is above 0; -1: below. The product of both signs is that of the coefficients here."""
    n_positions: int
    """Positions with these signs and a coefficient that is not 0."""
    share: float
    """Of all positions of the cell."""
    mean: float
    """Of the coefficients at these positions; 0 if there are none."""
    mean_square: float
    """Likewise, of their squares."""
    largest: float
    """The coefficient that is largest in size; 0 if there are none."""
    triggers: tuple[Trigger, ...]
    """From the largest in size down."""

    @property
    def name(self) -> str:
        """For people: "gate + up -"."""
        return f"gate {'+' if self.gate > 0 else '-'} up {'+' if self.up > 0 else '-'}"


@dataclass(frozen=True)
class Stratum(Record):
    """Positions at which a cell is about equally strong, and a few of them drawn at random."""

    sign: int
    """1: coefficients above 0; -1: below, of gated cells; 0: none of these, where the cell is silent."""
    low: float
    """No coefficient is smaller in size."""
    high: float
    """All are smaller in size; the largest of the cell itself in the first stratum of a sign. 0 where it is silent."""
    n_positions: int
    """How many there are."""
    share: float
    """Of all positions of the cell."""
    n_drawn: int
    """How many of them the index has: see `ffmem.Index.sample`."""
    examples: tuple[Trigger, ...]
    """The first few of these, in no order but that of the draw."""


@dataclass(frozen=True)
class PromotedToken:
    """A token at one end of a value's scores over the vocabulary."""

    token: str
    token_id: int
    logit: float
    """Its score under the projection named beside it; a contribution, up to a positive factor, not a probability."""


@dataclass(frozen=True)
class Name(Record):
    """What a unit is called, and what that rests on."""

    text: str
    """One line of at most `MAX_NAME` characters, without any that could disturb what stands around it."""
    source: LabelSource
    mark: str
    """Where it comes from, in short: "by hand", "rule B", "lm 0.82"."""
    grade: str = ""
    score: float | None = None
    n_others: int = 0
    """Other labels of the unit, which say something else."""
    topic: str = ""
    """The topic that it claims."""
    kind: str = ""
    is_guess: bool = False
    """Nothing shows yet that it holds: it stands on a cell's own page and in no list."""

    sign: int = 1
    """Of the coefficients that it speaks of."""

    def __str__(self) -> str:
        return f"{'negative: ' if self.sign < 0 else ''}{self.text} ({self.mark})"

    @property
    def trust(self) -> str:
        """How sure it is, in words; nothing of what a person said."""
        if self.is_guess:
            return "A guess: nothing shows yet that it holds."
        if self.source == "rule":
            return _TRUST.get(self.grade, "Counted, not estimated.")
        if self.source == "lm" and self.score is not None:
            return f"Said by a language model; by it, firing positions were told from others with a score of {self.score:.2f}."
        return ""

    @property
    def quotes(self) -> bool:
        """Whether it may hold words of the text that it was found in."""
        is_of_text = self.source == "rule" and self.kind not in _WITHOUT_TEXT
        return is_of_text or _QUOTED.search(self.text) is not None


@dataclass(frozen=True)
class LabelScore:
    """What a value adds to the score of a classifier's label, up to a positive factor."""

    label: str
    score: float


@dataclass(frozen=True)
class Cell:
    """Everything an index knows about one cell."""

    cell: CellId
    statistics: Statistics
    triggers: tuple[Trigger, ...]
    """Positive coefficients from the largest down; then, for gated cells, negative ones from the lowest up."""
    projection: str
    """How the value was turned into scores over the vocabulary."""
    promoted: tuple[PromotedToken, ...]
    """Highest scores first."""
    suppressed: tuple[PromotedToken, ...]
    """Lowest scores first."""
    quadrants: tuple[Quadrant, ...] = ()
    """The four of a gated cell, if they were indexed (`--quadrants`)."""
    strata: tuple[Stratum, ...] = ()
    """From the strongest positions of each sign down to silence, if they were sampled (`--sample`); none is empty."""
    names: tuple[Name, ...] = ()
    """What it is called: for each sign of which something is said, be it a guess."""
    labels: tuple[LabelScore, ...] = ()
    """Of a classifier's cell, every label, highest score first."""

    def to_json(self) -> JsonObject:
        """The fields, and the parts of its id; quadrants, strata and labels only if the index has them."""
        missing = [name for name in ("quadrants", "strata", "labels") if not getattr(self, name)]
        return {
            "cell": str(self.cell),
            "layer": self.cell.layer,
            "index": self.cell.index,
            **({"dictionary": self.cell.dictionary} if self.cell.dictionary else {}),
            **fields_to_json(self, "cell", *missing),
        }

    def _repr_html_(self) -> str:
        """For notebooks."""
        stats = self.statistics
        return Markup(
            "<h4>{}</h4>{}<p>active at {:.2%} of {:,} positions; coefficient from {:.4g} to {:.4g}, mean {:.4g}</p>"
            "<p>promotes: {}<br>suppresses: {} <small>({})</small></p>"
            "<table><thead><tr><th>coefficient</th><th>trigger</th><th>next</th><th>document</th></tr></thead>"
            "<tbody>{}</tbody></table>"
        ).format(
            *(self.cell, each("<p><b>{}</b> <small>{}</small></p>", ((one.text, one.mark) for one in self.names))),
            *(stats.active_fraction, stats.n_tokens, stats.minimum, stats.maximum, stats.mean),
            *(_token_list(self.promoted), _token_list(self.suppressed), self.projection),
            Markup().join(_trigger_row(trigger) for trigger in self.triggers if trigger.rank < 10),
        )


def _token_list(tokens: tuple[PromotedToken, ...], n: int = 10) -> Markup:
    return Markup(" ").join(Markup("<code>{}</code>").format(token.token) for token in tokens[:n])


def _trigger_row(trigger: Trigger) -> Markup:
    following = "" if trigger.next_token is None else Markup("<code>{}</code>").format(trigger.next_token)
    return Markup(
        "<tr><td>{:.4g}</td><td style='text-align:left;white-space:pre-wrap'>{}<mark>{}</mark>{}</td>"
        "<td>{}</td><td>{}</td></tr>"
    ).format(trigger.coefficient, *trigger.marked("", ""), following, trigger.document.name)
