"""An addition: what is lost without the cells that activation picks, beside as large a change in other directions."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields

import numpy as np
from jaxtyping import Float, Int64

from ffmem.analyses.intervals import Estimate, Sums, Uncertain, each_ratio, mean_ratio, numbered
from ffmem.analyses.prefixes import Continued
from ffmem.analyses.removal import KS, WAYS, Removals, Way, measure_removals, removal_layers
from ffmem.studies.exhibit import Chart, Claim, Exhibit, Number, Row, Table
from ffmem.studies.geva2021.context import Geva2021
from ffmem.studies.results import Findings, Results, plain
from ffmem.studies.study import Chapter, Experiment, Stage, StageListener
from ffmem.studies.verdicts import above, every

_PART, _ARRAYS = "removal-part-", "removal"
_PREFIXES_A_PART = 50
"""Prefixes that a stopped study may have to look at again."""
K = 10
"""Of what is claimed and told of layers."""
_NAMES: Mapping[Way, str] = {
    "activation": "the cells of largest coefficient",
    "chance": "random active cells",
    "chance, equal norm": "as long a vector in the direction of random active cells",
    "random direction, equal norm": "as long a vector in a random direction",
    "contribution": "the cells of largest |m| x length of v",
    "effect": "the cells that argue most for the prediction",
}
_EQUAL: tuple[Way, ...] = ("chance, equal norm", "random direction, equal norm")
_BY_LAYER: tuple[Way, ...] = ("activation", "chance", *_EQUAL)
_SIDE_BY_SIDE = 1.05
"""By how much points of one k stand beside each other, so that their intervals can be told apart."""
Ways = dict[Way, tuple[Estimate, ...]]
"""For each of `KS`; a way that the model does not have is missing."""


@dataclass(frozen=True)
class LayerRemoval:
    """One layer, in nats."""

    layer: str
    place: int
    n_removed: tuple[float, ...]
    """Cells on average, for each of `KS`."""
    without_all: Estimate
    change: Ways
    divergence: Ways
    length: dict[Way, tuple[float, ...]]


@dataclass(frozen=True)
class RemovalResult:
    """What is lost. What was lost at each prefix lies beside it as arrays: see `ffmem.analyses.removal.Removals`."""

    n_prefixes: int
    n_documents: int
    loss: Estimate
    layers: tuple[LayerRemoval, ...]
    change: Ways
    """Means over the layers, as the next."""
    divergence: Ways
    without_all: Estimate
    largest_error: float


@dataclass(frozen=True)
class _AtPrefixes:
    """What was lost at each prefix, ready to be summed by document."""

    found: Removals
    groups: Int64[np.ndarray, " n"]
    n_groups: int

    def sums(self, values: np.ndarray) -> Sums:
        """Of a number of each prefix, or for each prefix and layer."""
        return Sums.of(values, self.groups, self.n_groups)

    def of(self, what: Float[np.ndarray, "n layers ways ks"], way: Way, k: int = K) -> Float[np.ndarray, "n layers"]:
        """One way and number of cells."""
        found: np.ndarray = what[:, :, WAYS.index(way), KS.index(k)]
        return found

    def more(self, what: Float[np.ndarray, "n layers ways ks"], than: Way) -> Uncertain:
        """By how much activation leads another way at the same prefixes, mean of layers."""
        return mean_ratio(self.sums(self.of(what, "activation") - self.of(what, than)).differences)

    def by_layer(self, what: Float[np.ndarray, "n layers ways ks"]) -> list[Ways]:
        """Every estimate of each layer."""
        found: list[Ways] = [{} for _ in range(what.shape[1])]
        for way in self.ways:
            by_k = [[one.estimate for one in each_ratio(self.sums(self.of(what, way, k)))] for k in KS]
            for place, layer in enumerate(found):
                layer[way] = tuple(one[place] for one in by_k)
        return found

    def means(self, what: Float[np.ndarray, "n layers ways ks"]) -> Ways:
        """Over the layers."""
        return {way: tuple(mean_ratio(self.sums(self.of(what, way, k))).estimate for k in KS) for way in self.ways}

    @property
    def ways(self) -> list[Way]:
        """Those that the model has."""
        return [way for way in WAYS if not np.isnan(self.of(self.found.change, way)).all()]


def _run(study: Geva2021, listen: StageListener) -> RemovalResult:
    """In parts, so that a stopped study goes on."""
    continued = study.continued
    n = len(continued.prefixes)
    parts = [_part(study, first, listen) for first in range(0, n, _PREFIXES_A_PART)]
    arrays = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    study.results.save_arrays(_ARRAYS, arrays)
    at = _at_prefixes(arrays)
    found, places = at.found, removal_layers(study.index.n_layers)
    change, divergence = at.by_layer(found.change), at.by_layer(found.divergence)
    without_all = each_ratio(at.sums(found.without_all))
    length, n_removed = found.length.mean(0), found.n_removed.mean(0)
    return RemovalResult(
        n_prefixes=n,
        n_documents=len(np.unique(found.document)),
        loss=mean_ratio(at.sums(found.loss)).estimate,
        layers=tuple(
            LayerRemoval(
                layer=study.index.cells.layers[place].name,
                place=place,
                n_removed=tuple(n_removed[number].tolist()),
                without_all=without_all[number].estimate,
                change=change[number],
                divergence=divergence[number],
                length={way: tuple(length[number, WAYS.index(way)].tolist()) for way in at.ways},
            )
            for number, place in enumerate(places)
        ),
        change=at.means(found.change),
        divergence=at.means(found.divergence),
        without_all=mean_ratio(at.sums(found.without_all)).estimate,
        largest_error=float(found.error.max()),
    )


def _part(study: Geva2021, first: int, listen: StageListener) -> dict[str, np.ndarray]:
    name, n = f"{_PART}{first:06}", len(study.continued.prefixes)
    some = slice(first, first + _PREFIXES_A_PART)
    if not study.results.has_arrays(name):
        drawn = Continued(study.continued.prefixes.some(some), study.continued.following[some])
        measured = measure_removals(
            study.model,
            drawn,
            bos=study.index_options.bos,
            seed=study.options.seed,
            on_prefix=lambda done: listen(Stage("removal", first + done, n)),
        )
        study.results.save_arrays(name, {one.name: getattr(measured, one.name) for one in fields(Removals)})
    listen(Stage("removal", min(some.stop, n), n))
    return study.results.load_arrays(name)


def _at_prefixes(arrays: dict[str, np.ndarray]) -> _AtPrefixes:
    found = Removals(**arrays)
    return _AtPrefixes(found, *numbered(found.document))


def _beside(findings: Findings) -> _AtPrefixes:
    """The arrays that lie beside the result."""
    return _at_prefixes(Results(findings.folder, findings.header).load_arrays(_ARRAYS))


def _result(findings: Findings) -> RemovalResult:
    return findings.get("removal", RemovalResult)


def _at_k(estimates: tuple[Estimate, ...]) -> Estimate:
    return estimates[KS.index(K)]


def _sample(findings: Findings) -> str:
    found, n_layers = _result(findings), findings.index.n_layers
    layers = f"all {n_layers}" if len(found.layers) == n_layers else f"{len(found.layers)} of {n_layers}"
    return (
        f"the last token of {found.n_prefixes:,} random held-out prefixes that a token follows, from {found.n_documents:,} "
        f"documents, in {layers} layers, one at a time; intervals by drawing documents"
    )


def _reading(findings: Findings) -> str:
    found = _result(findings)
    lost = {way: f"{_at_k(one).value:+.3g}" for way, one in found.change.items()}
    return (
        f"Without the {K} cells of largest coefficient of a layer the next token's loss changes by {lost['activation']} nats, "
        f"without {K} random active ones by {lost['chance']} (mean of layers; all cells of a layer: "
        f"{found.without_all.value:+.3g}). Taking off as long a vector in the direction of random active cells changes it by "
        f"{lost[_EQUAL[0]]}, in a random direction by {lost[_EQUAL[1]]}."
    )


def _numbers(findings: Findings) -> Iterator[Number]:
    found = _result(findings)
    yield Number.of("loss of the next token with all cells", "-", found.loss, "nats")
    yield Number.of("loss without all cells of a layer, more by", "-", found.without_all, "nats")
    for way, name in _NAMES.items():
        if way in found.change:
            yield Number.of(f"loss without {name}, k = {K}, more by", "-", _at_k(found.change[way]), "nats")
    for way, name in _NAMES.items():
        if way in found.divergence:
            quantity = f"divergence from the own prediction without {name}, k = {K}"
            yield Number.of(quantity, "-", _at_k(found.divergence[way]), "nats")


def _claims(findings: Findings) -> Iterator[Claim]:
    at = _beside(findings)
    change, divergence = at.found.change, at.found.divergence
    than_chance = at.more(change, "chance")
    yield Claim(
        "removing the cells of largest coefficient costs more than removing as many random active ones",
        above(than_chance, unit="nats"),
        f"change of the loss, the first less the second, k = {K}, mean of layers: {_nats(than_chance)}",
    )
    for statement, what, name in (
        ("costs more than as large a change in other directions", change, "change of the loss"),
        ("changes the prediction more than as large a change in other directions", divergence, "divergence"),
    ):
        cells, direction = (at.more(what, way) for way in _EQUAL)
        yield Claim(
            f"removing the cells of largest coefficient {statement}",
            every(above(cells, unit="nats"), above(direction, unit="nats")),
            f"{name}, the first less the second, k = {K}, mean of layers: than in the direction of random active cells "
            f"{_nats(cells)}, than in a random one {_nats(direction)}",
        )


def _nats(found: Uncertain) -> str:
    low, high = found.interval()
    return f"{found.value:+.4f} nats" + ("" if np.isnan(low) else f" ({low:+.4f} to {high:+.4f})")


def _by_k(ways: Ways) -> list[Row]:
    return [
        {"middle": k * _SIDE_BY_SIDE ** (number - (len(ways) - 1) / 2), "from": k, "to": k, "series": _NAMES[way]}
        | plain(one)
        for number, (way, estimates) in enumerate(ways.items())
        for k, one in zip(KS, estimates, strict=True)
    ]


def _charts(findings: Findings) -> Iterator[Chart]:
    found = _result(findings)
    for name, ways, caption, title in (
        ("removal", found.change, "What the next token's loss gains without k cells of a layer.", "loss, nats more"),
        (
            "removal-divergence",
            found.divergence,
            "How far the prediction goes without k cells of a layer: KL(p || p').",
            "divergence, nats",
        ),
    ):
        told = f"{caption} Mean of layers; points of one k stand side by side."
        yield Chart(name, told, "points", _by_k(ways), title, x_title="k, cells removed", percent=False)
    by_layer = [(layer, layer.change, layer.divergence) for layer in found.layers]
    caption = f"What the next token's loss gains, layer by layer, k = {K}."
    rows = [row for layer, change, _ in by_layer for row in _layer_rows(layer, change)]
    yield Chart("removal-by-layer", caption, "lines", rows, "loss, nats more", percent=False)
    caption = f"How far the prediction goes, layer by layer, k = {K}."
    rows = [row for layer, _, divergence in by_layer for row in _layer_rows(layer, divergence)]
    yield Chart("removal-divergence-by-layer", caption, "lines", rows, "divergence, nats", percent=False)


def _layer_rows(layer: LayerRemoval, ways: Ways) -> list[Row]:
    return [
        {"layer": layer.place, "name": layer.layer, "series": _NAMES[way]} | plain(_at_k(ways[way]))
        for way in _BY_LAYER
    ]


def _tables(findings: Findings) -> Iterator[Table]:
    found = _result(findings)
    rows = [
        {
            "layer": layer.layer,
            "k": k,
            "removed": round(layer.n_removed[number], 1),
            "way": _NAMES[way],
            "loss, more by": _rounded(layer.change[way][number].value),
            "low": _rounded(layer.change[way][number].low),
            "high": _rounded(layer.change[way][number].high),
            "divergence": _rounded(layer.divergence[way][number].value),
            "length of what is taken off, of y": _rounded(layer.length[way][number]),
        }
        for layer in found.layers
        for number, k in enumerate(KS)
        for way in layer.change
    ]
    yield Table("removed-cells", "What is lost in every layer, in nats", tuple(rows[0]), rows, folded=True)


def _rounded(value: float) -> float | None:
    return round(value, 5) if np.isfinite(value) else None


def _notes(findings: Findings) -> Iterator[str]:
    found = _result(findings)
    removed = np.mean([layer.n_removed for layer in found.layers], axis=0)
    short = [f"{n:.1f} for k = {k}" for k, n in zip(KS, removed.tolist(), strict=True) if n < k - 0.05]
    if short:
        yield (
            f"Where fewer than k cells have a coefficient all are removed, whatever the way: on average {', '.join(short)}."
        )
    if "effect" not in found.change:
        yield "What a cell argues for is left out: the scores of this model are no sums of what its cells add."


CHAPTER = Chapter(
    order=6,
    experiments=lambda study: [Experiment("removal", RemovalResult, _run, parts=_PART)] if study.predicts else [],
    results={"removal": RemovalResult},
    exhibits=(
        Exhibit(
            order=12,
            name="Addition",
            title="Do the cells that are shown first matter?",
            question="What does a prediction lose without the cells of largest coefficient, and is it more than by chance?",
            definition="""
At the last token of a prefix, in one layer, k coefficients are set to 0, and the model goes on from there: by how much -ln p
of the token that follows grows, and KL(p || p') from the model's own p, which is the same if the following token is drawn
from p. Picked are the cells with the largest |m|; with the largest |m| x length of v; with the largest share of the score of
the model's own prediction; at random among those with m other than 0. Of equal norm: off the layer's output y is taken a
vector as long as what the cells of largest |m| wrote there, in the direction of what the random cells wrote (their part of y,
scaled up or down), or in one of all directions alike.""",
            conclude="""
Cells of large coefficient write more, so that more is lost without them than without others says little by itself; only what
goes beyond a change of equal size is due to what they write. A scaled sum of random cells is a state that the model
never has. Other layers and later tokens make up for what one layer lacks at one token: a small loss does not say that the
cells do nothing.""",
            applies=lambda findings: "removal" in findings.values,
            reading=_reading,
            sample=_sample,
            numbers=_numbers,
            claims=_claims,
            charts=_charts,
            tables=_tables,
            notes=_notes,
        ),
    ),
)
