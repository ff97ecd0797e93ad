"""The fidelity certificate: how exactly this model, on this machine, holds what everything rests on.

It is measured on the corpus itself: that sentences are run as the model's own plain call runs them alone (models/proof.py), and
the identities of the memories (models/identities.py).
"""

import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
import transformers

from ffmem.errors import InputError, ModelError
from ffmem.index.identity_batches import draw_sentences, measure_on_sentences
from ffmem.index.scan.batches import Shard
from ffmem.index.scan.shard_text import ShardText, Tokens
from ffmem.index.text.head import Head
from ffmem.json_values import JsonObject, to_json
from ffmem.models.description import describe
from ffmem.models.fidelity import measure_fidelity
from ffmem.models.identities import largest
from ffmem.models.proof import TOLERANCE as PROOF_TOLERANCE
from ffmem.models.proof import prove
from ffmem.models.rotary import has_rotary, rotary_error
from ffmem.models.run_state import RunState
from ffmem.models.sentences_to_try import Sentence, longest_to_try
from ffmem.models.transformer import Transformer
from ffmem.options import IndexOptions

TOLERANCE = {"float32": 1e-4, "float16": 2e-2, "bfloat16": 1e-1}
"""Largest relative error of an identity before a build is refused: rounding of the type, times a wide margin."""

_N_DICTIONARY = 64
"""Sentences that dictionaries are measured on."""
_LONGEST_TO_ASK = 2**17
_N_PROOF = 24
"""Sentences that the proof may choose from, by length."""


def certify(
    model: Transformer, head: Head, tokens: Tokens, options: IndexOptions, longest: int | None = None
) -> JsonObject:
    """Prove the model, and measure the identities, on sentences of the corpus itself, drawn with the seed.

    Args:
        model: which runs from here on as its proof says.
        head: the first sentences of an index.
        tokens: theirs, at least.
        options: of the index.
        longest: tokens of the longest sentence of the index; None: that of the head, where the model treats no sentence
            otherwise for the length of another (see `depends_on_length`).

    Returns:
        The largest errors, per layer where they have one, with the circumstances they were measured in.

    Raises:
        InputError: a dictionary does not fit the model.
        ModelError: the proof or an identity does not hold, so the memories read from this model would not be its own.
    """
    lengths = np.diff(tokens.sentence_start[: len(head.texts) + 1].astype(np.int64))
    proof = prove(
        model,
        _proof_sentences(model, head, tokens, lengths, options),
        options.bos,
        longest=longest or int(lengths.max()),
    )
    drawn = draw_sentences(lengths, longest_to_try(model), options.seed)
    device = str(model.device)
    shard_text = ShardText(tokens, model, options, device)
    found = [asdict(one) for one in measure_on_sentences(model, shard_text, drawn, lengths)]
    worst = worst_of([{name: one[name] for name in _ERRORS} for one in found])
    _check(worst_of(found), model, options)
    dictionaries = _dictionaries(model, shard_text, lengths, options) if model.dictionaries else {}
    structure = {"structure": describe(model, attention=False)} if model.family.by_structure else {}
    return {
        "errors": worst,
        "proof": to_json(proof),
        **structure,
        **dictionaries,
        "n_sentences": len(drawn),
        "sentence_ids": drawn,
        "dtype": options.dtype,
        "device": device,
        "threads": options.threads,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "python": platform.python_version(),
    }


def _dictionaries(model: Transformer, text: ShardText, lengths: np.ndarray, options: IndexOptions) -> JsonObject:
    """How well each dictionary reconstructs, on sentences drawn with the seed."""
    drawn = np.random.default_rng(options.seed).permutation(len(lengths))
    first = np.array([text.first_competing(sentence) for sentence in drawn.tolist()[: 8 * _N_DICTIONARY]])
    competing = lengths[drawn[: len(first)]] - first
    chosen = drawn[: len(first)][competing > 0][:_N_DICTIONARY].tolist() or drawn[:1].tolist()
    batches = []
    for sentence in sorted(chosen):
        (batch,) = text.batches(Shard(0, sentence, sentence + 1, int(lengths[sentence])))
        places = text.places(batch)
        begin = places.first_position if places.lengths[0] > 0 else 0
        batches.append((text.inputs(batch), slice(begin, begin + max(int(places.lengths[0]), 1))))
    found = measure_fidelity(model, batches)
    for name, one in found.items():
        if not one.unexplained < 1:  # also where it is NaN
            raise InputError(
                f"the dictionary {name} does not fit {model.facts.name}: reading {one.reads}, it leaves "
                f"{one.unexplained:.3g} of the variance of {one.writes} unexplained, over {one.n_positions} positions",
                "Expected less than 1: it reconstructs what it was trained on, the mean would be 1",
                "Check the layer, the model, and what it reads (LAYER=NAME@PLACE:FOLDER): see docs/how-to/dictionaries.md",
            )
    return {"dictionaries": to_json(found)}


def _proof_sentences(
    model: Transformer, head: Head, tokens: Tokens, lengths: np.ndarray, options: IndexOptions
) -> list[Sentence]:
    """Sentences of all lengths that the head has, the longest and the shortest among them; drawn with the seed."""
    drawn = np.random.default_rng(options.seed).permutation(len(lengths))
    by_length = drawn[np.argsort(lengths[drawn], kind="stable")]
    chosen = by_length[np.unique(np.linspace(0, len(by_length) - 1, _N_PROOF).round().astype(int))]
    return sentences_of(model, {one: (head.texts[one], tokens.ids(one)) for one in chosen.tolist()}, head.has_pieces)


def sentences_of(model: Transformer, rows: Mapping[int, tuple[str, np.ndarray]], may_be_pieces: bool) -> list[Sentence]:
    """Stored sentences as the proof takes them.

    Args:
        model: whose tokens they have.
        rows: the text and the tokens of each.
        may_be_pieces: whether some may be pieces of longer texts, which may have other tokens alone: such a one is proved as it
            is stored.
    """
    encode = model.tokenizer.backend_tokenizer.encode
    found = []
    for text, stored in rows.values():
        ids = tuple(stored.tolist())
        is_piece = may_be_pieces and tuple(encode(text, add_special_tokens=False).ids) != ids
        found.append(Sentence(text, ids, is_piece))
    return found


def depends_on_length(model: Transformer, longest: int) -> bool:
    """Whether the longest input that there may be would be read with other rotations of its first positions than a short one.

    Args:
        model: the model.
        longest: most tokens of an input, special tokens included; where they are so many that asking takes much memory, the
            answer is yes.
    """
    if not has_rotary(model.module) or longest > _LONGEST_TO_ASK:
        return has_rotary(model.module)
    state = RunState(model.module)
    with torch.no_grad():
        error = rotary_error(model.module, 2, longest)
    state.restore()
    return error is not None and not error <= PROOF_TOLERANCE[model.facts.dtype]


_ERRORS = ("ff_sum_errors", "residual_errors", "hook_error", "logit_error")
"""What a certificate has had of the identities from the first."""


def worst_of(measured: Sequence[Mapping[str, Any]]) -> JsonObject:
    """The largest of several measurements of the same errors."""
    return {name: _largest([one[name] for one in measured]) for name in measured[0]}


def _largest(values: list[Any]) -> Any:
    """Elementwise maximum of numbers or of tuples of numbers; None where there is none."""
    if values[0] is None:
        return None
    if isinstance(values[0], (list, tuple)):
        return [_largest(list(column)) for column in zip(*values, strict=True)]
    return largest(values)


def _check(worst: JsonObject, model: Transformer, options: IndexOptions) -> None:
    limit = TOLERANCE[options.dtype]
    errors = [
        (f"{name} of layer {layer}", e)
        for name in ("ff_sum_errors", "residual_errors", "key_errors", "norm_errors")
        for layer, e in enumerate(worst.get(name, ()))
        if e is not None
    ]
    errors += [("hook_error", worst["hook_error"]), ("logit_error", worst["logit_error"] or 0.0)]
    for name, error in errors:
        if not math.isfinite(error) and options.dtype == "float16":
            raise ModelError(
                f"{model.facts.name} overflows in float16: {name} is {error}",
                "Expected numbers below 65,504, the largest of that type",
                "Write --dtype float32, or --dtype bfloat16",
            )
        if not error <= limit:  # also where it is NaN
            raise ModelError(
                f"an identity fails in {model.facts.name}: {name} is {error:.3g}",
                f"Expected at most {limit:g} in {options.dtype}",
                "This model departs from its family: see docs/how-to/add-a-family.md, and please report it",
            )
