"""Sukhbaatar et al. (2019): memories in the softmax of attention. `models/all_attention.py` is it; transformers has none."""

from dataclasses import replace
from typing import Any

import ffmem.models.all_attention  # noqa: F401 (registers its classes with transformers)
from ffmem.models.base import Family, Layout
from ffmem.models.families.wikilm import FAMILY as WIKILM


def _layout(config: Any) -> Layout:
    plain = WIKILM.layout(config)
    assert isinstance(plain, Layout)
    return replace(
        plain,
        key="attention.query",
        value="attention.memories",
        in_attention="attention.memory_sum",
        ff_norm="attention_norm",
        parallel=True,
        attention=(replace(plain.attention[0], sink=True),),
    )


FAMILY = Family(
    name="all_attention",
    architectures={"AllAttentionForCausalLM": "AutoModelForCausalLM"},
    layout=_layout,
    activation="activation_function",
)
