"""The Jacobian lens: what a change of a layer's state does to the last state, on average over text."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, get_args

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from ffmem.analyses.decomposition import check_causal
from ffmem.analyses.prefixes import Pass, passes
from ffmem.errors import InputError
from ffmem.models.attention import hooked
from ffmem.models.feed_forward import Run
from ffmem.models.transformer import Transformer
from ffmem.options import Bos

Reach = Literal["same", "later"]
"""same: the last state of the token whose state is changed. later: the sum of the last states of that token and of all
that follow it in its input, as the paper has it."""
REACHES: tuple[Reach, ...] = get_args(Reach)
_BATCH_TOKENS = 256


@dataclass(frozen=True)
class AverageJacobian:
    """J_l = E[d h_last / d h_l] of some layers: h_l is the stream after layer l, h_last that after the last, not normed."""

    places: tuple[int, ...]
    """Of the layers."""
    matrices: Float[Tensor, "layers d_model d_model"]
    """float32; a row for each number of the last state. The identity for the last layer."""
    means: Float[Tensor, "layers d_model"]
    """E[h_l]."""
    mean_last: Float[Tensor, "d_model"]
    n_positions: int
    """That the averages are over."""

    def moved(self, number: int, vectors: Float[Tensor, "n d_model"]) -> Float[Tensor, "n d_model"]:
        """J v: what vectors that are added after the layer of this number come to in the last state."""
        return vectors.float() @ self.matrices[number].T

    def expected(self, number: int, states: Float[Tensor, "n d_model"]) -> Float[Tensor, "n d_model"]:
        """E[h_last] + J (h - E[h]): the last state that is expected of a state, to first order about the means."""
        return self.mean_last + self.moved(number, states.float() - self.means[number])

    def joined(self, other: "AverageJacobian") -> "AverageJacobian":
        """The averages over the positions of both, of the same model and layers."""
        total = self.n_positions + other.n_positions
        share = other.n_positions / total
        return AverageJacobian(
            self.places,
            self.matrices.lerp(other.matrices, share),
            self.means.lerp(other.means, share),
            self.mean_last.lerp(other.mean_last, share),
            total,
        )


def average_jacobian(
    model: Transformer,
    sentences: Sequence[Int[np.ndarray, "own_tokens"]],
    *,
    bos: Bos,
    places: Sequence[int] | None = None,
    reach: Reach = "same",
    seed: int = 0,
    on_pass: Callable[[int, int], None] = lambda _, __: None,
) -> AverageJacobian:
    """The average Jacobian of the last state with respect to the state after each layer.

    Each product of a row of d h_last / d h with all layers' states is a pass back, so d_model of them give every layer's J at
    all positions of a batch. A vector e_i at all positions at once gives the sum over a token and all later ones, exactly.
    For "same" e_i stands with a random sign s_t at each position, and what comes back is multiplied with the same sign:
    what a token does to later ones has s_t s_u on it, whose mean is 0, so the average is unbiased, and as cheap as the other.

    The first position of an input is left out: it sees nothing but itself, and many models park their attention there, with a
    state that is many times longer than all others.

    Args:
        model: a causal model.
        sentences: own tokens of each; J is averaged over all their positions.
        bos: special tokens, as in an index.
        places: of the layers; by default all.
        reach: see there.
        seed: of the signs.
        on_pass: called with the sentences that are done, and all.

    Raises:
        InputError: the model is not causal, autograd cannot follow it, or no input has a second position.

    Cost: a pass forward, and d_model back, of every sentence; memory of the activations of one batch and layers x d_model^2
        numbers.

    Source: Gurnee et al., 2026, whose J has later tokens in it and leaves out the first 16 positions of an input.
    """
    check_causal(model)
    kept = tuple(range(model.facts.n_layers)) if places is None else tuple(places)
    fit = _Fit(model, kept, reach, np.random.default_rng([seed, 31]))
    done = 0
    for one in passes(model, sentences, bos, batch_tokens=_BATCH_TOKENS, device=str(model.device)):
        fit.add(one, [len(sentences[number]) for number in one.sentences])
        done += len(one.sentences)
        on_pass(done, len(sentences))
    return fit.average()


class _Fit:
    """Sums over the passes so far."""

    def __init__(self, model: Transformer, places: tuple[int, ...], reach: Reach, rng: np.random.Generator) -> None:
        d, n = model.facts.d_model, len(places)
        self._model, self._places, self._reach, self._rng = model, places, reach, rng
        self._sums = torch.zeros(n, d, d, device=model.device)
        self._states = torch.zeros(n, d, device=model.device, dtype=torch.float64)
        self._last = torch.zeros(d, device=model.device, dtype=torch.float64)
        self._n = 0

    def add(self, one: Pass, lengths: Sequence[int]) -> None:
        """The positions of one pass."""
        asked = _asked(one, lengths).to(self._model.device)
        n = int(asked.sum())
        if not n:
            return
        states = _states_to_follow(self._model, one)
        signs = asked.float()
        if self._reach == "same":
            signs = signs * torch.from_numpy(_signs(self._rng, tuple(asked.shape))).to(signs)
        self._add_rows(states, signs)
        for number, place in enumerate(self._places):
            self._states[number] += states[place].detach()[asked].double().sum(0)
        self._last += states[-1].detach()[asked].double().sum(0)
        self._n += n

    def _add_rows(self, states: Sequence[Tensor], signs: Float[Tensor, "batch positions"]) -> None:
        """One row of every layer's J after the other."""
        last, below = states[-1], [place for place in self._places if place < len(states) - 1]
        numbers = [self._places.index(place) for place in below]
        for row in range(self._model.facts.d_model if below else 0):
            given = torch.zeros_like(last)
            given[..., row] = signs.to(last)
            slopes = _slopes(self._model, last, [states[place] for place in below], given)
            for number, slope in zip(numbers, slopes, strict=True):
                self._sums[number, row] += torch.einsum("bt,btd->d", signs, slope.float())

    def average(self) -> AverageJacobian:
        """Of all passes."""
        if not self._n:
            raise InputError(
                "no sentence has a position behind the first of its input, so there is nothing to average over",
                "Expected sentences of two tokens or more",
                "Give other text",
            )
        matrices = self._sums / self._n
        end = self._model.facts.n_layers - 1
        for number, place in enumerate(self._places):
            if place == end:
                matrices[number] = torch.eye(self._model.facts.d_model, device=matrices.device)
        means, last = (self._states / self._n).float(), (self._last / self._n).float()
        return AverageJacobian(self._places, matrices, means, last, self._n)


def _signs(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """1 or -1, at random."""
    return rng.choice([-1.0, 1.0], shape)


def _asked(one: Pass, lengths: Sequence[int]) -> Tensor:
    """Which positions of a pass are averaged over: those of own tokens, but for the first of an input."""
    at = torch.arange(one.token_ids.shape[1])
    ends = one.first + torch.tensor(lengths)
    return (at >= max(one.first, 1)) & (at < ends[:, None])


def _states_to_follow(model: Transformer, one: Pass) -> list[Float[Tensor, "batch positions d_model"]]:
    """The stream after each layer, with what autograd needs to go back from the last to the first."""
    shape = (*one.token_ids.shape, model.facts.d_model)
    seen: dict[int, Tensor] = {}

    def keep(place: int, run: Run, _: Any, __: Any, output: Any) -> Any:
        if not run.next():
            return None
        state: Tensor = output if isinstance(output, Tensor) else output[0]
        if place == 0:  # what is below the first layer's state has no part in it
            state = state.detach().requires_grad_()
        seen[place] = state if state.shape == shape else state.view(shape)
        if place:
            return None
        return state if isinstance(output, Tensor) else (state, *output[1:])

    def hooks() -> Iterator[Callable[[], None]]:
        for place in range(model.facts.n_layers):
            hook = partial(keep, place, Run(*model.layout(place).runs))
            yield model.layer(place).module.register_forward_hook(hook).remove

    with torch.inference_mode(mode=False), torch.enable_grad(), hooked(hooks()):
        model.forward(one.token_ids.clone(), one.attention_mask)
    return [seen[place] for place in range(model.facts.n_layers)]


def _slopes(model: Transformer, last: Tensor, states: Sequence[Tensor], given: Tensor) -> tuple[Tensor, ...]:
    try:
        return torch.autograd.grad(last, states, given, retain_graph=True)
    except RuntimeError as error:
        raise InputError(
            f"autograd cannot follow {model.facts.name} from its last state back to others: {error}",
            "Expected a model whose layers are differentiable, with plain weights",
            "Load the model without quantization, or use another",
        ) from error
