"""A small classifier that is told where to look: embedding, affine map, tanh, sum over tokens of a_j h_j, affine map.

It sees no token in its context, so that all it knows of a text's order and emphasis is the map that it is given (Wiegreffe and
Pinter 2019, section 3.4: a better map guides better).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from ffmem.analyses.diagnostics.maps import shares_of, value_norms
from ffmem.models.attention import AttentionLayer, AttentionStates
from ffmem.models.transformer import Transformer

Guide = Literal["uniform", "learned", "weights", "weights but for the first", "norms", "permuted", "tuned"]
"""What says where to look: all tokens alike; what the classifier learns for itself from each token; the model's weights of a
text's last query, mean over heads and sub-layers; the same with the first token left out; shares of ‖alpha f(x)‖ in the same
place; the weights in random order; the weights of a model whose queries and keys were tuned to look elsewhere."""
_WIDTH, _EPOCHS, _BATCH, _RATE, _DECAY = 64, 20, 64, 1e-2, 1e-4
_TOKENS = 1024


@dataclass(frozen=True)
class GuideMaps:
    """Maps of documents of one length, over their own tokens; rows add up to 1."""

    weights: Float[np.ndarray, "documents tokens"]
    norms: Float[np.ndarray, "documents tokens"]

    def of(self, guide: Guide, seed: int) -> Float[np.ndarray, "documents tokens"] | None:
        """The map of a guide that is made of these; None where the classifier learns its own."""
        if guide == "learned":
            return None
        if guide == "uniform":
            return np.full_like(self.weights, 1 / self.weights.shape[1])
        if guide == "norms":
            return self.norms
        if guide == "weights but for the first":
            return _shares(np.concatenate([np.zeros_like(self.weights[:, :1]), self.weights[:, 1:]], 1))
        if guide == "permuted":
            rng = np.random.default_rng([seed, 51])
            found: np.ndarray = rng.permuted(self.weights, axis=1)
            return found
        return self.weights


def _shares(values: np.ndarray) -> np.ndarray:
    found: np.ndarray = values / np.clip(values.sum(1, keepdims=True), 1e-30, None)
    return found


def guide_maps(
    model: Transformer,
    documents: Int[np.ndarray, "documents tokens"],
    before: Sequence[int],
    on_batch: Callable[[int], None] = lambda _: None,
) -> GuideMaps:
    """Where the last query of each document looks: mean over heads and sub-layers, over its own tokens.

    Args:
        model: a causal one.
        documents: own tokens, as many of each.
        before: special tokens before a document; no map has them.
        on_batch: called with the number of documents that are done.
    """
    found: list[tuple[np.ndarray, np.ndarray]] = []
    width = documents.shape[1] + len(before)
    size = 1 if model.batching.rows == "alone" else max(1, _TOKENS // width)
    for begin in range(0, len(documents), size):
        some = documents[begin : begin + size]
        ids = np.concatenate([np.tile(np.array(before, dtype=np.int64), (len(some), 1)), some], 1)
        sums: list[tuple[Tensor, Tensor]] = []

        def keep(layer: AttentionLayer, states: AttentionStates, sums: list[tuple[Tensor, Tensor]] = sums) -> None:
            rows = states.weights[:, :, -1].float()
            values = layer.expand(states.values)
            norms = torch.stack([value_norms(layer, one) for one in values])
            sums.append((rows.mean(1), shares_of(rows * norms).mean(1)))

        with torch.inference_mode(), model.watch_attention(keep):
            model.forward(torch.from_numpy(ids).to(model.device))
        own = [torch.stack(part).mean(0)[:, len(before) :] for part in zip(*sums, strict=True)]
        weights, norms = (shares_of(one).cpu().numpy() for one in own)
        found.append((weights, norms))
        on_batch(begin + len(some))
    return GuideMaps(*(np.concatenate(part) for part in zip(*found, strict=True)))


class Classifier(nn.Module):
    """See the head of this file.

    Args:
        n_tokens: different tokens, the one for all that are not known included.
        n_labels: classes.
        learned: whether it makes its own map, of each token by itself.
    """

    def __init__(self, n_tokens: int, n_labels: int, *, learned: bool) -> None:
        super().__init__()
        self.embedding = nn.Embedding(n_tokens, _WIDTH)
        self.affine = nn.Linear(_WIDTH, _WIDTH)
        self.looks = nn.Linear(_WIDTH, 1) if learned else None
        self.out = nn.Linear(_WIDTH, n_labels)

    def forward(
        self, tokens: Int[Tensor, "documents tokens"], guide: Float[Tensor, "documents tokens"] | None
    ) -> Float[Tensor, "documents labels"]:
        """Scores of the labels."""
        hidden = torch.tanh(self.affine(self.embedding(tokens)))
        if self.looks is not None:
            guide = self.looks(hidden)[..., 0].softmax(-1)
        assert guide is not None  # a classifier that learns no map is given one
        found: Tensor = self.out((guide[..., None] * hidden).sum(1))
        return found


@dataclass(frozen=True)
class Labelled:
    """Documents of one length, and what they are about."""

    tokens: Int[np.ndarray, "documents tokens"]
    labels: Int[np.ndarray, "documents"]
    test: Bool[np.ndarray, "documents"]
    """Those that the classifier does not learn from."""


def right_of(
    data: Labelled, guide: Float[np.ndarray, "documents tokens"] | None, seed: int
) -> Bool[np.ndarray, "test"]:
    """Which test documents a classifier gets right that learned from the others.

    The number of epochs is the same for every map and seed: none has its best one chosen.

    Args:
        data: see there.
        guide: where to look; None: it learns that for itself.
        seed: of its first weights and of the order of documents.
    """
    tokens = _numbered(data)
    generator = torch.Generator().manual_seed(seed)
    with torch.inference_mode(False), torch.enable_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = Classifier(int(tokens.max()) + 1, int(data.labels.max()) + 1, learned=guide is None)
        optimiser = torch.optim.AdamW(net.parameters(), lr=_RATE, weight_decay=_DECAY)
        maps = None if guide is None else torch.from_numpy(guide.astype(np.float32))
        labels, train = torch.from_numpy(data.labels), torch.from_numpy(np.flatnonzero(~data.test))
        for _ in range(_EPOCHS):
            for some in train[torch.randperm(len(train), generator=generator)].split(_BATCH):  # type: ignore[no-untyped-call] # torch's own
                optimiser.zero_grad()
                scores = net(tokens[some], None if maps is None else maps[some])
                torch.autograd.backward(nn.functional.cross_entropy(scores, labels[some]))
                optimiser.step()
    test = torch.from_numpy(np.flatnonzero(data.test))
    with torch.no_grad():
        scores = net(tokens[test], None if maps is None else maps[test])
    found: np.ndarray = (scores.argmax(-1) == labels[test]).numpy()
    return found


def commonest_right(data: Labelled) -> Bool[np.ndarray, "test"]:
    """Which test documents are right if all are taken for the commonest label of the others."""
    found: np.ndarray = data.labels[data.test] == np.bincount(data.labels[~data.test]).argmax()
    return found


def _numbered(data: Labelled) -> Int[Tensor, "documents tokens"]:
    """Tokens by their number among those that are learned from, from 1; 0 for others."""
    known = np.unique(data.tokens[~data.test])
    place = np.searchsorted(known, data.tokens)
    there = known[np.minimum(place, len(known) - 1)] == data.tokens
    return torch.from_numpy(np.where(there, place + 1, 0))


def accuracies(
    data: Labelled,
    maps: Mapping[Guide, Callable[[int], Float[np.ndarray, "documents tokens"] | None]],
    seeds: Sequence[int],
    on_seed: Callable[[int], None] = lambda _: None,
) -> Float[np.ndarray, "guides seeds test"]:
    """1 where a test document is right, for each guide and seed."""
    found = np.zeros((len(maps), len(seeds), int(data.test.sum())))
    n_done = 0
    for row, guide in enumerate(maps.values()):
        for column, seed in enumerate(seeds):
            found[row, column] = right_of(data, guide(seed), seed)
            n_done += 1
            on_seed(n_done)
    return found
