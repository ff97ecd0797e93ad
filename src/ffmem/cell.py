"""What an index says about one cell, as plain frozen records that know how to show themselves."""

from dataclasses import dataclass

from ffmem.ids import CellId
from ffmem.json_values import JsonObject, Record, fields_to_json
from ffmem.markup import Markup


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
class PromotedToken:
    """A token at one end of a value's scores over the vocabulary."""

    token: str
    token_id: int
    logit: float
    """Its score under the projection named beside it; a contribution, up to a positive factor, not a probability."""


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

    def to_json(self) -> JsonObject:
        """The fields, and the parts of its id; quadrants only if they were indexed."""
        return {
            "cell": str(self.cell),
            "layer": self.cell.layer,
            "index": self.cell.index,
            **fields_to_json(self, "cell", *(() if self.quadrants else ("quadrants",))),
        }

    def _repr_html_(self) -> str:
        """For notebooks."""
        stats = self.statistics
        return Markup(
            "<h4>{}</h4><p>active at {:.2%} of {:,} positions; coefficient from {:.4g} to {:.4g}, mean {:.4g}</p>"
            "<p>promotes: {}<br>suppresses: {} <small>({})</small></p>"
            "<table><thead><tr><th>coefficient</th><th>trigger</th><th>next</th><th>document</th></tr></thead>"
            "<tbody>{}</tbody></table>"
        ).format(
            *(self.cell, stats.active_fraction, stats.n_tokens, stats.minimum, stats.maximum, stats.mean),
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
