"""A small index with samples of cells of which a test knows where they fire."""

from pathlib import Path

import numpy as np

from ffmem import Index
from ffmem.ids import LayerCells
from tests.fixtures.made_index import Document, Layer, make_index

N_DOCUMENTS, N_SENTENCES, N_TOKENS = 60, 6, 12
FILLERS = [f"w{chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(150)]
RARE_AT = (40, 1000, 2000, 3000, 4000)


def small_texts() -> list[list[list[str]]]:
    """Of each document its sentences: "king" at 0.8 % of positions."""
    rng = np.random.default_rng(9)
    drawn = rng.integers(0, len(FILLERS), (N_DOCUMENTS, N_SENTENCES, N_TOKENS))
    king = rng.random(drawn.shape) < 0.008
    return [[[" king" if k else f" {FILLERS[i]}" for i, k in zip(*row, strict=True)] for row in zip(*two, strict=True)]
            for two in zip(drawn.tolist(), king.tolist(), strict=True)]  # fmt: skip


def small_index(folder: Path, *, causal: bool = True, gated: bool = False) -> tuple[Index, list[np.ndarray]]:
    """Also the coefficients of each layer.

    L0 has a cell for "king" (of negative coefficients if cells are gated), a dead one, one that is always on, and a rare one.
    L1 has two experts of one cell each, for "king" as well; the second one sees three quarters of the positions.
    """
    texts = small_texts()
    tokens = np.array([token for one in texts for row in one for token in row])
    rng = np.random.default_rng(2)
    n, king = len(tokens), tokens == " king"
    plain = -0.01 - 0.01 * rng.random((n, 4))
    plain[king, 0] = 3 + rng.random(king.sum())
    if gated:
        plain[:, 0] *= -1
    plain[:, 2] = 2 + 0.1 * rng.random(n)
    plain[RARE_AT, 3] = 1.0
    experts = -0.01 - 0.01 * rng.random((n, 2))
    experts[king] = 3 + rng.random((king.sum(), 2))
    experts[rng.random(n) < 0.25, 1] = np.nan
    layers = [Layer(plain), Layer(experts, LayerCells(1, 1, n_experts=2))]
    documents = [Document(one, f"d{i}") for i, one in enumerate(texts)]
    made = make_index(folder, documents, layers, sample=60, causal=causal, gated=gated)
    return made, [plain.astype(np.float32), experts.astype(np.float32)]
