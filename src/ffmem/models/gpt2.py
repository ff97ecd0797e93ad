"""GPT-2: Conv1D weights, stored transposed; GELU; learned positions; tied unembedding."""

from ffmem.models.base import Family, Layout

_LAYOUT = Layout(
    backbone="transformer",
    layers="h",
    key="mlp.c_fc",
    value="mlp.c_proj",
    ff_norm="ln_2",
    attention="attn",
    final_norm="ln_f",
)

FAMILY = Family(
    name="gpt2",
    architectures={"GPT2LMHeadModel": "AutoModelForCausalLM"},
    layout=lambda config: _LAYOUT,
    activation="activation_function",
)
