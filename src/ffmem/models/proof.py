"""Holds a loaded model to what reading its memories rests on, before anything is read: as it is configured, on real sentences.

Every sentence is run by the model's own plain call on what the tokenizer's own call gives, alone, and its coefficients are
caught by plain hooks. All else is compared with these: our own pass over the sentence alone; sentences padded in one batch; a
prefix and its sentence; the same sentence again. What a config or a folder changes is seen here, whatever its name.

Where sentences change each other although one alone is right, they are run in a way that is right (`Batching`); what is not
right even alone is refused.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ffmem.errors import ModelError
from ffmem.json_values import Record
from ffmem.models.base import Batching, Rows
from ffmem.models.plain_call import PlainInput
from ffmem.models.proof_passes import ProofPasses
from ffmem.models.rotary import rotary_error
from ffmem.models.samples import sample_sentences
from ffmem.models.sentences_to_try import Sentence, inputs_to_try
from ffmem.models.transformer import Transformer
from ffmem.options import Bos

TOLERANCE = {"float32": 5e-5, "float16": 2e-2, "bfloat16": 1e-1}
"""Largest difference that counts as rounding, as a share of a layer's largest coefficient in the sentence."""
_PREFIX = 8
"""Tokens that a text should have whose prefix is compared."""


@dataclass(frozen=True)
class Proof(Record):
    """What was measured, and how the model must be run."""

    batching: Batching
    lengths: tuple[int, ...]
    """Own tokens of the sentences that were tried."""
    errors: dict[str, float] = field(default_factory=dict)
    """By check, the largest difference of a coefficient as a share of its layer's largest: "alone", "again", "future" (other
    tokens on the right), "prefix" (none there), "padded", "equal-length"; and "rotary", of the rotations of the first positions
    in the longest input and in a short one."""
    notes: tuple[str, ...] = ()
    """What a user should know of it, a sentence each."""


def prove_on_samples(model: Transformer, bos: Bos = "auto") -> Proof:
    """Prove a model on sentences that its tokenizer can spell: see `prove`."""
    texts = sample_sentences(model.tokenizer)
    return prove(model, [Sentence(text) for text in texts], bos)


def prove(model: Transformer, sentences: Sequence[Sentence], bos: Bos = "auto", longest: int | None = None) -> Proof:
    """Hold a model to its own plain call, and let it run from here on as is right.

    Args:
        model: as it was loaded.
        sentences: of which some of different lengths are taken.
        bos: special tokens, as in an index.
        longest: own tokens of the longest input that is to be read; None: that of the sentences.

    Returns:
        What was measured; `model.batching` and `model.facts.causal` are as it says.

    Raises:
        ModelError: a check fails even for a sentence alone; the message names it, and by how much.

    Cost: about ten passes of the longest sentence that is tried.
    """
    tried = inputs_to_try(model, sentences, bos)
    if not tried:
        raise ModelError(
            f"there is no sentence to try {model.facts.name} on: none has a token within its context",
            "Expected a text that the tokenizer has tokens for",
            "Give other text, or check the tokenizer in the model's folder",
        )
    with torch.no_grad():
        return _Trial(model, tried, longest).proof()


class _Trial:
    """The checks of one model, one after the other."""

    def __init__(self, model: Transformer, inputs: Sequence[PlainInput], longest: int | None) -> None:
        self._model, self._inputs = model, inputs
        self._limit = TOLERANCE[model.facts.dtype]
        self._n_longest = max(len(one.token_ids) for one in inputs)
        self._n_all = max(self._n_longest, (longest or 0) + self._n_special)
        self._passes = ProofPasses(model)
        self._errors: dict[str, float] = {}
        self._notes: list[str] = []

    @property
    def _n_special(self) -> int:
        return len(self._inputs[0].token_ids) - len(self._inputs[0].own)

    def proof(self) -> Proof:
        """All checks, and what follows from them."""
        self._plain_ahead()
        plain = [self._passes.plain(one) for one in self._inputs]
        self._check_finite(plain)
        fresh = bool(self._passes.state.changed())
        self._again(plain[0])
        causal = self._causal(plain[-1])
        self._passes.state.restore()
        self._model.adopt(Batching(causal, "alone", fresh))
        self._passes.ours_ahead([*([one] for one in self._inputs), list(self._inputs)])
        self._alone(plain)
        rows = self._rows(plain, causal)
        self._model.adopt(Batching(causal, rows, fresh))
        self._say(causal, rows, fresh)
        lengths = tuple(len(one.own) for one in self._inputs)
        return Proof(self._model.batching, lengths, self._errors, tuple(self._notes))

    def _plain_ahead(self) -> None:
        """All plain calls that the checks will ask for, where they gain by being known before."""
        first, longest, whole = self._inputs[0], self._inputs[-1], self._long_enough()
        others = [self._with_another_end(whole), *(whole.cut(k) for k in self._cuts(whole))]
        others += [] if whole is longest else [whole]
        self._passes.plain_ahead([*self._inputs, *others], [first, longest], self._are_same_alone)

    def _are_same_alone(self, found: Sequence[Tensor], expected: Sequence[Tensor]) -> bool:
        return self._error(found, expected) <= self._limit / 5

    def _error(self, found: Sequence[Tensor], expected: Sequence[Tensor]) -> float:
        return max(difference(one, other) for one, other in zip(found, expected, strict=True))

    # the checks

    def _check_finite(self, plain: Sequence[Sequence[Tensor]]) -> None:
        dtype = self._model.facts.dtype
        for one, layers in zip(self._inputs, plain, strict=True):
            for number, layer in enumerate(layers):
                if not bool(layer.isfinite().all()):
                    raise ModelError(
                        f"the coefficients of layer {self._model.cells.layers[number].name} of {self._model.facts.name} are "
                        f"not finite in the sentence {_short(one.text)!r}, run in {dtype} by the model's own call",
                        "Expected finite coefficients everywhere",
                        "Its weights are damaged: download or save the model again"
                        if dtype == "float32"
                        else "Write --dtype float32: half precision cannot hold this model's numbers",
                    )

    def _again(self, before: Sequence[Tensor]) -> None:
        """The same sentence, from the same state, has the same coefficients."""
        error = self._errors["again"] = self._error(self._passes.plain(self._inputs[0]), before)
        if not error <= self._limit:
            raise self._fails(
                "the same sentence run twice", error, "the model draws random numbers, or keeps what it has read"
            )

    def _causal(self, longest: Sequence[Tensor]) -> bool:
        """Whether a position has the coefficients that it has without what is on its right.

        Neither other tokens there, nor none, nor as many as the longest input has may change it.
        """
        whole = self._long_enough()
        n = len(whole.own)
        if n < 2:
            return self._model.family.causal
        expected = longest if whole is self._inputs[-1] else self._passes.plain(whole)
        self._errors["future"] = self._error(
            [layer[: n // 2] for layer in self._passes.plain(self._with_another_end(whole))],
            [layer[: n // 2] for layer in expected],
        )
        for k in self._cuts(whole):
            error = self._error(self._passes.plain(whole.cut(k)), [layer[:k] for layer in expected])
            self._errors["prefix"] = max(error, self._errors.get("prefix", 0.0))
        self._passes.state.restore()
        rotations = rotary_error(self._model.module, 2, self._n_all)
        if rotations is not None:
            self._errors["rotary"] = rotations
        return (
            self._errors["future"] <= self._future_limit
            and max(self._errors["prefix"], rotations or 0.0) <= self._limit
        )

    def _cuts(self, whole: PlainInput) -> list[int]:
        """Own tokens of the prefixes that are compared."""
        half = len(whole.own) // 2
        return sorted({min(3, half), half} - {0})

    @property
    def _future_limit(self) -> float:
        """Inputs of one length give the same bits, but in an expert, whose products have other rows where routes differ."""
        has_experts = any(cells.n_experts for cells in self._model.facts.layers)
        return self._limit if has_experts else self._limit / 5

    def _with_another_end(self, whole: PlainInput) -> PlainInput:
        """The same text with other tokens in its second half, where the sentences have others."""
        pool = list(dict.fromkeys(token for one in self._inputs for token in reversed(one.own)))
        n = len(whole.own) // 2
        end = [
            next((other for other in pool[i % len(pool) :] + pool if other != token), token)
            for i, token in enumerate(whole.own)
        ]
        return whole.replaced([*whole.own[:n], *end[n:]])

    def _long_enough(self) -> PlainInput:
        """The longest sentence; lengthened by others where it has too few tokens to tell a prefix from it."""
        longest = self._inputs[-1]
        own = list(longest.own)
        others = [token for one in self._inputs for token in one.own]
        limit = (self._model.facts.max_length or 2**31 - 1) - self._n_special
        while len(own) < min(_PREFIX, limit):
            own += others[: min(_PREFIX, limit) - len(own)]
        return longest if len(own) == len(longest.own) else longest.replaced(own)

    def _alone(self, plain: Sequence[Sequence[Tensor]]) -> None:
        """Our pass over a sentence alone is the model's own call."""
        errors = [self._ours_error([one], [layers]) for one, layers in zip(self._inputs, plain, strict=True)]
        error = self._errors["alone"] = max(errors)
        if not error <= self._limit:
            raise self._fails(
                "a sentence alone, against the model's own call on what its tokenizer gives",
                error,
                "the model is given more than token ids and a mask, or its layers depart from its family",
            )

    def _ours_error(self, rows: Sequence[PlainInput], plain: Sequence[Sequence[Tensor]]) -> float:
        """How far our pass over rows is from what they have alone; those without an expectation only fill it."""
        error = max(map(self._error, self._passes.ours(rows), plain))
        if not error <= self._limit and self._passes.in_step:  # what goes wrong side by side may be right alone
            error = max(map(self._error, self._passes.ours(rows), plain))
        return error

    def _rows(self, plain: Sequence[Sequence[Tensor]], causal: bool) -> Rows:
        """Which sentences may share a pass."""
        if self._errors.get("rotary", 0.0) <= self._limit and self._holds("padded", self._inputs, plain):
            return "padded"
        pairs = [[one, one.replaced([*one.own[1:], one.own[0]])] for one in self._inputs]
        for pair, layers in zip(pairs, plain, strict=True):
            if not self._holds("equal-length", pair, [layers]):
                return "alone"
        return "equal-length"

    def _holds(self, check: str, rows: Sequence[PlainInput], plain: Sequence[Sequence[Tensor]]) -> bool:
        """Whether rows of one batch have the coefficients that they have alone."""
        try:
            error = self._ours_error(rows, plain)
        except (IndexError, RuntimeError) as refusal:  # such as positions beyond a table, which only padding has
            self._notes.append(f"a batch of sentences ({check}) cannot be run: {str(refusal).splitlines()[0][:120]}")
            self._errors[check] = float("inf")
            return False
        self._errors[check] = max(error, self._errors.get(check, 0.0))
        return error <= self._limit

    def _fails(self, what: str, error: float, why: str) -> ModelError:
        return ModelError(
            f"a check of {self._model.facts.name} fails: {what}. A coefficient differs by {error:.2g} of the largest of "
            f"its layer, so {why}",
            f"Expected at most {self._limit:g} in {self._model.facts.dtype}",
            "In its config.json, set everything but the sizes of the model back to the defaults of its family, or use the "
            "model that it was made from",
        )

    def _say(self, causal: bool, rows: Rows, fresh: bool) -> None:
        if causal != self._model.family.causal:
            error = max(self._errors.get(check, 0.0) for check in ("future", "prefix", "rotary"))
            self._notes.append(
                "no position sees what is on its right, as this model is configured: a trigger is a prefix"
                if causal
                else f"a prefix has other coefficients alone than in its sentence (by {error:.1%} of the largest of a layer), "
                "as this model is configured: a trigger is a position in its sentence"
            )
        if rows != "padded":
            why = self._errors.get("padded", self._errors.get("rotary", 0.0))
            how = "sentences of equal length share a pass" if rows == "equal-length" else "each sentence is run alone"
            self._notes.append(f"padding would change coefficients (by {why:.1%} of the largest of a layer): {how}")
        if fresh:
            self._notes.append("the model changes with the length of what it reads: it is put back before each pass")


def difference(found: Float[Tensor, "*found"], expected: Float[Tensor, "*expected"]) -> float:
    """max|found - expected| / max|expected|; infinite where one is not a number, 0 where all are 0."""
    if found.shape != expected.shape:
        return float("inf")
    if not found.numel():
        return 0.0
    largest = float((found - expected).abs().max())
    scale = float(expected.abs().max())
    if not np.isfinite(largest):
        return float("inf")
    return largest / scale if scale else (0.0 if largest == 0 else float("inf"))


def _short(text: str, longest: int = 60) -> str:
    return text if len(text) <= longest else f"{text[:longest]}..."
