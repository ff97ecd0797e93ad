"""Coefficients of any size: what is kept is what exact arithmetic says, or there is no room and it is said for which cell."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import ffmem
from ffmem import IndexOptions, RunOptions
from ffmem.ids import LayerCells
from ffmem.index.finish import layer_arrays
from ffmem.index.state.accumulator import Accumulator, LayerAccumulator
from ffmem.index.state.layers import Shape, TorchLayer
from ffmem.index.state.places import Places
from ffmem.index.state.states import load_state, merged_layers, save_state
from ffmem.index.state.statistics import LIMIT, ExactSum, add_parts, no_room
from ffmem.store.arrays import total_of
from ffmem.store.fields import FIELDS
from ffmem.store.histogram import histogram_edges

SIZES = [0.0, -0.0, 1e-45, 1e-38, 1e-20, 1e-7, 0.3, 1.0, 7e3, 1e8, 6e8, 2e9, 1e15, 1e19, 3e38]
N_CELLS = 4


def tensor_form(shape: Shape) -> Accumulator:
    made = LayerAccumulator(shape)
    made._groups = [[TorchLayer(N_CELLS, shape, "cpu")]]
    return made


def gpu_form(shape: Shape) -> Accumulator:
    from ffmem.index.state.gpu_accumulator import GpuAccumulator

    return GpuAccumulator(shape, "cuda" if torch.cuda.is_available() else "cpu")


FORMS: dict[str, Callable[[Shape], Accumulator]] = {
    "compiled": LayerAccumulator,
    "tensors": tensor_form,
    "gpu": gpu_form,
}
Shard = list[np.ndarray]
"""Sentences of one length: (sentences, positions, cells)."""


def shards(seed: int, sizes: list[float], n_shards: int) -> list[Shard]:
    """Some shards of one or two batches, each cell with sizes of its own."""
    rng = np.random.default_rng(seed)
    of_cell = [rng.choice(sizes, size=2) for _ in range(N_CELLS)]
    found: list[Shard] = []
    for _ in range(n_shards):
        shard = []
        for _ in range(rng.integers(1, 3)):
            shape = rng.integers(1, 4), rng.integers(1, 5)
            columns = [rng.choice(pair, size=shape) * rng.choice([-1, 1, 1], size=shape) for pair in of_cell]
            shard.append(np.stack(columns, axis=2).astype(np.float32))
        found.append(shard)
    return found


def scan(form: str, shape: Shape, some: list[Shard], first: int = 0, token: int = 0) -> Accumulator | int:
    """What is kept of some shards; or the cell for which there was no room."""
    made = FORMS[form](shape)
    for number, shard in enumerate(some):
        made.begin_shard()
        for values in shard:
            n, length, _ = values.shape
            tokens = token + np.arange(n * length).reshape(n, length)
            token += n * length
            made.observe(0, torch.from_numpy(values).to("cuda" if form == "gpu" and torch.cuda.is_available() else "cpu"),
                         Places(0, np.full(n, length), tokens))  # fmt: skip
        bad = made.first_not_finite()
        if bad is not None:
            return bad[1]
        made.close_shard(first + number, "m")
    return made


def check(layer: dict[str, np.ndarray], some: list[Shard]) -> None:
    """Against fractions."""
    for cell in range(N_CELLS):
        sentences = [row[:, cell] for shard in some for values in shard for row in values]
        every = [Fraction(float(one)) for row in sentences for one in row]
        slack = len(some) * Fraction(1, 2**40)
        for name, exact, size in (
            ("sum", sum(every), sum(map(abs, every))),
            ("square_sum", sum(one * one for one in every), sum(one * one for one in every)),
        ):
            stored = Fraction(int(layer[name][0, cell])) + Fraction(int(layer[name][1, cell]), 2**40)
            assert abs(stored - exact) <= slack + size * Fraction(1, 10**6), (name, cell)
            assert abs(Fraction(float(total_of(layer[name])[cell])) - exact) <= slack + size * Fraction(1, 10**6)
        assert layer["minimum"][cell] == min(every) and layer["maximum"][cell] == max(every)
        assert layer["n_active"][cell] == sum(one > 0 for one in every)
        best = [row.max() for row in sentences], [-row.min() for row in sentences]
        for sign in range(2):
            expected = np.histogram(np.array(best[sign], dtype=np.float64), bins=histogram_edges())[0]
            assert (layer["histogram"][sign, :, cell] == expected).all()
        for sign, extremes in enumerate(best):
            kept = (layer["keys"][sign, cell] >> 32).astype(np.int32).view(np.float32)
            assert [one for one in kept.tolist() if one] == sorted((float(v) for v in extremes if v > 0), reverse=True)[
                :3
            ]
    assert layer["counts"].tolist() == [[sum(v.shape[0] * v.shape[1] for s in some for v in s),
                                         sum(v.shape[0] for s in some for v in s)]]  # fmt: skip


def too_large(some: list[Shard]) -> set[int]:
    """Cells one of whose exact sums is beyond the limit, after some shard."""
    found = set()
    for cell in range(N_CELLS):
        total = squares = Fraction(0)
        for shard in some:
            every = [Fraction(float(one)) for values in shard for one in values[:, :, cell].flat]
            total, squares = total + sum(every), squares + sum(one * one for one in every)
            if abs(total) >= LIMIT or squares >= LIMIT:
                found.add(cell)
    return found


SHAPE = Shape((LayerCells(0, N_CELLS),), 2, 3, "1")


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10**6), sizes=st.lists(st.sampled_from(SIZES), min_size=1, max_size=4), n=st.integers(1, 4))
@pytest.mark.parametrize("form", ["compiled", "tensors"])
def test_what_is_kept_is_exact_or_refused(
    form: str, seed: int, sizes: list[float], n: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    holds_what_exact_sums_say(form, seed, sizes, n, tmp_path_factory)


@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")  # Triton's interpreter computes with numpy
@pytest.mark.parametrize("seed", range(6))
def test_what_a_gpu_keeps_is_exact_or_refused(seed: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    pytest.importorskip("triton", reason="triton, which compiles the loops for a GPU, is not installed")
    rng = np.random.default_rng(seed)
    holds_what_exact_sums_say("gpu", seed, rng.choice(SIZES, size=2).tolist(), 2, tmp_path_factory)


def holds_what_exact_sums_say(
    form: str, seed: int, sizes: list[float], n: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    made = shards(seed, sizes, n)
    expected = too_large(made)
    found = scan(form, SHAPE, made)
    if isinstance(found, int):
        assert found in expected
        return
    assert not expected
    layer = load_state(found.dump("job"))[1]
    check({name: layer[f"L0.{name}"] for name in (field.name for field in FIELDS)}, made)
    resumed = FORMS[form](SHAPE)
    resumed.load(found.dump("job"))
    again = load_state(resumed.dump("job"))[1]
    assert all(np.array_equal(again[name], layer[name]) for name in layer)
    # in parts that are merged: the same, bit for bit
    folder = tmp_path_factory.mktemp("states")
    token = 0
    for number, shard in enumerate(made):
        part = scan(form, SHAPE, [shard], number, token)
        assert not isinstance(part, int)
        token += sum(values.shape[0] * values.shape[1] for values in shard)
        (folder / f"{number}").write_bytes(part.dump("job"))
    (merged,) = merged_layers([folder / f"{number}" for number in range(n)], SHAPE)
    for name in (field.name for field in FIELDS):
        assert np.array_equal(merged[name], layer[f"L0.{name}"]), name


def test_states_whose_sums_are_too_large_together_are_refused(tmp_path: Path) -> None:
    large = shards(0, [1.4e9], 1)
    large[0][0] = np.full((1, 2, N_CELLS), 1.2e9, dtype=np.float32)  # 2.9e18 in squares, below 2^62 = 4.6e18
    large[0] = large[0][:1]
    for number in range(2):
        part = scan("compiled", SHAPE, large, number, number * 2)
        assert not isinstance(part, int)
        (tmp_path / str(number)).write_bytes(part.dump("job"))
    with pytest.raises(ffmem.ModelError, match=r"cell L0\.0 are too large to be summed: between 1\.2e\+09 and .*2\^62"):
        list(merged_layers([tmp_path / "0", tmp_path / "1"], SHAPE))


def test_a_state_that_is_beyond_the_limit_by_itself_is_never_added(tmp_path: Path) -> None:
    ours, theirs = np.zeros((2, 3), dtype=np.int64), np.zeros((2, 3), dtype=np.int64)
    ours[0, 1], theirs[0, 1] = 2**63 - 1, 2**63 - 1  # their sum is -2 as int64
    assert add_parts(ours, theirs) == 1
    ours[:], theirs[:] = 0, 0
    theirs[1, 2] = -(2**63)
    assert add_parts(ours, theirs) == 2


def test_there_is_room_up_to_the_limit() -> None:
    exact = ExactSum(4)
    exact.add(torch.tensor([2.0**61, -(2.0**61), 0.0, 5.0], dtype=torch.float64))
    more = torch.tensor([2.0**61, -(2.0**61), float("nan"), -float("inf")], dtype=torch.float64)
    assert no_room(exact.parts, more).all()
    assert not no_room(exact.parts, more.nan_to_num(0, 0, 0) * 0.99).any()


def test_more_than_two_billion_sentences_are_counted(tmp_path: Path) -> None:
    """The counts of a histogram are 32 bits on disk, and hold 2^32 - 1: adding as signed numbers loses nothing."""
    made = scan("compiled", SHAPE, shards(1, [1.0], 1))
    assert not isinstance(made, int)
    state = {name.removeprefix("L0."): np.array(array) for name, array in load_state(made.dump("job"))[1].items()}
    for number in range(2):
        state["histogram"] = np.full_like(state["histogram"], 2**31 - 3 - number)
        save_state(tmp_path / str(number), SHAPE, [state], "job", {number})
    (merged,) = merged_layers([tmp_path / "0", tmp_path / "1"], SHAPE, layer_arrays)
    assert (merged["histogram"] == 2**32 - 7).all()


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (
            6e8,
            r"cell L1\.5 are too large to be summed: in size they reach 6e\+08 at sentence \d+, position \d+",
        ),
        (3e38, r"coefficients of cell L1\.5 are too large to be summed: in size they reach 3e\+38"),
        (float("inf"), r"coefficient of cell L1\.5 is not a finite number at sentence \d+, position 0"),
        (float("nan"), r"coefficient of cell L1\.5 is not a finite number at sentence \d+, position 0"),
    ],
)
def test_a_build_says_which_cell(
    value: float,
    told: str,
    tiny_folder: Callable[[str], Path],
    corpus: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from ffmem.index import build

    def broken(*args: object, **kwargs: object) -> object:
        model = ffmem.load_model(*args, **kwargs)
        with torch.no_grad():
            model.key_bias(1)[5] = value
        return model

    monkeypatch.setattr(build, "load_model", broken)
    monkeypatch.setattr(build.Build, "_certify", lambda self, model, text, log: {"errors": {}})
    options = IndexOptions(top=3, holdout=0)
    with pytest.raises(ffmem.ModelError, match=told):
        ffmem.build_index(tiny_folder("gpt2"), corpus, tmp_path / "i", options=options, run=RunOptions(workers=0))
