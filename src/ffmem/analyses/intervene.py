"""What becomes of a prediction when cells are given other coefficients: scaled, set, or taken out."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ffmem.analyses.applied_changes import AppliedChanges, Where, check_numbers
from ffmem.analyses.change import Change, read_change
from ffmem.analyses.decomposition import check_causal
from ffmem.analyses.distances import kl
from ffmem.json_values import Record
from ffmem.models.continuation import Continuation
from ffmem.models.inputs import ModelInput, as_row, read_text
from ffmem.models.transformer import Transformer
from ffmem.models.vocabulary import display, text_of
from ffmem.options import Bos

Written = tuple[Tensor, list[int]]
"""The logits after a text, and the tokens that are written on."""


@dataclass(frozen=True)
class Candidate:
    """A token that may come next, with its probability as the model is and as it is changed."""

    token: str
    token_id: int
    before: float
    after: float


@dataclass(frozen=True)
class Intervention(Record):
    """A prediction before and after."""

    text: str
    changes: tuple[str, ...]
    candidates: tuple[Candidate, ...]
    """The most probable tokens before and after, the most probable after first."""
    divergence: float
    """Kullback-Leibler divergence of the changed distribution from the model's own, in nats: 0 if nothing changed."""
    continued: str
    """What the model writes on, taking the most probable token each time."""
    continued_changed: str
    """The same with the changes."""


def parse_change(model: Transformer, text: str) -> Change:
    """A change as it is typed.

    ``L9.2997*0`` takes a cell out, ``L9.2997=5`` sets it, ``L9.2997+2@-1`` raises it at the last token.

    Raises:
        InputError: not of that form, or no such cell.
    """
    return read_change(model.cells, text)


def intervene(
    model: Transformer,
    text: str,
    changes: Sequence[Change],
    *,
    where: Where = "all",
    n_new: int = 20,
    limit: int = 10,
    bos: Bos = "auto",
    own: Written | None = None,
) -> Intervention:
    """Run a text with and without changes.

    Args:
        model: a causal model; it is as before afterwards, whatever happens.
        text: read as one input.
        changes: what to change; several for one cell are made one after the other.
        where: at which tokens, for changes that do not say.
        n_new: tokens to write on.
        limit: candidates from each side.
        bos: special tokens.
        own: what `write_on` gave for this text, if that is known already.

    Raises:
        InputError: the model is not causal, the text is empty or too long, or a change is at a token that is not there,
            or so large that scores are no numbers any more.

    Cost: two forward passes of the text, and two of one position for each new token: see `Continuation`. Of the whole text
        for each token where changes are made at the last token as it grows, or the model keeps no positions.
    """
    check_causal(model)
    read = read_text(model, text, bos, n_new=n_new)
    ids = as_row(model, read.to_continue)
    applied = AppliedChanges(model, read, [changes], where)
    with torch.inference_mode():
        own_logits, continued = own or write_on(model, text, n_new=n_new, bos=bos)
        with model.change_coefficients(applied):
            changed_logits, continued_changed = _run(model, ids, n_new, applied)
    check_numbers(changed_logits)
    p, q = (logits.double().log_softmax(-1) for logits in (own_logits, changed_logits))
    vocabulary = model.vocabulary
    shown = {*p.topk(min(limit, len(p))).indices.tolist(), *q.topk(min(limit, len(q))).indices.tolist()}
    candidates = [Candidate(display(vocabulary[i]), i, float(p[i].exp()), float(q[i].exp())) for i in shown]
    return Intervention(
        text=text,
        changes=tuple(map(str, changes)),
        candidates=tuple(
            sorted(candidates, key=lambda candidate: (-candidate.after, -candidate.before, candidate.token_id))
        ),
        divergence=float(kl(p, q)),
        continued=text_of(model.tokenizer, continued),
        continued_changed=text_of(model.tokenizer, continued_changed),
    )


def write_on(model: Transformer, text: str, *, n_new: int, bos: Bos = "auto") -> Written:
    """What a model without changes says next: the logits after a text, and the most probable continuation.

    Raises:
        InputError: the text is empty or too long.
    """
    with torch.inference_mode():
        return _run(model, as_row(model, read_text(model, text, bos, n_new=n_new).to_continue), n_new)


def changed(
    model: Transformer, read: ModelInput, changes: Sequence[Change], *, where: Where = "all"
) -> AbstractContextManager[None]:
    """While it lasts, each pass of a model over a text, or over what is written on behind it, has changed coefficients.

    Args:
        model: whose cells are changed.
        read: the text.
        changes: what to change; several for one cell are made one after the other.
        where: at which tokens, for changes that do not say.

    Raises:
        InputError: a change is at a token that is not there.
    """
    return model.change_coefficients(AppliedChanges(model, read, [changes], where))


def _run(
    model: Transformer, ids: Int[Tensor, "one positions"], n_new: int, applied: AppliedChanges | None = None
) -> tuple[Float[Tensor, "d_vocab"], list[int]]:
    """Logits of the next token, and the most probable continuation."""
    grows = Continuation(model, ids, keep=n_new > 1 and (applied is None or applied.stay))
    if applied is not None:
        applied.follow(grows)
    first = last = grows.next_scores()
    written: list[int] = []
    while len(written) < n_new:
        written.append(int(last.argmax()))
        if len(written) == n_new:
            break
        grows.add(written[-1])
        last = grows.next_scores()
    return first, written
