"""Pictures made by hand: places that are known, beside an index that nobody ran a model for."""

from dataclasses import replace

import numpy as np

from ffmem import Index
from ffmem.store.atlas import Atlas, AtlasFacts, write_atlas

FACTS = AtlasFacts(
    by="triggers", seed=3, neighbours=2, n_cells=0, n_fitted=0, n_apart=0, kept=0.5, kept_by_chance=0.125, n_measured=4,
    far=None, seconds=1.5, made_with="nothing",
)  # fmt: skip


def made_atlas(n: int, seed: int = 0) -> Atlas:
    """Places drawn by lot."""
    rng = np.random.default_rng(seed)
    kept = np.where(np.arange(n) % 3 == 0, np.nan, 0.5).astype(np.float32)
    facts = replace(FACTS, n_cells=n, n_fitted=n)
    return Atlas(facts, rng.random((n, 2), dtype=np.float32), kept, np.zeros(0, dtype=np.float32))


def with_atlas(index: Index, seed: int = 0) -> Atlas:
    """The same, kept beside an index."""
    atlas = made_atlas(index.n_cells, seed)
    write_atlas(index, atlas)
    return atlas
