"""Patches of attention as text."""

from types import SimpleNamespace
from typing import Any

import pytest

from ffmem.analyses.attention.patches import PatchEffect
from ffmem.errors import InputError
from ffmem.render.attention import attention, patch_effect


def test_the_effect_of_a_patch() -> None:
    first, second = patch_effect(PatchEffect("L0.H1", 0.5, 0.25, 0.125, "x\n", 0.75, 0.0625)).split("\n")
    assert first == (
        "L0.H1: the distribution moves by 0.5 nats (KL from the model's own), "
        "total variation 0.2500, Jensen-Shannon 0.1250 nats"
    )
    assert second.endswith("has 0.0625 now; most probable is ⟨x ⟩ 0.7500")


@pytest.mark.parametrize(
    ("at", "head", "message"), [(5, None, "--at is 5, .* Expected -2 to 1"), (0, 4, "--head is 4")]
)
def test_positions_and_heads_that_do_not_exist(at: int, head: int | None, message: str) -> None:
    layer = SimpleNamespace(layer="L0", queries=(None, None), n_heads=4)
    found: Any = SimpleNamespace(model="m", bias="inside", layer=lambda _: layer)
    with pytest.raises(InputError, match=message):
        attention(found, at, "L0", head, None)
