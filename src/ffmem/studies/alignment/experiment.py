"""The experiment of Kobayashi et al. 2020, section 5: do norms find the translation of a word better than weights?"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from ffmem.analyses.alignment.aligner import LearnedLinks, Method, is_installed, learn_links
from ffmem.analyses.alignment.extract import MEASURES, READINGS, WHOLE_LAYER, Extraction, Measure, Reading, extract
from ffmem.analyses.alignment.links import LeftOut, Link, Links, all_sure
from ffmem.analyses.alignment.maps import links_of
from ffmem.analyses.alignment.pairs import Pair
from ffmem.analyses.alignment.scoring import Score, agreement_sums, difference, score
from ffmem.analyses.correlation import pearson, ranks
from ffmem.analyses.intervals import Sums
from ffmem.models.transformer import Transformer
from ffmem.studies.alignment.findings import (
    AlignmentStudy,
    Correlation,
    Gain,
    Other,
    Picked,
    Row,
)

SILVER: Method = "eflomal"
"""The aligner whose links stand in for gold ones where there are none."""
_ALIGNERS: tuple[Method, ...] = (SILVER, "fast_align")

Listener = Callable[[str, int, int], None]
"""Takes what is being done, how much of it is, and how much there is."""


@dataclass(frozen=True)
class Material:
    """What is aligned, and what it is held against."""

    pairs: Sequence[Pair]
    gold: Sequence[Links] | None = None
    """Links that are right; without them, those of `SILVER` count as right, and no error rate means more than agreement."""
    more: Sequence[Pair] = ()
    """Further pairs for the aligners to learn from."""
    systems: Sequence[tuple[str, Sequence[Links]]] = ()
    """Links of other systems with their names."""
    left_out: tuple[LeftOut, ...] = ()
    """What `links.read_link_file` left out of the files of links, to be told with the numbers."""

    @property
    def aligners(self) -> tuple[Method, ...]:
        """Those that learn from it: all, where they are installed, or where there is nothing else to compare with."""
        return _ALIGNERS if self.gold is None or is_installed() else ()

    def learn(self, method: Method, listen: Listener) -> LearnedLinks:
        """The links of an aligner."""
        return learn_links(
            self.pairs, self.more, method=method, on_round=lambda done, n: listen(f"learning {method}", done, n)
        )


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
        gold: see `Material`, as of all but the last two.
        more: further pairs for the aligners to learn from.
        systems: links of other systems with their names.
        left_out: what was left out of the files of links.
        pick: whose links are returned, as "L1.H2:AWO:norms"; by default those of the layer with the highest mean norm, by
            norms and AWI, as in the paper.
        listen: told of the progress.

    Returns:
        the study, and the links that were picked.

    Raises:
        InputError: the model has no cross-attention; there are no gold links, and the extra `alignment` is not installed;
            nothing has the name that is picked.
    """
    material = Material(pairs, gold, more, systems, tuple(left_out))
    found = extract(model, pairs, lambda done, n: listen("reading attention", done, n))
    learned = [material.learn(method, listen) for method in material.aligners]
    listen("scoring", 0, 0)
    study = score_all(model.facts.name, found, material, learned)
    return study, list(pick_links(study, found, pick).links)


def score_all(model: str, found: Extraction, material: Material, learned: Sequence[LearnedLinks]) -> AlignmentStudy:
    """What was extracted, against gold links or, without them, the first aligner's.

    Args:
        model: its name.
        found: the links of all layers and heads.
        material: what they are held against.
        learned: the links of `Material.aligners`, in their order.
    """
    others: list[tuple[str, Sequence[frozenset[Link]]]] = [
        (name, [one.possible for one in links]) for name, links in material.systems
    ]
    right = right_links(material, learned)
    for one in learned if material.gold is not None else learned[1:]:
        others += [(f"{one.method}, one direction", one.forward), (f"{one.method}, symmetrised", one.symmetrised)]
    against = "silver" if material.gold is None else "gold"
    return study_of(model, found, right, others, against, material.left_out)


def right_links(material: Material, learned: Sequence[LearnedLinks]) -> Sequence[Links]:
    """What counts as right: gold links or, without them, the first aligner's."""
    return [all_sure(links) for links in learned[0].symmetrised] if material.gold is None else material.gold


def row_sums(study: AlignmentStudy, found: Extraction, right: Sequence[Links]) -> Sums:
    """What each pair adds to 1 - AER of each row of a study, a column each."""
    return agreement_sums(
        [
            _links(found, (row.measure, row.reading), row.layer, WHOLE_LAYER if row.head is None else row.head + 1)
            for row in study.rows
        ],
        right,
    )


def pick_links(study: AlignmentStudy, found: Extraction, pick: str | None) -> Picked:
    """The links of one layer or head; by default, of the layer with the highest mean norm, by norms and AWI.

    Raises:
        InputError: nothing has that name.
    """
    row = study.named(pick) if pick else study.row(study.layer, None, "norms", "AWI")
    place = WHOLE_LAYER if row.head is None else row.head + 1
    links = _links(found, (row.measure, row.reading), row.layer, place)
    return Picked(f"{row.name}:{row.reading}:{row.measure}", tuple(links))


def study_of(
    model: str,
    found: Extraction,
    right: Sequence[Links],
    others: Sequence[tuple[str, Sequence[frozenset[Link]]]],
    against: str,
    left_out: tuple[LeftOut, ...] = (),
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
        mean_norms=found.mean_norms.tolist(),
        layer=int(found.mean_norms[:, WHOLE_LAYER].argmax()),
        head=(int(best[0]), int(best[1])),
        correlations=tuple(_correlation(rows, heads, reading) for reading in READINGS),
        gains=tuple(_gain(found, right, layer, reading) for reading in READINGS for layer in range(n_layers)),
        others=tuple(Other(name, score(links, right)) for name, links in others),
        left_out=left_out,
    )


def _score(found: Extraction, right: Sequence[Links], which: tuple[Measure, Reading], layer: int, place: int) -> Score:
    return score(_links(found, which, layer, place), right)


def _gain(found: Extraction, right: Sequence[Links], layer: int, reading: Reading) -> Gain:
    norms, weights = (_links(found, (measure, reading), layer, WHOLE_LAYER) for measure in ("norms", "weights"))
    return Gain(layer, reading, difference(norms, weights, right).estimate)


def _links(found: Extraction, which: tuple[Measure, Reading], layer: int, place: int) -> list[frozenset[Link]]:
    return [links_of(sources[layer, place]) for sources in found.sources[which]]


def _correlation(rows: Sequence[Row], mean_norms: Float[np.ndarray, "layers heads"], reading: Reading) -> Correlation:
    chosen = [row for row in rows if row.head is not None and (row.measure, row.reading) == ("norms", reading)]
    rates = np.array([row.score.error_rate.value for row in chosen])
    norms = np.array([mean_norms[row.layer, row.head] for row in chosen])
    return Correlation(reading, pearson(ranks(rates), ranks(norms)), pearson(rates, norms), len(chosen))
