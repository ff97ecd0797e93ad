"""The fidelity certificate: how exactly this model, on this machine, holds what everything rests on.

It is measured on the corpus itself: that sentences are run as the model's own plain call runs them alone (models/proof.py), and
the identities of the memories (models/identities.py).
"""

import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

from ffmem.errors import InputError, ModelError
from ffmem.index.identity_batches import draw_sentences, measure_on_sentences
from ffmem.index.scan.batches import Shard
from ffmem.index.scan.shard_text import ShardText, read_tokens
from ffmem.json_values import JsonObject, to_json
from ffmem.models.description import describe
from ffmem.models.fidelity import measure_fidelity
from ffmem.models.proof import prove
from ffmem.models.sentences_to_try import Sentence, longest_to_try
from ffmem.models.transformer import Transformer
from ffmem.options import IndexOptions, parse_split
from ffmem.store.text import TextReader

TOLERANCE = {"float32": 1e-4, "float16": 2e-2, "bfloat16": 1e-1}
"""Largest relative error of an identity before a build is refused: rounding of the type, times a wide margin."""

_N_DICTIONARY = 64
"""Sentences that dictionaries are measured on."""
_N_PROOF = 24
"""Sentences that the proof may choose from, by length."""


def certify(model: Transformer, text: Path, options: IndexOptions, cut: bool) -> JsonObject:
    """Prove the model, and measure the identities, on sentences of the corpus itself, drawn with the seed.

    Args:
        model: which runs from here on as its proof says.
        text: folder with the text of an index.
        options: of the index.
        cut: whether some of its sentences are pieces of longer ones.

    Returns:
        The largest errors, per layer where they have one, with the circumstances they were measured in.

    Raises:
        InputError: a dictionary does not fit the model.
        ModelError: the proof or an identity does not hold, so the memories read from this model would not be its own.
    """
    tokens = read_tokens(text)
    starts = tokens.sentence_start
    lengths = np.diff(starts.astype(np.int64))
    proof = prove(model, _proof_sentences(model, text, lengths, options, cut), options.bos, longest=int(lengths.max()))
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
    model: Transformer, text: Path, lengths: np.ndarray, options: IndexOptions, cut: bool
) -> list[Sentence]:
    """Sentences of all lengths that the corpus has, the longest and the shortest among them; drawn with the seed."""
    drawn = np.random.default_rng(options.seed).permutation(len(lengths))
    by_length = drawn[np.argsort(lengths[drawn], kind="stable")]
    chosen = by_length[np.unique(np.linspace(0, len(by_length) - 1, _N_PROOF).round().astype(int))]
    return sentences_of(model, text, chosen.tolist(), options, cut)


def sentences_of(
    model: Transformer, text: Path, sentence_ids: Sequence[int], options: IndexOptions, cut: bool
) -> list[Sentence]:
    """Stored sentences as the proof takes them; the arguments are those of `certify`."""
    reader, encode = TextReader(text), model.tokenizer.backend_tokenizer.encode
    found = []
    for sentence_id in sentence_ids:
        row = reader.sentence(sentence_id)
        ids = tuple(row.token_ids.tolist())
        # a piece of a longer text may have other tokens alone: it is proved as it is stored
        may_be_piece = cut or parse_split(options.split) is not None
        is_piece = may_be_piece and tuple(encode(row.text, add_special_tokens=False).ids) != ids
        found.append(Sentence(row.text, ids, is_piece))
    return found


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
    return max(values)


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
