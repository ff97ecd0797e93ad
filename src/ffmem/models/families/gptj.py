"""GPT-J: attention and feed-forward layer in parallel, behind one norm; the unembedding has a bias."""

from ffmem.models.base import AttentionLayout, Family, Layout

_LAYOUT = Layout(
    backbone="transformer",
    layers="h",
    key="mlp.fc_in",
    value="mlp.fc_out",
    ff_norm="ln_1",
    attention=(AttentionLayout(module="attn", value="attn.v_proj", output="attn.out_proj", norm="ln_1"),),
    final_norm="ln_f",
    parallel=True,
)

FAMILY = Family(
    name="gptj",
    architectures={"GPTJForCausalLM": "AutoModelForCausalLM"},
    layout=lambda config: _LAYOUT,
    activation="activation_function",
)
