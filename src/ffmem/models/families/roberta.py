"""RoBERTa: BERT's layers; positions are counted from the padding's id on; its head is no module of its own.

As with BERT, a trigger is a position in a sentence with its whole context, and values are projected "raw".
"""

from typing import Any

from torch import Tensor, nn

from ffmem.errors import InputError
from ffmem.models.base import AttentionLayout, Family, Layout, max_positions


def _head_transform(model: Any, state: Tensor) -> Tensor:
    hidden: Tensor = model.lm_head.layer_norm(nn.functional.gelu(model.lm_head.dense(state)))
    return hidden


def _max_length(config: Any) -> int:
    if config.pad_token_id is None:
        raise InputError(
            "the config of this RoBERTa has no pad_token_id, from which its positions are counted",
            "Expected the id of the token for padding",
            'Write it into its config.json: "pad_token_id": 1 in models of RoBERTa\'s own vocabulary',
        )
    return max_positions(config) - int(config.pad_token_id) - 1


def _layout(config: Any) -> Layout:
    headless = config.architectures == ["RobertaModel"]
    return Layout(
        backbone="" if headless else "roberta",
        layers="encoder.layer",
        key="intermediate.dense",
        value="output.dense",
        ff_norm="output.LayerNorm",
        attention=(
            AttentionLayout(
                module="attention.self",
                value="attention.self.value",
                output="attention.output.dense",
                after="attention.output.LayerNorm",
            ),
        ),
        placement="post",
        head_transform=None if headless else _head_transform,
    )


FAMILY = Family(
    name="roberta",
    architectures={"RobertaForMaskedLM": "AutoModelForMaskedLM", "RobertaModel": "AutoModel"},
    layout=_layout,
    activation="hidden_act",
    causal=False,
    # the first token stands at the padding's id plus one: of 514 positions 512 are for tokens
    max_length=_max_length,
)
