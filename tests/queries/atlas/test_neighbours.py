"""The nearest cells of each, against every pair: cosines by torch, shared triggers as `similar` has them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from ffmem import Index, InputError
from ffmem.index.indexed_model import load_indexed_model
from ffmem.queries import similar
from ffmem.queries.atlas.neighbours import Vectors, alike
from ffmem.queries.atlas.points import CellNumbers
from tests.fixtures.made_index import Document, Layer, make_index


def nobody(_what: str, _done: int, _all: int) -> None:
    """Hears what is told."""


def every_pair(vectors: np.ndarray, both: bool) -> np.ndarray:
    unit = torch.nn.functional.normalize(torch.tensor(vectors, dtype=torch.float64))
    cosines = (unit @ unit.T).abs() if both else unit @ unit.T
    return cosines.fill_diagonal_(-9).numpy()


@pytest.mark.parametrize("both", [False, True])
def test_the_nearest_by_vectors_are_those_of_all_pairs(both: bool) -> None:
    vectors = np.random.default_rng(4).normal(size=(700, 6)).astype(np.float32)  # more than one block
    norm = np.linalg.norm(vectors, axis=1)
    cells = np.arange(700)
    ids, likeness = Vectors(vectors / norm[:, None], norm, both).nearest(cells, cells, 5, nobody)
    pairs = every_pair(vectors, both)
    np.testing.assert_allclose(likeness, np.clip(-np.sort(-pairs, axis=1)[:, :5], 0, 1), atol=1e-5)
    np.testing.assert_allclose(np.take_along_axis(pairs, ids, 1), likeness, atol=1e-5)


def test_the_nearest_among_some() -> None:
    vectors = np.random.default_rng(5).normal(size=(60, 4)).astype(np.float32)
    unit, among = vectors / np.linalg.norm(vectors, axis=1)[:, None], np.arange(0, 60, 3)
    ids, _ = Vectors(unit, np.ones(60), False).nearest(np.array([3, 4]), among, 2, nobody)
    pairs = every_pair(vectors, False)[:, among]
    for row, cell in enumerate((3, 4)):
        assert ids[row].tolist() == np.argsort(-pairs[cell])[:2].tolist()


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_the_nearest_by_triggers_are_those_of_similar(family: str, index_of: Callable[[str], Index]) -> None:
    index = index_of(family)
    numbers, cells = CellNumbers(index), np.arange(index.n_cells)
    ids, likeness = alike(index, "triggers").nearest(cells, cells, 6, nobody)
    for number in range(0, index.n_cells, 17):
        rows = similar(index, str(numbers.cell(number)), limit=6).rows
        known = [numbers.number(row.cell) for row in rows if row.similarity > 0]
        np.testing.assert_allclose(
            likeness[number][: len(known)], [row.similarity for row in rows[: len(known)]], atol=1e-5
        )
        assert set(ids[number][len(known) :].tolist()) <= {-1}
        clear = [one for one, row in zip(known, rows, strict=False) if row.similarity > rows[-1].similarity + 1e-5]
        assert set(clear) <= set(ids[number].tolist())


@pytest.mark.parametrize(("family", "by"), [("gpt2", "values"), ("llama", "values"), ("llama", "keys")])
def test_vectors_are_those_of_the_model(
    family: str, by: str, index_of: Callable[[str], Index], tiny_folder: Callable[[str], Path]
) -> None:
    from transformers import AutoModelForCausalLM

    plain = AutoModelForCausalLM.from_pretrained(tiny_folder(family))
    if family == "gpt2":
        expected = torch.cat([one.mlp.c_proj.weight for one in plain.transformer.h])
    elif by == "values":
        expected = torch.cat([one.mlp.down_proj.weight.T for one in plain.model.layers])
    else:
        expected = torch.cat([one.mlp.gate_proj.weight for one in plain.model.layers])
    index = index_of(family)
    found = alike(index, by, load_indexed_model(index, None))  # type: ignore[arg-type]
    np.testing.assert_allclose(found.norm, expected.detach().norm(dim=1).numpy(), rtol=1e-5)
    assert isinstance(found, Vectors) and found.both_signs == (family == "llama" and by == "values")
    pairs = every_pair(expected.detach().numpy(), found.both_signs)
    cells = np.arange(index.n_cells)
    np.testing.assert_allclose(found.nearest(cells, cells, 1, nobody)[1][:, 0], np.maximum(pairs.max(1), 0), atol=1e-5)
    assert found.estimate_s(index.n_cells) > 0


def test_axes_of_gated_cells_do_not_depend_on_their_signs() -> None:
    rng = np.random.default_rng(6)
    vectors = rng.normal(size=(80, 5)).astype(np.float32) + np.array([3, 0, 0, 0, 0], dtype=np.float32)
    unit = vectors / np.linalg.norm(vectors, axis=1)[:, None]
    signs = rng.choice([-1, 1], 80).astype(np.float32)[:, None]
    cells = np.arange(80)
    one, two = (Vectors(rows, np.ones(80), True).axes(cells, 0) for rows in (unit, unit * signs))
    # the whole may be turned around, since all may be turned to the other side
    for axis in range(2):
        np.testing.assert_allclose(np.abs(one[:, axis]), np.abs(two[:, axis]), atol=1e-4)


def test_what_cannot_be_laid_out_is_refused(tmp_path: Path, index_of: Callable[[str], Index]) -> None:
    with pytest.raises(InputError, match=r"--by keys lays out vectors.*write --by triggers"):
        alike(index_of("gpt2"), "keys")
    few = make_index(tmp_path / "few", [Document([["a"]])], [Layer([[1.0, 2.0, 3.0]])])
    with pytest.raises(InputError, match="the index has 3 cells"):
        alike(few, "triggers")
