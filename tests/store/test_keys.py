"""A trigger as one integer, held to exact arithmetic; the forms of torch and of the compiled loops to the same."""

import struct

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ffmem.index.state import kernel, topk
from ffmem.store.keys import EMPTY, NO_TOKEN, pack, unpack

TRIGGERS = st.lists(
    st.tuples(st.floats(2.0**-149, 2.0**127, width=32), st.integers(0, NO_TOKEN - 1)), min_size=1, max_size=20
)


def by_hand(coefficient: float, token: int) -> int:
    """With Python's own integers."""
    return int.from_bytes(struct.pack("<f", coefficient), "little") * 2**32 + (2**32 - 1 - token)


@given(TRIGGERS)
def test_keys_are_what_they_say_and_order_like_triggers(triggers: list[tuple[float, int]]) -> None:
    coefficients = np.array([one[0] for one in triggers], dtype=np.float32)
    tokens = np.array([one[1] for one in triggers], dtype=np.int64)
    keys = pack(coefficients, tokens)
    assert keys.dtype == np.int64 and keys.tolist() == [by_hand(*one) for one in triggers]
    assert (keys > EMPTY).all()
    ordered = sorted(set(triggers), key=lambda one: (-one[0], one[1]))
    assert sorted(set(keys.tolist()), reverse=True) == [by_hand(*one) for one in ordered]
    back, again = unpack(keys)
    assert (back == coefficients).all() and (again == tokens).all() and again.dtype == np.uint32
    as_tensors = topk.pack(torch.from_numpy(coefficients), torch.from_numpy(tokens))
    assert as_tensors.dtype == torch.int64 and as_tensors.tolist() == keys.tolist()
    assert [one.tolist() for one in topk.unpack(as_tensors)] == [coefficients.tolist(), tokens.tolist()]


def test_an_empty_slot_is_no_token_and_no_coefficient() -> None:
    assert pack(np.zeros(2, np.float32), np.array([NO_TOKEN, 3])).tolist()[0] == EMPTY
    coefficients, tokens = unpack(np.array([EMPTY]))
    assert coefficients.tolist() == [0.0] and tokens.tolist() == [NO_TOKEN]


def test_the_compiled_loop_writes_the_same_keys() -> None:
    rng = np.random.default_rng(0)
    values = np.abs(rng.standard_normal(200)).astype(np.float32) + np.float32(1e-20)
    tokens = np.concatenate([[0, NO_TOKEN - 1, 2**31], rng.integers(0, NO_TOKEN, 197)])
    heaps, least = np.zeros((200, 1), np.int64), np.ones(200, np.int32)
    positions = np.arange(200, dtype=np.int32)
    kernel._compete(heaps, least, values.view(np.int32), np.int32(0), positions, tokens)
    assert heaps[:, 0].tolist() == [by_hand(v, t) for v, t in zip(values.tolist(), tokens.tolist(), strict=True)]
    assert (least == values.view(np.int32)).all()


def test_the_kernel_of_a_gpu_has_the_same_constants() -> None:
    gpu_kernel = pytest.importorskip("ffmem.index.state.gpu_kernel", reason="triton is not here", exc_type=ImportError)
    assert (gpu_kernel._NO_TOKEN.value, 2**gpu_kernel._SHIFT.value) == (2**32 - 1, 2**32)
