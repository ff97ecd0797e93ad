"""Exposure: how far up a secret stands among all that might have stood in its place (Carlini et al. 2019)."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float64, Int64

from ffmem.analyses.memorised.losses import check_predicts, logits_of, losses_at, token_losses
from ffmem.errors import InputError
from ffmem.models.inputs import as_row, tokenize
from ffmem.models.transformer import Transformer
from ffmem.options import Bos

BLANK = "{}"
MEAN_OF_CHANCE = 1.442695
"""1 / ln 2: the mean exposure of what was never seen, in bits, since P(exposure >= e) = 2^-e."""
_ROWS = 64
"""Prefixes of a pass of the search."""


@dataclass(frozen=True)
class Template:
    """A sentence with blanks, and the words that may stand in each."""

    text: str
    """With `BLANK` for each blank."""
    words: tuple[str, ...]

    def __post_init__(self) -> None:
        if BLANK not in self.text or len(set(self.words)) < 2 or len(set(self.words)) < len(self.words):
            raise InputError(
                f"the template {self.text!r} has {self.n_blanks} blanks and {len(set(self.words))} different words "
                f"of {len(self.words)} for them",
                f"Expected one blank or more, written {BLANK}, and two words or more, each once",
                "Make the file of what was planted by examples/reference_model/plant.py",
            )

    @property
    def n_blanks(self) -> int:
        """How many there are."""
        return self.text.count(BLANK)

    @property
    def n_fillings(self) -> int:
        """How many sentences it stands for."""
        return int(len(self.words) ** self.n_blanks)

    def filled(self, filling: Sequence[int]) -> str:
        """The sentence with these words, by their numbers."""
        own = (self.words[one] for one in filling)
        return self._parts[0] + "".join(word + part for word, part in zip(own, self._parts[1:], strict=True))

    @cached_property
    def _parts(self) -> list[str]:
        return self.text.split(BLANK)

    def secret(self, filling: Sequence[int]) -> tuple[int, int]:
        """Where its words begin and end among the characters of `filled`, with what stands between them."""
        inner = sum(len(self.words[one]) for one in filling) + sum(len(one) for one in self._parts[1:-1])
        return len(self._parts[0]), len(self._parts[0]) + inner


@dataclass(frozen=True)
class Exposures:
    """Of some fillings."""

    loss: Float64[np.ndarray, " fillings"]
    """-ln p of the words in the blanks, and of what stands between them, together."""
    exposure: Float64[np.ndarray, " fillings"]
    """log2 of the number of all fillings, less log2 of its rank among them by loss."""
    exact: np.ndarray
    """Whether the rank was counted among all fillings; if not, it is estimated from some drawn at random."""
    n_drawn: int
    """Fillings that were drawn; the most an estimate can be is log2 of one more."""


def filling_losses(
    model: Transformer,
    template: Template,
    fillings: Sequence[Sequence[int]],
    bos: Bos = "auto",
    on_texts: Callable[[int], None] = lambda _: None,
) -> Float64[np.ndarray, " fillings"]:
    """-ln p of what stands in the blanks of each filled sentence, in nats; any tokens may cover it."""
    read = [tokenize(model, template.filled(one)) for one in fillings]
    found = token_losses(model, [np.array(one.ids, dtype=np.int64) for one in read], bos, on_texts)
    losses = []
    for filling, tokens, one in zip(fillings, read, found, strict=True):
        start, end = template.secret(filling)
        within = np.array([a < end and b > start for a, b in tokens.spans])
        losses.append(float(np.nansum(one.loss[within])))
    return np.array(losses)


def exposures(
    model: Transformer,
    template: Template,
    fillings: Sequence[Sequence[int]],
    *,
    n_drawn: int = 4096,
    n_searched: int = 4096,
    bos: Bos = "auto",
    seed: int = 0,
    on_texts: Callable[[int], None] = lambda _: None,
) -> Exposures:
    """How exposed some fillings of a template are.

    Of few fillings all are read. Of many, some are drawn, and the rank is estimated as (1 + those drawn with as low a loss) /
    (1 + drawn): for a filling that is like any other, each value has its exact chance. Where that is too coarse, and each
    word is one token, the fillings of lowest loss are found by a search from word to word that leaves out what is already too
    unlikely (as in Carlini et al. 2019, section 6): so far as it gets, ranks are exact.

    Args:
        model: a causal model.
        template: what might have been said.
        fillings: what is asked about, by numbers of words.
        n_drawn: fillings that are drawn; so many or fewer are all read.
        n_searched: most prefixes that each step of the search goes on from.
        bos: special tokens before each.
        seed: of the draw.
        on_texts: called with the number of fillings that are read.

    Raises:
        InputError: the model does not predict the next token of a text.

    Cost: a pass of each filling that is drawn or asked about, and of at most ``n_searched`` prefixes for each blank.
    """
    check_predicts(model)
    own = filling_losses(model, template, fillings, bos)
    bits = template.n_blanks * float(np.log2(len(template.words)))
    if template.n_fillings <= n_drawn:
        every = filling_losses(model, template, list(_every(template)), bos, on_texts)
        return Exposures(own, bits - np.log2(_ranks(own, every)), np.ones(len(own), dtype=bool), len(every))
    rng = np.random.default_rng([seed, 31])
    drawn = rng.integers(len(template.words), size=(n_drawn, template.n_blanks))
    others = np.sort(filling_losses(model, template, drawn.tolist(), bos, on_texts))
    n_below = np.searchsorted(others, own, "right")
    exposure = -np.log2((1 + n_below) / (1 + n_drawn))
    exact = np.zeros(len(own), dtype=bool)
    steps = steps_of(model, template)
    if steps is not None and (n_below < _COARSE).any():
        limit = float(own[n_below < _COARSE].max()) + _NEAR
        lowest, reached = search(model, steps, limit, n_searched, bos)
        exact = own <= reached - _NEAR
        exposure[exact] = bits - np.log2(_ranks(own[exact], lowest))
    return Exposures(own, exposure, exact, n_drawn)


_COARSE = 64
"""Fillings below one's own, of those drawn, from which an estimate is good to a quarter of a bit."""
_NEAR = 1e-4
"""By how much the same loss may differ between passes of other shapes."""


def _every(template: Template) -> Iterator[tuple[int, ...]]:
    grid = np.indices([len(template.words)] * template.n_blanks).reshape(template.n_blanks, -1).T
    yield from map(tuple, grid.tolist())


def _ranks(
    own: Float64[np.ndarray, " fillings"], every: Float64[np.ndarray, " all_fillings"]
) -> Float64[np.ndarray, " fillings"]:
    """1 for the lowest loss: one more than how many are lower, but for rounding."""
    ranks: np.ndarray = 1.0 + np.searchsorted(np.sort(every), own - _NEAR, "left")
    return ranks


@dataclass(frozen=True)
class Steps:
    """A template in tokens, where each word is one of its own wherever it stands."""

    between: tuple[tuple[int, ...], ...]
    """Tokens before each blank, from the blank before on."""
    words: Int64[np.ndarray, " words"]


def steps_of(model: Transformer, template: Template) -> Steps | None:
    """A template word by word; None where a word has several tokens, or other tokens beside other words."""
    n = template.n_blanks
    first = [tokenize(model, template.filled([number] * n)).ids for number in range(len(template.words))]
    if len({len(one) for one in first}) != 1:
        return None
    table = np.array(first)
    blanks = np.flatnonzero((table != table[0]).any(0))
    words = table[:, blanks]
    if len(blanks) != n or (words != words[:, :1]).any() or len(set(words[:, 0].tolist())) != len(words):
        return None
    fixed = table[0].tolist()
    starts = [0, *(blanks[:-1] + 1).tolist()]
    between = tuple(tuple(fixed[start:end]) for start, end in zip(starts, blanks.tolist(), strict=True))
    return Steps(between, words[:, 0].astype(np.int64))


def search(
    model: Transformer, steps: Steps, limit: float, n_searched: int, bos: Bos = "auto"
) -> tuple[Float64[np.ndarray, " found"], float]:
    """The losses of all fillings up to a limit, and the limit that was kept: lower than asked where that was too much to do.

    A word only adds to a loss, so a prefix above the limit has no filling below it. Where more prefixes are below it than may
    be gone on from, the limit falls until as many are.

    Args:
        model: a causal model.
        steps: the template.
        limit: of the loss, in nats.
        n_searched: most prefixes that each step goes on from.
        bos: special tokens before the sentence.
    """
    before, _ = model.special_tokens(bos)
    losses, prefixes = np.zeros(1, dtype=np.float64), np.zeros((1, 0), dtype=np.int64)
    for depth in range(len(steps.between)):
        if len(losses) > n_searched:
            order = np.argsort(losses, kind="stable")
            limit = min(limit, float(losses[order[n_searched]]) - _NEAR)
            below = losses <= limit
            losses, prefixes = losses[below], prefixes[below]
        step = [
            _next_losses(model, steps, before, prefixes[begin : begin + _ROWS], depth)
            for begin in range(0, len(prefixes), _ROWS)
        ]
        if not step:
            return np.empty(0, dtype=np.float64), limit
        total = (losses[:, None] + np.concatenate(step)).ravel()
        kept = np.flatnonzero(total <= limit)
        owner, word = np.divmod(kept, len(steps.words))
        losses, prefixes = total[kept], np.concatenate([prefixes[owner], word[:, None]], axis=1)
    return losses, limit


def _next_losses(
    model: Transformer, steps: Steps, before: tuple[int, ...], prefixes: Int64[np.ndarray, "rows depth"], depth: int
) -> Float64[np.ndarray, "rows words"]:
    """What each word adds to the loss after each prefix, with what stands before it since the last one."""
    rows = []
    for prefix in prefixes.tolist():
        row = list(before)
        for fixed, word in zip(steps.between, [*prefix, None], strict=False):
            row += [*fixed] if word is None else [*fixed, int(steps.words[word])]
        rows.append(row)
    ids, n = torch.cat([as_row(model, row) for row in rows]), len(steps.between[depth]) if depth else 0
    with torch.no_grad():
        at_once = len(ids) if model.batching.rows != "alone" else 1
        logits = torch.cat([logits_of(model, some)[:, -n - 1 :] for some in torch.split(ids, at_once)])
        log_p = logits[:, -1].float().log_softmax(-1)
        found = -log_p[:, torch.from_numpy(steps.words).to(log_p.device)].double()
        if n:
            loss, _ = losses_at(logits[:, :-1].flatten(0, 1), ids[:, -n:].flatten())
            found = found + loss.reshape(len(ids), n).sum(1, keepdim=True).double()
    return found.cpu().numpy()
