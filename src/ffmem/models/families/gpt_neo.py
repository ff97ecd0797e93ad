"""GPT-Neo: GELU; learned positions; tied unembedding; every other layer attends to a window only."""

from ffmem.models.base import AttentionLayout, Family, Layout

_LAYOUT = Layout(
    backbone="transformer",
    layers="h",
    key="mlp.c_fc",  # a Linear here, where GPT-2 has a Conv1D under the same name
    value="mlp.c_proj",
    ff_norm="ln_2",
    attention=(
        AttentionLayout(
            module="attn.attention", value="attn.attention.v_proj", output="attn.attention.out_proj", norm="ln_1"
        ),
    ),
    final_norm="ln_f",
)

FAMILY = Family(
    name="gpt_neo",
    architectures={"GPTNeoForCausalLM": "AutoModelForCausalLM"},
    layout=lambda config: _LAYOUT,
    activation="activation_function",
)
