"""A work folder with hand-made tokens, and what plain transformers says of them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file
from transformers import GPT2LMHeadModel

from ffmem.index.scan.batches import Shard

SENTENCES = (
    (17, 80, 80, 5, 301, 6, 9, 11, 4, 23, 8), (40, 2, 19, 33, 350, 21, 3, 90, 91, 92), (9,),
    (17, 80, 3), (2, 2, 2, 2, 2, 2, 2), (250, 251, 7),
    (12, 13, 14), (399, 0, 6, 7),
)  # fmt: skip
"""Tokens of each: two that share a batch with padding, one of one token, one of the same token again and again."""
SHARDS = (Shard(0, 0, 3, 22), Shard(1, 3, 6, 13), Shard(2, 6, 8, 7))
WHOLE = Shard(0, 0, 8, 42)
STARTS = np.cumsum([0, *map(len, SENTENCES)])


def write_tokens(work: Path, context: Sequence[int] | None = None) -> Path:
    """The folder of a build, with these sentences as its text."""
    (work / "text").mkdir(parents=True)
    arrays = {"sentence_start": STARTS.astype(np.uint64), "token_id": np.concatenate(SENTENCES).astype(np.uint16)}
    if context is not None:
        arrays["context"] = np.array(context, dtype=np.uint32)
    save_file(arrays, work / "text" / "tokens.safetensors")
    return work


def gpt2_coefficients(folder: Path) -> list[list[np.ndarray]]:
    """[sentence][layer] -> (tokens, cells): what GPT-2's activation gives, each sentence alone, by transformers alone."""
    model = GPT2LMHeadModel.from_pretrained(folder).eval()
    found: list[list[np.ndarray]] = []
    for block in model.transformer.h:
        block.mlp.act.register_forward_hook(lambda _, __, out: found[-1].append(out[0].numpy().copy()))
    for sentence in SENTENCES:
        found.append([])
        with torch.inference_mode():
            model(torch.tensor([sentence]))
    return found
