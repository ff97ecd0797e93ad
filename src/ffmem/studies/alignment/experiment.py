"""The experiment of Kobayashi et al. 2020, section 5: do norms find the translation of a word better than weights?"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float

from ffmem.analyses.alignment.aligner import LearnedLinks, is_installed, learn_links
from ffmem.analyses.alignment.extract import WHOLE_LAYER, Extraction, Measure, Reading, extract
from ffmem.analyses.alignment.links import LeftOut, Link, Links, all_sure
from ffmem.analyses.alignment.maps import links_of
from ffmem.analyses.alignment.pairs import Pair
from ffmem.analyses.alignment.scoring import Score, difference, score
from ffmem.analyses.correlation import pearson, ranks
from ffmem.analyses.intervals import Estimate
from ffmem.errors import InputError
from ffmem.json_values import to_json
from ffmem.models.transformer import Transformer

MEASURES: tuple[Measure, ...] = ("weights", "norms")
READINGS: tuple[Reading, ...] = ("AWI", "AWO")
SILVER = "eflomal"
"""The aligner whose links stand in for gold ones where there are none."""

Listener = Callable[[str, int, int], None]
"""Takes what is being done, how much of it is, and how much there is."""


@dataclass(frozen=True)
class Row:
    """The links of one layer or head by one measure and reading."""

    layer: int
    """Of the decoder, from 0."""
    head: int | None
    """None: the layer as a whole."""
    measure: Measure
    reading: Reading
    score: Score

    @property
    def name(self) -> str:
        """``L1`` or ``L1.H2``."""
        return place_name(self.layer, self.head)


@dataclass(frozen=True)
class Other:
    """The links of something else, on the same pairs."""

    name: str
    score: Score


@dataclass(frozen=True)
class Correlation:
    """Of the error rate of heads, by norms, with their mean norm."""

    reading: Reading
    spearman: float
    pearson: float
    n_heads: int


@dataclass(frozen=True)
class Gain:
    """What norms gain over weights, of a whole layer."""

    layer: int
    reading: Reading
    difference: Estimate
    """AER of norms less AER of weights: below 0 where norms are better."""


@dataclass(frozen=True)
class AlignmentStudy:
    """Error rates of every layer and head."""

    model: str
    n_pairs: int
    against: str
    """What counts as right: "gold", or "silver": links of an aligner, symmetrised."""
    rows: tuple[Row, ...]
    mean_norms: Float[np.ndarray, "layers heads_and_one"]
    """Of each layer, and of its heads after it."""
    layer: int
    """That with the highest mean norm: chosen without gold links."""
    head: tuple[int, int]
    """Layer and head with the highest mean norm."""
    correlations: tuple[Correlation, ...]
    gains: tuple[Gain, ...]
    others: tuple[Other, ...]
    left_out: tuple[LeftOut, ...] = ()
    """Links that point beyond the words, of each file that has some, where they were left out."""

    def row(self, layer: int, head: int | None, measure: Measure, reading: Reading) -> Row:
        """One of the rows."""
        wanted = (layer, head, measure, reading)
        return next(row for row in self.rows if (row.layer, row.head, row.measure, row.reading) == wanted)

    def named(self, name: str) -> Row:
        """The row that is called so, as ``L1:AWI:norms`` or ``L1.H2:AWO:weights``.

        Raises:
            InputError: there is none.
        """
        for row in self.rows:
            if name == f"{row.name}:{row.reading}:{row.measure}":
                return row
        last = self.rows[-1]
        raise InputError(
            f"--pick is {name!r}, which is no layer or head of {self.model}",
            f"Expected a layer from L0 to L{last.layer} or a head such as {last.name}, then AWI or AWO, then weights or norms",
            "Write for example --pick L0:AWI:norms",
        )

    def layers(self, measure: Measure, reading: Reading) -> list[Row]:
        """The rows of whole layers."""
        return [row for row in self.rows if (row.head, row.measure, row.reading) == (None, measure, reading)]

    def heads(self, measure: Measure, reading: Reading) -> list[Row]:
        """The rows of heads."""
        return [row for row in self.rows if row.head is not None and (row.measure, row.reading) == (measure, reading)]

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        norms = self.mean_norms
        return {
            "model": self.model,
            "pairs": self.n_pairs,
            "against": self.against,
            "rows": [
                {
                    "place": row.name,
                    "measure": row.measure,
                    "reading": row.reading,
                    "mean_norm": float(norms[row.layer, WHOLE_LAYER if row.head is None else row.head + 1]),
                }
                | row.score.to_json()
                for row in self.rows
            ],
            "highest_mean_norm": {"layer": place_name(self.layer, None), "head": place_name(*self.head)},
            "correlations": [dict(one.__dict__) for one in self.correlations],
            "norms_less_weights": [
                {"layer": place_name(one.layer, None), "reading": one.reading} | one.difference.__dict__
                for one in self.gains
            ],
            "others": [{"name": one.name} | one.score.to_json() for one in self.others],
            "left_out": to_json(self.left_out),
        }


def align(
    model: Transformer,
    pairs: Sequence[Pair],
    gold: Sequence[Links] | None = None,
    *,
    more: Sequence[Pair] = (),
    systems: Sequence[tuple[str, Sequence[Links]]] = (),
    left_out: Sequence[LeftOut] = (),
    pick: str | None = None,
    listen: Listener = lambda _what, _done, _all: None,
) -> tuple[AlignmentStudy, list[frozenset[Link]]]:
    """The error rate of every layer and head against gold links, or against an aligner's.

    Args:
        model: an encoder-decoder; it reads the source and is given the target.
        pairs: what is aligned.
        gold: links that are right; without them, those of `SILVER` count as right, and no error rate means more than agreement.
        more: further pairs for the aligners to learn from.
        systems: links of other systems with their names.
        left_out: what `links.read_link_file` left out of the files of links, to be told with the numbers.
        pick: whose links are returned, as "L1.H2:AWO:norms"; by default those of the layer with the highest mean norm, by
            norms and AWI, as in the paper.
        listen: told of the progress.

    Returns:
        the study, and the links that were picked.

    Raises:
        InputError: the model has no cross-attention; there are no gold links, and the extra `alignment` is not installed;
            nothing has the name that is picked.
    """
    found = extract(model, pairs, lambda done, n: listen("reading attention", done, n))
    others: list[tuple[str, Sequence[frozenset[Link]]]] = [
        (name, [one.possible for one in links]) for name, links in systems
    ]
    right = gold
    if gold is None or is_installed():
        learned = [_learned(pairs, more, listen, "eflomal"), _learned(pairs, more, listen, "fast_align")]
        if gold is None:
            right = [all_sure(links) for links in learned[0].symmetrised]
            learned = learned[1:]
        for one in learned:
            others += [(f"{one.method}, one direction", one.forward), (f"{one.method}, symmetrised", one.symmetrised)]
    assert right is not None
    listen("scoring", 0, 0)
    study = study_of(model.facts.name, found, right, others, "silver" if gold is None else "gold")
    study = replace(study, left_out=tuple(left_out))
    picked = study.named(pick) if pick else study.row(study.layer, None, "norms", "AWI")
    place = WHOLE_LAYER if picked.head is None else picked.head + 1
    return study, _links(found, (picked.measure, picked.reading), picked.layer, place)


def _learned(pairs: Sequence[Pair], more: Sequence[Pair], listen: Listener, method: Any) -> LearnedLinks:
    return learn_links(pairs, more, method=method, on_round=lambda done, n: listen(f"learning {method}", done, n))


def study_of(
    model: str,
    found: Extraction,
    right: Sequence[Links],
    others: Sequence[tuple[str, Sequence[frozenset[Link]]]],
    against: str,
) -> AlignmentStudy:
    """Scores, choices and correlations of what was extracted."""
    n_layers, n_maps = found.mean_norms.shape
    rows = tuple(
        Row(
            layer,
            place - 1 if place else None,
            measure,
            reading,
            _score(found, right, (measure, reading), layer, place),
        )
        for measure in MEASURES
        for reading in READINGS
        for layer in range(n_layers)
        for place in range(n_maps)
    )
    heads = found.mean_norms[:, 1:]
    best = np.unravel_index(int(heads.argmax()), heads.shape)
    return AlignmentStudy(
        model=model,
        n_pairs=len(right),
        against=against,
        rows=rows,
        mean_norms=found.mean_norms,
        layer=int(found.mean_norms[:, WHOLE_LAYER].argmax()),
        head=(int(best[0]), int(best[1])),
        correlations=tuple(_correlation(rows, heads, reading) for reading in READINGS),
        gains=tuple(_gain(found, right, layer, reading) for reading in READINGS for layer in range(n_layers)),
        others=tuple(Other(name, score(links, right)) for name, links in others),
    )


def place_name(layer: int, head: int | None) -> str:
    """``L1`` or ``L1.H2``, both from 0."""
    return f"L{layer}" if head is None else f"L{layer}.H{head}"


def _score(found: Extraction, right: Sequence[Links], which: tuple[Measure, Reading], layer: int, place: int) -> Score:
    return score(_links(found, which, layer, place), right)


def _gain(found: Extraction, right: Sequence[Links], layer: int, reading: Reading) -> Gain:
    norms, weights = (_links(found, (measure, reading), layer, WHOLE_LAYER) for measure in ("norms", "weights"))
    return Gain(layer, reading, difference(norms, weights, right))


def _links(found: Extraction, which: tuple[Measure, Reading], layer: int, place: int) -> list[frozenset[Link]]:
    return [links_of(sources[layer, place]) for sources in found.sources[which]]


def _correlation(rows: Sequence[Row], mean_norms: Float[np.ndarray, "layers heads"], reading: Reading) -> Correlation:
    chosen = [row for row in rows if row.head is not None and (row.measure, row.reading) == ("norms", reading)]
    rates = np.array([row.score.error_rate.value for row in chosen])
    norms = np.array([mean_norms[row.layer, row.head] for row in chosen])
    return Correlation(reading, pearson(ranks(rates), ranks(norms)), pearson(rates, norms), len(chosen))
