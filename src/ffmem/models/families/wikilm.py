"""Baevski & Auli (2019), as Geva et al. (2021) read its memories. transformers has no such model: `models/wikilm.py` is it."""

from typing import Any

import ffmem.models.wikilm  # noqa: F401 (registers its classes with transformers)
from ffmem.models.base import AttentionLayout, Family, Layout


def _layout(config: Any) -> Layout:
    return Layout(
        backbone="model",
        layers="layers",
        key="fc1",
        value="fc2",
        ff_norm="ff_norm",
        attention=(
            AttentionLayout(
                module="attention", value="attention.value", output="attention.output", norm="attention_norm"
            ),
        ),
        final_norm="final_norm" if config.final_norm else "",
        log_probabilities=lambda module, states: module.log_probabilities(states),
        direction=lambda module, word_id: module.direction(word_id),
        slopes=lambda module: module.slopes(),
        normalisers=lambda module, state, word_id: module.normalisers(state, word_id),
    )


FAMILY = Family(
    name="wikilm",
    architectures={"WikiLMForCausalLM": "AutoModelForCausalLM"},
    layout=_layout,
    activation="activation_function",
)
