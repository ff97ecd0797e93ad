"""A translation task whose every word is known: the translation is the source itself, and a model that copies it."""

from pathlib import Path

import numpy as np
import torch

from ffmem.models.transformer import Transformer
from tests.studies.alignment.copying import WORDS, copy_model


def copier() -> Transformer:
    """Predicts, in each row, the source word at the same place: its only cross-attention looks there, and loudly."""
    model = copy_model(0)
    with torch.no_grad():
        model.module.model.decoder.layers[0].encoder_attn.out_proj.weight.mul_(4.0)
    return model


def sentences(n: int, seed: int) -> list[list[str]]:
    """Random words, three to nine of them."""
    rng = np.random.default_rng(seed)
    return [[WORDS[k] for k in rng.integers(len(WORDS), size=rng.integers(3, 10))] for _ in range(n)]


def write(path: Path, lines: list[list[str]]) -> str:
    """A file of sentences."""
    path.write_text("".join(f"{' '.join(words)}\n" for words in lines))
    return str(path)
