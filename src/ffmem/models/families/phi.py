"""Phi (1, 1.5, 2): attention and feed-forward layer in parallel, behind one norm; the unembedding has a bias."""

from ffmem.models.base import AttentionLayout, Family, Layout

_LAYOUT = Layout(
    backbone="model",
    layers="layers",
    key="mlp.fc1",
    value="mlp.fc2",
    ff_norm="input_layernorm",
    attention=(
        AttentionLayout(module="self_attn", value="self_attn.v_proj", output="self_attn.dense", norm="input_layernorm"),
    ),
    final_norm="final_layernorm",
    parallel=True,
)

FAMILY = Family(
    name="phi",
    architectures={"PhiForCausalLM": "AutoModelForCausalLM"},
    layout=lambda config: _LAYOUT,
    activation="hidden_act",
)
