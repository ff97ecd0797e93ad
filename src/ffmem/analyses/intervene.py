"""What becomes of a prediction when cells are given other coefficients: scaled, set, or taken out."""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ffmem.analyses.decomposition import check_causal, next_token_logits
from ffmem.analyses.distances import kl
from ffmem.errors import InputError
from ffmem.ids import CellId
from ffmem.models.inputs import as_row, read_text
from ffmem.models.transformer import Transformer
from ffmem.models.vocabulary import display
from ffmem.options import Bos

How = Literal["*", "=", "+"]
"""Scaled by, set to, or raised by an amount."""
Where = Literal["all", "last"]
"""At which tokens: at all of them, those that are generated too; or at the last one of the text as it grows."""
_CHANGE = re.compile(r"(?P<cell>[^*=+@\s]+)(?P<how>[*=+])(?P<amount>[-+]?[\d.]+(?:e[-+]?\d+)?)(?:@(?P<at>-?\d+))?")


@dataclass(frozen=True)
class Change:
    """Another coefficient for one cell, in the coefficient's own unit: what multiplies the value."""

    cell: CellId
    how: How
    amount: float
    at: int | None = None
    """Only at this token of the text, from 0, or from the end if negative; None: where `intervene` has it."""

    def __str__(self) -> str:
        at = "" if self.at is None else f"@{self.at}"
        return f"{self.cell}{self.how}{self.amount:g}{at}"


@dataclass(frozen=True)
class Candidate:
    """A token that may come next, with its probability as the model is and as it is changed."""

    token: str
    token_id: int
    before: float
    after: float


@dataclass(frozen=True)
class Intervention:
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

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        return asdict(self)


def parse_change(model: Transformer, text: str) -> Change:
    """A change as it is typed.

    ``L9.2997*0`` takes a cell out, ``L9.2997=5`` sets it, ``L9.2997+2@-1`` raises it at the last token.

    Raises:
        InputError: not of that form, or no such cell.
    """
    match = _CHANGE.fullmatch(text.replace(" ", ""))
    try:
        if match is None:
            raise ValueError
        amount = float(match["amount"])
    except ValueError:
        raise InputError(
            f"{text!r} is not a change of a cell",
            "Expected a cell, one of * = + and a number; and, after @, the number of a token",
            "For example: L9.12*0 (out), L9.12*2 (doubled), L9.12=5 (set), L9.12+1@-1 (raised at the last token)",
        ) from None
    at = None if match["at"] is None else int(match["at"])
    how = next(sign for sign in get_args(How) if sign == match["how"])
    return Change(model.cells.parse(match["cell"]), how, amount, at)


def intervene(
    model: Transformer,
    text: str,
    changes: Sequence[Change],
    *,
    where: Where = "all",
    n_new: int = 20,
    limit: int = 10,
    bos: Bos = "auto",
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

    Raises:
        InputError: the model is not causal, the text is empty or too long, or a change is at a token that is not there.

    Cost: two forward passes for each new token, of the whole text.
    """
    check_causal(model)
    read = read_text(model, text, bos, n_new=n_new)
    n_own = len(read.own.ids)
    for change in changes:
        if change.at is not None and not -n_own <= change.at < n_own:
            raise InputError(
                f"{change} is at token {change.at}, and the text has {n_own} tokens",
                f"Expected {-n_own} to {n_own - 1}",
                "Tokens count from 0; negative numbers count from the end",
            )
    ids = as_row(model, read.to_continue)
    apply = _Apply(model, changes, where, len(read.before), n_own)
    with torch.inference_mode():
        own_logits, continued = _run(model, ids, n_new)
        with model.change_coefficients(apply):
            changed_logits, continued_changed = _run(model, ids, n_new)
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
        continued=model.tokenizer.decode(continued),
        continued_changed=model.tokenizer.decode(continued_changed),
    )


class _Apply:
    """Gives the changed coefficients of a layer."""

    def __init__(self, model: Transformer, changes: Sequence[Change], where: Where, first: int, n_own: int) -> None:
        self._where, self._first, self._n_own = where, first, n_own
        self._by_layer: dict[int, list[tuple[int, Change]]] = {}
        for change in changes:
            place, row = model.cells.place(change.cell)
            self._by_layer.setdefault(place, []).append((row, change))

    def __call__(
        self, place: int, coefficients: Float[Tensor, "batch positions cells"]
    ) -> Float[Tensor, "batch positions cells"] | None:
        here = self._by_layer.get(place)
        if here is None:
            return None
        changed = coefficients.clone()
        for row, change in here:
            positions = self._positions(change, coefficients.shape[1])
            coefficient = changed[:, positions, row]
            if change.how == "*":
                coefficient = coefficient * change.amount
            elif change.how == "+":
                coefficient = coefficient + change.amount
            else:
                coefficient = torch.full_like(coefficient, change.amount)
            changed[:, positions, row] = coefficient
        return changed

    def _positions(self, change: Change, n: int) -> slice:
        if change.at is not None:
            at = self._first + change.at % self._n_own
            return slice(at, at + 1)
        return slice(n - 1, n) if self._where == "last" else slice(self._first, n)


def _run(
    model: Transformer, ids: Int[Tensor, "one positions"], n_new: int
) -> tuple[Float[Tensor, "d_vocab"], list[int]]:
    """Logits of the next token, and the most probable continuation."""
    first: Tensor | None = None
    written: list[int] = []
    for _ in range(max(n_new, 1)):
        last = next_token_logits(model, ids)[0]
        first = last if first is None else first
        if n_new == 0:
            break
        written.append(int(last.argmax()))
        ids = torch.cat((ids, ids.new_tensor([[written[-1]]])), dim=1)
    assert first is not None
    return first, written
