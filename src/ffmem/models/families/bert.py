"""BERT: bidirectional, post-LN; with its masked-language-model head, or without any (sentence encoders).

A trigger is a position in a sentence with its whole context, not a prefix. The head is not linear, so values are
projected with the embedding alone ("raw").
"""

from typing import Any

from ffmem.models.base import AttentionLayout, Family, Layout


def _layout(config: Any) -> Layout:
    headless = config.architectures == ["BertModel"]
    return Layout(
        backbone="" if headless else "bert",
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
        head_transform=None if headless else lambda model, state: model.cls.predictions.transform(state),
    )


FAMILY = Family(
    name="bert",
    architectures={
        "BertForMaskedLM": "AutoModelForMaskedLM",
        "BertForPreTraining": "AutoModelForMaskedLM",
        "BertModel": "AutoModel",
    },
    layout=_layout,
    activation="hidden_act",
    causal=False,
)
