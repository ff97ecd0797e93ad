"""T5: encoder and decoder as two stacks; RMSNorm, no biases; ReLU cells (1.0) or gated ones (1.1, Flan).

The encoder sees a whole sentence; the decoder reads the same sentence after its start token, with the encoder's states
beside it. Neither sees a prefix alone, so a trigger is a position in a sentence. States of the encoder never reach the
vocabulary: its values are projected with the embedding ("raw"), which is a diagnostic.
"""

from typing import Any

from ffmem.models.base import AttentionLayout, Family, Layout


def _attention(part: str, name: str) -> AttentionLayout:
    path = f"{part}.{name}"
    return AttentionLayout(
        module=path, value=f"{path}.v", output=f"{path}.o", norm=f"{part}.layer_norm", cross=name == "EncDecAttention"
    )


def _stack(config: Any, name: str) -> Layout:
    part = "layer.2" if name == "dec" else "layer.1"
    attention = [_attention("layer.0", "SelfAttention")]
    if name == "dec":
        attention.append(_attention("layer.1", "EncDecAttention"))
    gated = config.is_gated_act
    return Layout(
        backbone="decoder" if name == "dec" else "encoder",
        layers="block",
        key="" if gated else f"{part}.DenseReluDense.wi",
        gate_key=f"{part}.DenseReluDense.wi_0" if gated else "",
        up_key=f"{part}.DenseReluDense.wi_1" if gated else "",
        value=f"{part}.DenseReluDense.wo",
        ff_norm=f"{part}.layer_norm",
        attention=tuple(attention),
        final_norm="final_layer_norm",
        norm="rmsnorm",
        stack=name,
        output_scale=config.d_model**-0.5 if config.scale_decoder_outputs else 1.0,
    )


FAMILY = Family(
    name="t5",
    architectures={"T5ForConditionalGeneration": "AutoModelForSeq2SeqLM"},
    layout=lambda config: (_stack(config, "enc"), _stack(config, "dec")),
    activation="dense_act_fn",
    causal=False,
    max_length=lambda config: None,
)
