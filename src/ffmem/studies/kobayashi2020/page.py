"""One page that tells a study of attention: the paper's numbers beside ours, what its claims came to here, and charts."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from ffmem.analyses.intervals import Estimate
from ffmem.markup import Markup
from ffmem.store.files import atomic_write
from ffmem.studies.geva2021.headlines import Headline, Shape
from ffmem.studies.geva2021.report import Figure, Section, page_of, write_figure
from ffmem.studies.kobayashi2020.experiments import FIRST, OTHER, POINTS, AttentionFindings
from ffmem.studies.kobayashi2020.figures import FIGURES

_PAPER_CORRELATIONS = {"[CLS]": "~ -0.34", "[SEP]": "~ -0.69", POINTS: "~ -0.25", OTHER: "~ -0.06"}
_PAPER_MIXING = {"Attn-W": "96.4", "Attn-N": "85.3", "AttnRes-W": "48.2", "AttnRes-N": "22.3", "AttnResLn-N": "18.8"}
_PAPER_FREQUENCY = {
    "Attn-W": ".159",
    "Attn-N": "-.387",
    "AttnRes-W": ".159",
    "AttnRes-N": "-.839",
    "AttnResLn-N": "-.544",
}


@dataclass(frozen=True)
class _Told:
    name: str
    title: str
    question: str
    definition: str
    conclude: str


def write_attention_report(found: AttentionFindings, folder: Path) -> Path:
    """The page of a study, ``report.html``, with ``results.json`` and ``figures/`` beside it.

    Args:
        found: of `reproduce_attention`.
        folder: where it goes; made if it is not there.

    Returns:
        the page. It needs nothing but itself: no network, no other file.
    """
    drawn = folder / "figures"
    drawn.mkdir(parents=True, exist_ok=True)
    data = json.dumps(found.to_json(), indent=1, allow_nan=True).encode()
    atomic_write(folder / "results.json", data)
    specs = {name: write_figure(drawn, name, draw(found)) for name, draw in FIGURES.items()}
    page = page_of(
        kicker="Attention is not only a weight",
        title=f"Attention of {found.model} on {found.corpus}",
        intro=(
            "The experiments of Kobayashi, Kuribayashi, Yokoi and Inui (EMNLP 2020, section 4) and the mixing "
            "ratios of their "
            "second paper (EMNLP 2021) on this model and this text, beside the papers' numbers. Theirs are of "
            "BERT-base (uncased) "
            "on 992 texts of Wikipedia; where this model differs, equal numbers are not to be expected: what can "
            "be compared are shapes."
        ),
        note=(
            "In brackets: 95 % intervals; of correlations by leaving out a tenth of the texts at a time, of "
            "means by drawing "
            "documents anew. ~ marks numbers of the paper that were not checked against its published text."
        ),
        facts=_facts(found),
        left_out=_left_out(found),
        items=list(_sections(found)),
        headlines=list(headlines(found)),
        shapes=list(shapes(found)),
        specs=specs,
        made_from=hashlib.sha256(data).hexdigest()[:12],
    )
    path = folder / "report.html"
    atomic_write(path, page.encode())
    return path


def _facts(found: AttentionFindings) -> list[tuple[str, str]]:
    names = ", ".join(found.categories)
    return [
        ("model", f"{found.model}: {len(found.layers)} attention sub-layers of {found.n_heads} heads"),
        ("read", f"{found.n_texts:,} texts, {found.n_tokens:,} tokens of {found.corpus}"),
        ("frequencies", f"of {found.n_counted:,} tokens of it"),
        ("categories", f"{names}"),
        ("bias of W_V", "inside f(x), as in the paper; b_O belongs to no source"),
        ("seed", str(found.options["seed"])),
    ]


def _left_out(found: AttentionFindings) -> list[str]:
    told = []
    if FIRST in found.categories:
        told.append(
            "The tokenizer puts no special token before a text, so the token that happens to stand first is a "
            "category of its own: "
            "causal models are known to look there when there is nothing to look for."
        )
    if "AttnResLn-N" not in found.mixing:
        told.append(
            "No norm stands behind the residual sum in this model, so there is no mixing ratio with it (AttnResLn-N)."
        )
    return told


def _special(found: AttentionFindings) -> tuple[str, ...]:
    return tuple(one for one in found.categories if one not in (POINTS, OTHER))


def _number(item: str, quantity: str, paper: str, one: Estimate, unit: str = "") -> Headline:
    return Headline(item, quantity, paper, one.value, one.low, one.high, unit)


def headlines(found: AttentionFindings) -> Iterator[Headline]:
    """The numbers that the papers give, and ours."""
    yield Headline("4.1", "variation of ‖f(x)‖, mean over heads", "~ 0.22", float(np.mean(found.variation)), unit="")
    for name, one in zip(found.categories, found.correlations, strict=True):
        yield _number("4.2", f"Spearman of weight and ‖f(x)‖, {name}", _PAPER_CORRELATIONS.get(name, "-"), one)
    for name, one in zip(found.categories, found.weight_less_norm, strict=True):
        yield _number("4.2", f"share of weight less share of norm, {name}", "-", one, "%")
    yield _number("4.3", "Spearman of frequency rank and ‖f(x)‖", "~ 0.75", found.frequency_norm)
    yield _number("4.3", "Spearman of frequency rank and weight", "~ 0.06", found.frequency_weight)
    for variant, layers in found.mixing.items():
        mean = float(np.mean([one.value for one in layers]))
        yield Headline("2021", f"mixing ratio, {variant}", f"{_PAPER_MIXING[variant]} %", mean)
    for variant, one in found.frequency_mixing.items():
        yield _number("2021", f"Spearman of frequency rank and {variant}", _PAPER_FREQUENCY[variant], one)


def shapes(found: AttentionFindings) -> Iterator[Shape]:
    """What the papers saw, as questions that this study answers."""
    heads = np.array(found.variation).ravel()
    yield Shape(
        "4.1",
        "‖f(x)‖ is not constant, so that weights alone do not tell what is added",
        bool(np.median(heads) >= 0.1),
        f"variation of the median head {np.median(heads):.2f}, of all {heads.min():.2f} to {heads.max():.2f}; 0.1 "
        f"is asked for",
    )
    other = found.correlations[found.categories.index(OTHER)]
    for name in (*_special(found), POINTS):
        place = found.categories.index(name)
        gap, one = found.weight_less_norm[place], found.correlations[place]
        if not one.n:
            continue
        yield Shape(
            "4.2",
            f"{name}: its share of what is added is smaller than its share of weight",
            gap.low > 0,
            f"weight less norm {100 * gap.value:+.1f} points ({100 * gap.low:+.1f} to {100 * gap.high:+.1f}), "
            f"mean over layers",
        )
        yield Shape(
            "4.2",
            f"{name}: where it gets much weight its vector is short, more so than with other tokens",
            one.high < min(0.0, other.low),
            f"Spearman {one.value:.2f} ({one.low:.2f} to {one.high:.2f}), other tokens {other.value:.2f}",
        )
    norm, weight = found.frequency_norm, found.frequency_weight
    yield Shape(
        "4.3",
        "rarer words have longer vectors, and norms follow frequency more than weights do",
        norm.low > max(0.0, weight.high),
        f"Spearman of frequency rank: norm {norm.value:.2f} ({norm.low:.2f} to {norm.high:.2f}), "
        f"weight {weight.value:.2f} ({weight.low:.2f} to {weight.high:.2f})",
    )
    means = {
        one: float(np.mean([layer.value for layer in found.mixing[one]]))
        for one in _PAPER_MIXING
        if one in found.mixing
    }
    steps = list(means.values())
    yield Shape(
        "2021",
        "with norms, the residual connection and the norm behind it, mixing shrinks at each step",
        all(after < before for before, after in pairwise(steps)),
        ", ".join(f"{name} {100 * value:.1f} %" for name, value in means.items()),
    )


def _sections(found: AttentionFindings) -> Iterator[Section]:
    heads = np.array(found.variation).ravel()
    special = ", ".join(_special(found))
    gaps = ", ".join(
        f"{name} {100 * one.value:+.1f}" for name, one in zip(found.categories, found.weight_less_norm, strict=True)
    )
    told = (
        (
            _Told(
                "2020, 4.1",
                "Does the norm of f(x) vary?",
                "If all vectors f(x) of a head were of one length, weights would tell all.",
                "For each head the standard deviation of ‖f(x_j)‖ over all tokens of all texts, divided by its mean.",
                "That weights and norms of what is added can differ; not yet where they do.",
            ),
            f"The median head's ‖f(x)‖ varies by {100 * float(np.median(heads)):.0f} % of its mean; "
            f"heads range from {100 * heads.min():.0f} % to {100 * heads.max():.0f} %.",
            ("variation",),
        ),
        (
            _Told(
                "2020, 4.2",
                "Weight against norm, by category of tokens",
                f"Do {special} and punctuation add as much as their weight says?",
                "For each text and head: the sum over tokens of a category of alpha (of ‖alpha f(x)‖), mean over "
                "queries; norms as a "
                "share of those of all tokens. Mean over heads, then over the texts that have the category.",
                "Where a category's weight is far above its norm, attention to it is near to doing nothing. A "
                "norm has no "
                "direction: vectors that cancel one another count in full.",
            ),
            f"Share of weight less share of norm, in points, mean over layers: {gaps}.",
            ("weight-shares", "norm-shares", "transformed-norms"),
        ),
        (
            _Told(
                "2020, 4.2",
                "Do large weights meet short vectors?",
                "Is a large weight taken back by a short f(x)?",
                "Spearman's rank correlation of alpha^h_ij and ‖f^h(x_j)‖ over all pairs, heads and layers, by "
                "the category of the "
                "source. Both are counted into bins 9 % wide; no pair is kept.",
                "Pairs of one text are not independent: the interval leaves out a tenth of the texts at a time.",
            ),
            "; ".join(
                f"{name} {one.value:.2f}"
                for name, one in zip(found.categories, found.correlations, strict=True)
                if one.n
            )
            + ".",
            ("correlations",),
        ),
        (
            _Told(
                "2020, 4.3",
                "Are frequent words discounted?",
                "Do rare words weigh more, and is it weights or norms that say so?",
                "For each token its mean ‖f(x)‖ over heads and layers, and the mean weight that it gets from the "
                "queries that may look "
                "at it, against the rank of its frequency in this corpus (1: most frequent). Special tokens are "
                "left out.",
                "A correlation over tokens of running text: frequent words count as often as they come.",
            ),
            f"Spearman's correlation with frequency rank is {found.frequency_norm.value:.2f} for ‖f(x)‖ and "
            f"{found.frequency_weight.value:.2f} for weights.",
            (),
        ),
        (
            _Told(
                "2021",
                "How much is mixed?",
                "How much of what a position carries on comes from other positions?",
                "‖what others bring‖ / (‖what others bring‖ + ‖what is its own‖), biases left out; W: by "
                "weights; N: by norms; Res: its "
                "own is also what was in the stream; Ln: behind the norm of the sum.",
                "The papers' ratio for models with the norm behind the sum; where the norm stands before, Ln has "
                "no meaning.",
            ),
            "Means over layers: "
            + ", ".join(
                f"{variant} {100 * float(np.mean([one.value for one in layers])):.0f} %"
                for variant, layers in found.mixing.items()
            )
            + ".",
            ("mixing",),
        ),
    )
    sample = f"{found.n_texts:,} texts, {found.n_tokens:,} tokens, {len(found.layers)} layers x {found.n_heads} heads"
    for item, reading, names in told:
        yield Section(
            item=item,
            anchor="".join(one if one.isalnum() else "-" for one in item.title.lower()),
            short=item.title,
            reading=reading,
            sample=sample,
            figures=tuple(Figure(name, (FIGURES[name].__doc__ or "").strip()) for name in names),
            extra=Markup(""),
        )
