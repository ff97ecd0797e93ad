"""The form that a GPU keeps against the compiled one: by Triton's interpreter where there is no GPU, else on the GPU."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from ffmem.ids import LayerCells
from ffmem.index.state.accumulator import LayerAccumulator
from ffmem.index.state.layers import Shape
from ffmem.index.state.places import Places
from ffmem.index.state.states import load_state
from ffmem.store.arrays import total_of
from ffmem.store.fields import FIELDS

triton = pytest.importorskip("triton", reason="triton, which compiles the loops for a GPU, is not installed")

from ffmem.index.state.gpu_accumulator import GpuAccumulator  # noqa: E402 (it needs triton)

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"

Batch = tuple[int, int, torch.Tensor, Places]


def batches(shape: Shape, seed: int, coarse: bool, n: int = 2, dtype: torch.dtype = torch.float32) -> Iterator[Batch]:
    """(layer, group, coefficients, places) of padded batches; padding holds numbers that would win everything."""
    rng = np.random.default_rng(seed)
    token = 0
    for number in range(n):
        n_sentences, longest = (40, 8) if number == 0 else (rng.integers(1, 9), 25)  # more than a tile; a loop unrolled
        lengths = np.sort(rng.integers(-1, longest, size=n_sentences))[::-1].astype(np.int64)
        longest = max(int(lengths.max()), 0)
        starts = token + np.concatenate(([0], np.maximum(lengths, 0).cumsum()[:-1]))
        tokens = starts[:, None] + np.arange(longest)
        keys = (rng.integers(0, 2**31, tokens.shape) << 32) | (2**32 - 1 - tokens)
        places = Places(2, lengths, tokens, keys if shape.sample else None)
        token += int(np.maximum(lengths, 0).sum())
        for layer, cells in enumerate(shape.layers):
            for group in range(cells.n_groups):
                values = rng.normal(size=(len(lengths), longest + 3, cells.d_ff))
                values = np.round(values * 2) / 2 if coarse else values  # the same maximum at several positions
                for row, length in enumerate(lengths):
                    values[row, :2] = values[row, 2 + max(length, 0) :] = 99
                yield layer, group, torch.from_numpy(values.astype(np.float32)).to(dtype), places


def same(ours: bytes, theirs: bytes, n_layers: int) -> None:
    """The same lists and counts; sums to rounding."""
    (account, left), (other, right) = load_state(ours), load_state(theirs)
    assert account == other
    for layer in range(n_layers):
        for name in {*(field.name for field in FIELDS), *(name[3:] for name in left if name.startswith("L0.sample"))}:
            a, b = left[f"L{layer}.{name}"], right[f"L{layer}.{name}"]
            assert a.dtype == b.dtype and a.shape == b.shape, name
            if name in ("sum", "square_sum"):
                np.testing.assert_allclose(total_of(a), total_of(b), rtol=1e-5, atol=1e-3)
            else:
                assert np.array_equal(a, b), name


SHAPES = [
    (1, 6, "1", (LayerCells(0, 40), LayerCells(1, 200))),
    (2, 6, "1", (LayerCells(0, 40), LayerCells(1, 7, 3))),
    (1, 5, "all", (LayerCells(0, 33),)),
    (2, 70, "all", (LayerCells(0, 33), LayerCells(1, 5, 2))),
    (2, 1, "1", (LayerCells(0, 129),)),
]


@pytest.mark.parametrize("coarse", [False, True])
@pytest.mark.parametrize(("n_signs", "top", "per_sentence", "layers"), SHAPES)
def test_it_keeps_what_the_compiled_form_keeps(
    n_signs: int, top: int, per_sentence: str, layers: tuple[LayerCells, ...], coarse: bool
) -> None:
    shape = Shape(layers, n_signs, top, per_sentence, sample=3 if coarse else 0)  # type: ignore[arg-type]
    gpu, cpu = GpuAccumulator(shape, DEVICE), LayerAccumulator(shape)
    for number, (layer, group, values, places) in enumerate(batches(shape, 3, coarse)):
        gpu.observe(layer, values.to(DEVICE), places, group)
        cpu.observe(layer, values, places, group)
        if number == 0:
            assert gpu.first_not_finite() is None
            gpu.close_shard(number, "m")
            cpu.close_shard(number, "m")
    gpu.close_shard(99, "m")
    cpu.close_shard(99, "m")
    same(gpu.dump("job"), cpu.dump("job"), len(layers))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_widened_before_anything_is_added(dtype: torch.dtype) -> None:
    shape = Shape((LayerCells(0, 40),), 1, 6, "1")
    gpu, cpu = GpuAccumulator(shape, DEVICE), LayerAccumulator(shape)
    for layer, group, values, places in batches(shape, 5, coarse=False, dtype=dtype):
        gpu.observe(layer, values.to(DEVICE), places, group)
        cpu.observe(layer, values, places, group)
    gpu.close_shard(0, "m")
    cpu.close_shard(0, "m")
    same(gpu.dump("job"), cpu.dump("job"), 1)


def test_a_part_of_a_wider_tensor_is_read_where_it_lies() -> None:
    shape = Shape((LayerCells(0, 40),), 1, 6, "1")
    gpu, cpu = GpuAccumulator(shape, DEVICE), LayerAccumulator(shape)
    for layer, group, values, places in batches(shape, 6, coarse=False):
        wide = torch.cat((torch.full_like(values[:, :1], 50), values), dim=1).to(DEVICE)
        gpu.observe(layer, wide[:, 1:], places, group)
        cpu.observe(layer, values, places, group)
    gpu.close_shard(0, "m")
    cpu.close_shard(0, "m")
    same(gpu.dump("job"), cpu.dump("job"), 1)


def test_a_loaded_state_goes_on_and_a_shard_that_is_rolled_back_leaves_nothing() -> None:
    shape = Shape((LayerCells(0, 40), LayerCells(1, 7, 3)), 2, 6, "1", sample=4)
    made = list(batches(shape, 4, coarse=False, n=4))
    half = len(made) // 2
    whole, first, second = (GpuAccumulator(shape, DEVICE) for _ in range(3))
    for layer, group, values, places in made:
        whole.observe(layer, values.to(DEVICE), places, group)
    whole.close_shard(0, "m")
    for layer, group, values, places in made[:half]:
        first.observe(layer, values.to(DEVICE), places, group)
    first.close_shard(0, "m")
    second.load(first.dump("job"))
    before = second.dump("job")
    second.begin_shard()
    for layer, group, values, places in made[half:]:
        second.observe(layer, values.to(DEVICE) * 7, places, group)
    second.roll_back()
    same(second.dump("job"), before, 2)
    for layer, group, values, places in made[half:]:
        second.observe(layer, values.to(DEVICE), places, group)
    second.close_shard(0, "m")
    same(second.dump("job"), whole.dump("job"), 2)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_a_number_that_is_not_finite_is_noticed(bad: float) -> None:
    shape = Shape((LayerCells(0, 4), LayerCells(1, 3, 2)), 1, 2, "1")
    gpu = GpuAccumulator(shape, DEVICE)
    places = Places(0, np.array([3, 3]), np.arange(6).reshape(2, 3))
    gpu.observe(0, torch.ones(2, 3, 4, device=DEVICE), places)
    assert gpu.first_not_finite() is None
    values = torch.ones(2, 3, 3, device=DEVICE)
    values[1, 2, 2] = bad
    gpu.observe(1, values, places, 1)
    assert gpu.first_not_finite() == (1, 5)
