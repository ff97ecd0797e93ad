"""What lenses make of the stream after each layer, against the model's own prediction and against the text."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from ffmem.analyses.distances import kl
from ffmem.analyses.lenses.reading import Reader
from ffmem.analyses.prefixes import passes, rows_of
from ffmem.analyses.updates.positions import Positions
from ffmem.analyses.values import first_of_largest
from ffmem.models.tracing import trace
from ffmem.options import Bos

_BATCH_TOKENS = 512
_READ = 2**22
"""Scores that are held at a time."""


@dataclass(frozen=True)
class StateReadings:
    """At each position, of each layer's state, by each lens of `Reader.of_states`. In nats."""

    same: Bool[np.ndarray, "n layers lenses"]
    """Whether the top token is the model's own."""
    divergence: Float[np.ndarray, "n layers lenses"]
    """KL(p || q) of the lens's q from the model's own p."""
    hit: Bool[np.ndarray, "n layers lenses"]
    """Whether the top token is the one that follows."""
    loss: Float[np.ndarray, "n layers lenses"]
    """-ln q of the token that follows."""
    own_hit: Bool[np.ndarray, " n"]
    """Whether the model's own top token follows."""
    own_loss: Float[np.ndarray, " n"]
    document: Int64[np.ndarray, " n"]


def read_states(
    reader: Reader,
    positions: Positions,
    *,
    bos: Bos,
    seed: int = 0,
    on_positions: Callable[[int], None] = lambda _: None,
) -> StateReadings:
    """Read the stream after each of the Jacobian's layers at positions of text.

    Args:
        reader: of a causal model.
        positions: of whole sentences, of documents that the Jacobian is not made of.
        bos: special tokens, as in the index.
        seed: of random directions.
        on_positions: called with the number of those that are done.

    Cost: a pass of each sentence; a product with the vocabulary for each position, layer and lens.
    """
    parts, order, done = [], [], 0
    model = reader.model
    for number, one in enumerate(
        passes(model, positions.prefixes.sentences, bos, batch_tokens=_BATCH_TOKENS, device=str(model.device))
    ):
        some, rows, columns = rows_of(positions.prefixes, one)
        if not len(some):
            continue
        generator = torch.Generator().manual_seed(seed * 1_000_003 + number)
        with torch.inference_mode():
            states = trace(model, one.token_ids, one.attention_mask, at=(rows, columns))
            kept = [states[place].layer_output[0] for place in reader.jacobian.places]
            following = torch.from_numpy(positions.following[some]).to(model.device)
            size = max(1, _READ // model.facts.d_vocab)
            for first in range(0, len(some), size):
                few = slice(first, first + size)
                last = states[-1].layer_output[0][few]
                parts.append(_read(reader, [state[few] for state in kept], last, following[few], generator))
        order.append(some)
        done += len(some)
        on_positions(done)
    back = np.argsort(np.concatenate(order))
    columns_of = {name: np.concatenate([part[name] for part in parts])[back] for name in parts[0]}
    return StateReadings(**columns_of, document=positions.document)


def _read(
    reader: Reader, states: list[Tensor], last: Tensor, following: Tensor, generator: torch.Generator
) -> dict[str, np.ndarray]:
    """The columns of `StateReadings` at some positions."""
    model = reader.model
    own = model.project(last, model.unembedding.own_projection).float().log_softmax(-1)
    best, _ = first_of_largest(own)
    shape = (len(last), len(states), len(reader.of_states))
    same, hit = torch.empty(shape, dtype=torch.bool), torch.empty(shape, dtype=torch.bool)
    divergence, loss = torch.empty(shape), torch.empty(shape)
    for number, state in enumerate(states):
        for column, lens in enumerate(reader.of_states):
            log_q = reader.states(lens, number, state, generator).log_softmax(-1)
            top, _ = first_of_largest(log_q)
            same[:, number, column], hit[:, number, column] = top == best, top == following
            divergence[:, number, column] = kl(log_q, own)  # the expectation is over the model's own
            loss[:, number, column] = -log_q.gather(1, following[:, None])[:, 0]
    return {
        "same": same.numpy(),
        "divergence": divergence.numpy(),
        "hit": hit.numpy(),
        "loss": loss.numpy(),
        "own_hit": (best == following).cpu().numpy(),
        "own_loss": -own.gather(1, following[:, None])[:, 0].cpu().numpy(),
    }
