"""The fidelity certificate: how exactly this model, on this machine, holds the identities everything rests on."""

import math
import platform
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

from ffmem.errors import ModelError
from ffmem.index.batches import Shard
from ffmem.index.files import map_arrays
from ffmem.index.shard_text import ShardText, read_tokens
from ffmem.models.identities import measure_identities
from ffmem.models.transformer import Transformer
from ffmem.options import IndexOptions

TOLERANCE = {"float32": 1e-4, "float16": 2e-2, "bfloat16": 1e-1}
"""Largest relative error of an identity before a build is refused: rounding of the type, times a wide margin."""

_N_SENTENCES = 8
_MAX_TOKENS = 64


def certify(model: Transformer, text: Path, options: IndexOptions) -> dict[str, Any]:
    """Measure the identities on sentences of the corpus itself, drawn with the seed.

    Returns:
        The largest errors, per layer where they have one, with the circumstances they were measured in.

    Raises:
        ModelError: an identity does not hold, so the memories read from this model would not be its own.
    """
    starts = map_arrays(text / "tokens.safetensors")["sentence_start"]
    n_sentences = len(starts) - 1
    lengths = np.diff(starts.astype(np.int64))
    fitting = np.flatnonzero((lengths >= 2) & (lengths <= _MAX_TOKENS))
    pool = fitting if len(fitting) else np.arange(n_sentences)
    drawn = np.random.default_rng(options.seed).choice(pool, size=min(_N_SENTENCES, len(pool)), replace=False)
    device = str(model.module.device)
    shard_text = ShardText(read_tokens(text), model, options, device)
    batches = [
        batch
        for sentence in sorted(drawn.tolist())
        for batch in shard_text.batches(Shard(0, sentence, sentence + 1, int(lengths[sentence])))
    ]
    measured = [asdict(measure_identities(model, *shard_text.inputs(batch))) for batch in batches]
    worst = worst_of(measured)
    _check(worst, model, options)
    return {
        "errors": worst,
        "n_sentences": len(measured),
        "sentence_ids": sorted(drawn.tolist()),
        "dtype": options.dtype,
        "device": device,
        "threads": options.threads,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "python": platform.python_version(),
    }


def worst_of(measured: list[dict[str, Any]]) -> dict[str, Any]:
    """The largest of several measurements of the same errors."""
    return {name: _largest([one[name] for one in measured]) for name in measured[0]}


def _largest(values: list[Any]) -> Any:
    """Elementwise maximum of numbers or of tuples of numbers; None where there is none."""
    if values[0] is None:
        return None
    if isinstance(values[0], (list, tuple)):
        return [max(column) for column in zip(*values, strict=True)]
    return max(values)


def _check(worst: dict[str, Any], model: Transformer, options: IndexOptions) -> None:
    limit = TOLERANCE[options.dtype]
    errors = [
        (f"{name} of layer {layer}", e)
        for name in ("ff_sum_errors", "residual_errors")
        for layer, e in enumerate(worst[name])
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
