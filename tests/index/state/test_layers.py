"""The compiled loops and the tensor form keep the same; both against the definition."""

import numpy as np
import pytest
import torch

from ffmem.ids import LayerCells
from ffmem.index.state.layers import CpuLayer, Shape, TorchLayer, make_layer
from ffmem.index.state.places import Places
from ffmem.store.arrays import total_of
from ffmem.store.fields import FIELDS


def batches(seed: int, n_cells: int, coarse: bool) -> list[tuple[torch.Tensor, Places]]:
    """Padded batches, longest sentences first; padding holds numbers that would win everything."""
    rng = np.random.default_rng(seed)
    made, token = [], 0
    for _ in range(6):
        lengths = np.sort(rng.integers(0, 12, size=rng.integers(1, 9)))[::-1].astype(np.int64)
        values = rng.normal(size=(len(lengths), 15, n_cells))
        values = np.round(values * 2) / 2 if coarse else values  # coarse: the same maximum at several positions
        for row, length in enumerate(lengths):
            values[row, :2] = values[row, 2 + length :] = 99
        starts = token + np.concatenate(([0], lengths.cumsum()[:-1]))
        tokens = starts[:, None] + np.arange(lengths.max())
        token += int(lengths.sum())
        made.append((torch.from_numpy(values.astype(np.float32)), Places(2, lengths, tokens)))
    return made


@pytest.mark.parametrize("per_sentence", ["1", "all"])
@pytest.mark.parametrize("n_signs", [1, 2])
@pytest.mark.parametrize("coarse", [False, True])
def test_both_forms_agree_with_the_definition(per_sentence: str, n_signs: int, coarse: bool) -> None:
    shape = Shape((LayerCells(0, 40),), n_signs, 6, per_sentence)  # type: ignore[arg-type]
    layers = CpuLayer(40, shape), TorchLayer(40, shape, "cpu")
    made = batches(3, 40, coarse)
    triggers: dict[tuple[int, int], list[tuple[float, int]]] = {}
    for number, (values, places) in enumerate(made):
        for layer in layers:
            layer.observe(values, places)
            if number % 2:
                layer.close_shard()
        for row, (length, first) in enumerate(zip(places.lengths, places.tokens[:, 0], strict=True)):
            own = values[row, 2 : 2 + length].numpy()
            for cell in range(40):
                for sign in range(n_signs):
                    signed = [(float(c) * (-1) ** sign, int(first) + p) for p, c in enumerate(own[:, cell])]
                    best = sorted(signed, key=lambda t: (-t[0], t[1]))
                    triggers.setdefault((sign, cell), []).extend(best if per_sentence == "all" else best[:1])
    compiled, tensors = (layer.state() for layer in layers)
    for name in (field.name for field in FIELDS):
        assert compiled[name].dtype == tensors[name].dtype and compiled[name].shape == tensors[name].shape
        if name not in ("sum", "square_sum"):
            assert np.array_equal(compiled[name], tensors[name]), name
        else:
            np.testing.assert_allclose(total_of(compiled[name]), total_of(tensors[name]), atol=1e-3)
    for (sign, cell), found in triggers.items():
        expected = sorted((t for t in found if t[0] > 0), key=lambda t: (-t[0], t[1]))[:6]
        keys = [key for key in compiled["keys"][sign, cell].tolist() if key]
        coefficients = np.array(keys, dtype=np.int64) >> 32
        assert coefficients.astype(np.int32).view(np.float32).tolist() == [t[0] for t in expected]
        assert [2**32 - 1 - (key & (2**32 - 1)) for key in keys] == [t[1] for t in expected]


def test_a_loaded_state_goes_on_as_if_nothing_had_happened() -> None:
    shape = Shape((LayerCells(0, 30),), 2, 5, "1")
    made = batches(4, 30, coarse=False)
    for kind in (CpuLayer, lambda n, s: TorchLayer(n, s, "cpu")):
        whole, first, second = kind(30, shape), kind(30, shape), kind(30, shape)
        for number, (values, places) in enumerate(made):
            whole.observe(values, places)
            whole.close_shard()
            if number == 3:
                second.load(first.state())
            part = first if number < 3 else second
            part.observe(values, places)
            part.close_shard()
        for name in (field.name for field in FIELDS):
            assert np.array_equal(whole.state()[name], second.state()[name]), name


def test_the_device_decides_the_form() -> None:
    assert isinstance(make_layer(4, Shape((), 1, 2, "1"), "cpu"), CpuLayer)
    assert isinstance(make_layer(4, Shape((), 1, 2, "1"), "meta"), TorchLayer)
