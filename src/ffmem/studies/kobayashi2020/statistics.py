"""What comes together as texts are read: statistics that stream, and that a stopped run goes on from.

What differs from the official code: a category that a text lacks is left out of that category's averages (there it counted
as 0, or made them NaN); a causal query has no sources on its right, so pairs are those that it may look at; no pair is kept.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int64

from ffmem.analyses.attention.inputs import run
from ffmem.analyses.attention.mixing import VARIANTS, MixingVariant, mixing_ratios
from ffmem.analyses.attention.options import AttentionOptions
from ffmem.analyses.attention.split import split_values
from ffmem.analyses.correlation import spearman
from ffmem.analyses.intervals import Estimate, mean
from ffmem.analyses.resampling import jackknifed
from ffmem.corpus.documents import Corpus
from ffmem.json_values import Record
from ffmem.models.attention import AttentionLayer, AttentionStates
from ffmem.models.transformer import Transformer
from ffmem.models.vocabulary import display
from ffmem.studies.checkpoint import Checkpoint
from ffmem.studies.kobayashi2020.findings import FIRST, OTHER, POINTS, AttentionFindings, ByText
from ffmem.studies.kobayashi2020.streams import Dispersion, RankCorrelation
from ffmem.studies.kobayashi2020.texts import Listener, Texts, draw_texts, frequency_ranks

_N_BLOCKS = 10


def reproduce_attention(
    model: Transformer,
    corpus: Corpus,
    options: AttentionOptions = AttentionOptions(),  # noqa: B008 (frozen)
    progress: Listener = lambda _what, _done, _total: None,
    checkpoint: Checkpoint | None = None,
) -> AttentionFindings:
    """Dispersion, categories, rank correlations, frequency and mixing ratios of a model's attention over a corpus.

    Args:
        model: of one stack; of an encoder-decoder its encoder and decoder read the same text, and both are told.
        corpus: what texts are drawn from.
        options: how many, and how long.
        progress: called with what is being done, how much of it is done, and how much there is.
        checkpoint: what it goes on from, and where it keeps what it has.

    Raises:
        InputError: the corpus has too little text.

    Cost: a forward pass with explicit weights for each text, heads x d_model x length numbers a layer, and a fixed 32 MB of
        counts for each category; never a list of pairs.

    Source: Kobayashi et al. 2020, section 4 (experiments and categories); 2021, section 4 (mixing ratios).
    """
    texts = draw_texts(model, corpus, options, progress)
    statistics = Statistics(model, texts, options)
    arrays = None if checkpoint is None else checkpoint.load()
    if arrays is not None:
        statistics.restore(arrays)
    for number in range(statistics.n_read, len(texts.ids)):
        statistics.read(number, texts.ids[number])
        if checkpoint is not None:
            checkpoint.keep(statistics.arrays)
        progress("texts", number + 1, len(texts.ids))
    return statistics.findings(corpus.name)


class Statistics(Record):
    """The statistics, as texts are read.

    Args:
        model: whose attention it is.
        texts: all that are to be read, one after the other.
        options: the seed of the intervals, and what stands before a text.
    """

    def __init__(self, model: Transformer, texts: Texts, options: AttentionOptions) -> None:
        self._model, self._texts, self._options = model, texts, options
        self._layers = [layer for layer in model.attention_layers if not layer.cross]
        self._place = {layer.name: number for number, layer in enumerate(self._layers)}
        self._heads = self._layers[0].n_heads
        before, after = model.special_tokens(options.bos)
        self._n_before, self._n_after = len(before), len(after)
        special = [display(model.vocabulary[one]) for one in (*before, *after)]
        first = [] if before else [FIRST]
        self.categories = (*dict.fromkeys((*special, *first)), POINTS, OTHER)
        n_texts, n_layers, n_categories = len(texts.ids), len(self._layers), len(self.categories)
        shape = (n_texts, n_layers, n_categories)
        self._weights, self._norms, self._vectors = (np.full(shape, np.nan) for _ in range(3))
        n_blocks = min(_N_BLOCKS, n_texts)
        self._norms_of_f = Dispersion(n_layers * self._heads, n_blocks)
        self._norms_of_x = Dispersion(n_layers)
        self._pairs = RankCorrelation(n_categories, n_blocks)
        self._mixing: dict[MixingVariant, np.ndarray] = {}
        self._mixing_extremes: dict[MixingVariant, tuple[float, float]] = {}
        self._tokens: dict[str, list[np.ndarray]] = {}
        self._ranks = frequency_ranks(texts.counts)
        self.n_read = 0

    def arrays(self) -> dict[str, np.ndarray]:
        """All that there is so far, to go on from; see `restore`."""
        extremes = {f"extremes.{name}": np.array(ends) for name, ends in self._mixing_extremes.items()}
        mixing = {f"mixing.{name}": ratios for name, ratios in self._mixing.items()}
        tokens = {f"tokens.{name}": np.concatenate(parts) for name, parts in self._tokens.items()}
        return {"n_read": np.array([self.n_read]), **self._sums(), **mixing, **extremes, **tokens}

    def restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Go on after the text that the arrays stand after."""
        self.n_read = int(arrays["n_read"][0])
        for name, sums in self._sums().items():
            sums[...] = arrays[name]
        ends = np.cumsum([len(ids) - self._n_before - self._n_after for ids in self._texts.ids[: self.n_read]])
        for name, values in arrays.items():
            if name.startswith("tokens."):
                self._tokens[name.removeprefix("tokens.")] = np.split(values.copy(), ends[:-1])
        for variant in VARIANTS:
            if f"mixing.{variant}" in arrays:
                low, high = arrays[f"extremes.{variant}"].tolist()
                self._mixing[variant] = arrays[f"mixing.{variant}"].copy()
                self._mixing_extremes[variant] = (low, high)

    def _sums(self) -> dict[str, np.ndarray]:
        """The arrays that are there from the beginning, by name, to be read and written."""
        of_f, of_x = self._norms_of_f.arrays, self._norms_of_x.arrays
        return {
            "weights": self._weights,
            "norms": self._norms,
            "vectors": self._vectors,
            "pairs": self._pairs.counts,
            **{f"of_f.{name}": values for name, values in of_f.items()},
            **{f"of_x.{name}": values for name, values in of_x.items()},
        }

    def _block(self, number: int) -> int:
        return number * len(self._pairs.counts) // len(self._texts.ids)

    def _category(self, ids: Sequence[int]) -> Int64[np.ndarray, " tokens"]:
        points = self.categories.index(POINTS)
        own = [
            points if self._model.vocabulary[one].strip().strip("▁Ġ".encode()) in (b".", b",") else points + 1
            for one in ids
        ]
        names = [display(self._model.vocabulary[one]) for one in ids]
        for place in (*range(self._n_before), *range(len(ids) - self._n_after, len(ids))):
            own[place] = self.categories.index(names[place])
        if not self._n_before:
            own[0] = self.categories.index(FIRST)
        return np.array(own)

    def read(self, number: int, ids: list[int]) -> None:
        """One text."""
        category = self._category(ids)
        own = slice(self._n_before, len(ids) - self._n_after)
        sums: dict[str, np.ndarray] = {}

        def add(name: str, values: np.ndarray) -> None:
            sums[name] = sums.get(name, 0.0) + values[own].astype(np.float64)

        def on_states(layer: AttentionLayer, states: AttentionStates) -> None:
            self._layer(number, layer, states, category, add)

        batch = torch.tensor([ids], device=next(self._model.module.parameters()).device)
        run(self._model, batch, batch if self._layers[-1].stack else None, on_states, self._layers)
        n_layers = len(self._layers)
        rank = self._ranks[np.array(ids[own])]
        for name, values in (("rank", rank * n_layers), *sums.items()):
            self._tokens.setdefault(name, []).append((values / n_layers).astype(np.float32))
        self.n_read = number + 1

    def _layer(
        self,
        number: int,
        layer: AttentionLayer,
        states: AttentionStates,
        category: Int64[np.ndarray, " tokens"],
        add: Callable[[str, np.ndarray], None],
    ) -> None:
        place, weights = self._place[layer.name], states.weights[0].float()
        split = split_values(layer, states.values[0])
        norms = split.vectors.norm(dim=-1).T.contiguous()  # (heads, keys)
        causal = self._model.facts.causal or layer.stack == "dec"
        self._pairs.add(self._block(number), weights, norms, torch.from_numpy(category).to(weights.device), causal)
        n = weights.shape[-1]
        received = weights.sum(1)  # of each source from all queries, (heads, keys)
        plain, given, lengths = (one.double().cpu().numpy() for one in (norms, received / n, norms.mean(0)))
        for head in range(self._heads):
            self._norms_of_f.add(place * self._heads + head, plain[head], self._block(number))
        self._norms_of_x.add(place, states.stream[0].float().norm(dim=-1).cpu().numpy())
        added = given * plain
        for one in range(len(self.categories)):
            of = category == one
            if of.any():
                self._weights[number, place, one] = given[:, of].sum(1).mean()
                self._norms[number, place, one] = added[:, of].sum(1).mean() / added.sum(1).mean()
                self._vectors[number, place, one] = lengths[of].mean() / lengths.mean()
        seen_by = torch.arange(n, 0, -1) if causal else torch.full((n,), n)
        add("norm", lengths)
        add("weight", (received.mean(0).cpu() / seen_by).numpy())
        for variant, ratios in mixing_ratios(self._model, layer, states, split).items():
            kept = self._mixing.setdefault(variant, np.full((len(self._texts.ids), len(self._layers)), np.nan))
            kept[number, place] = ratios.mean()
            low, high = self._mixing_extremes.get(variant, (np.inf, -np.inf))
            self._mixing_extremes[variant] = (min(low, float(ratios.min())), max(high, float(ratios.max())))
            add(variant, ratios)

    def findings(self, corpus: str) -> AttentionFindings:
        """What has come together."""
        n_layers, n_heads = len(self._layers), self._heads
        shape = (n_layers, n_heads)
        of_f = self._norms_of_f
        extremes = np.stack((of_f.low / of_f.mean, of_f.high / of_f.mean), axis=-1).reshape(*shape, 2)
        categories = range(len(self.categories))
        return AttentionFindings(
            model=self._model.facts.name,
            corpus=corpus,
            options=self._options,
            causal=self._model.facts.causal,
            n_texts=len(self._texts.ids),
            n_tokens=sum(map(len, self._texts.ids)),
            n_counted=int(self._texts.counts.sum()),
            layers=tuple(layer.name for layer in self._layers),
            n_heads=n_heads,
            categories=self.categories,
            variation=of_f.variation().reshape(shape).tolist(),
            extremes=[[(low, high) for low, high in row] for row in extremes.tolist()],
            stream_variation=self._norms_of_x.variation().tolist(),
            weight_shares=[
                [self._mean(self._weights[:, layer, one]) for one in categories] for layer in range(n_layers)
            ],
            norm_shares=[[self._mean(self._norms[:, layer, one]) for one in categories] for layer in range(n_layers)],
            weight_less_norm=[
                self._mean((self._weights[:, :, one] - self._norms[:, :, one]).mean(1)) for one in categories
            ],
            transformed_norms=_mean_of_texts(self._vectors).tolist(),
            correlations=[self._correlation(one) for one in categories],
            frequency_norm=self._by_frequency("norm"),
            frequency_weight=self._by_frequency("weight"),
            mixing={
                variant: [self._mean(kept[:, layer]) for layer in range(n_layers)]
                for variant, kept in self._mixing.items()
            },
            mixing_extremes=self._mixing_extremes,
            frequency_mixing={variant: self._by_frequency(variant) for variant in self._mixing},
            by_text=self._by_text(),
        )

    def _by_text(self) -> ByText:
        blocks = range(len(self._pairs.counts))
        return ByText(
            documents=self._texts.documents.tolist(),
            gaps=(self._weights - self._norms).mean(1).tolist(),
            mixing={variant: kept.mean(1).tolist() for variant, kept in self._mixing.items()},
            correlations_without=[
                [self._pairs.of(one, without=block) for block in blocks] for one in range(len(self.categories))
            ],
            frequency_norm_without=self._frequency_without("norm"),
            frequency_weight_without=self._frequency_without("weight"),
            median_variation_without=[float(np.median(self._norms_of_f.variation(without=block))) for block in blocks],
        )

    def _mean(self, values: Float[np.ndarray, " texts"]) -> Estimate:
        """Over the texts that have a value; those of one document are drawn together."""
        there = ~np.isnan(values)
        return mean(values[there], self._texts.documents[there], seed=self._options.seed)

    def _correlation(self, category: int) -> Estimate:
        blocks = range(len(self._pairs.counts))
        without = [self._pairs.of(category, without=block) for block in blocks]
        return jackknifed(self._pairs.of(category), without, self._pairs.n_pairs(category)).estimate

    def _by_frequency(self, name: str) -> Estimate:
        ranks, values = self._tokens["rank"], self._tokens[name]
        value = spearman(np.concatenate(ranks), np.concatenate(values))
        return jackknifed(value, self._frequency_without(name), sum(map(len, ranks))).estimate

    def _frequency_without(self, name: str) -> list[float]:
        """The correlation with frequency, with each block left out."""
        ranks, values = self._tokens["rank"], self._tokens[name]
        blocks = np.array([self._block(number) for number in range(len(ranks))])
        return [
            spearman(
                *(
                    np.concatenate([one for one, of in zip(parts, blocks, strict=True) if of != block])
                    for parts in (ranks, values)
                )
            )
            for block in range(len(self._pairs.counts))
        ]


def _mean_of_texts(values: Float[np.ndarray, "texts layers categories"]) -> Float[np.ndarray, "layers categories"]:
    """Over the texts that have a value; NaN, without a warning, where none has one."""
    there = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        means: np.ndarray = np.where(there, values, 0).sum(0) / there.sum(0)
    return means
