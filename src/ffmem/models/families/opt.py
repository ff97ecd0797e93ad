"""OPT: ReLU cells, the closest on Hugging Face to the model of Geva et al. 2021; pre-LN, but post-LN at 350m."""

from typing import Any

from ffmem.models.base import AttentionLayout, Family, Layout


def _layout(config: Any) -> Layout:
    before = config.do_layer_norm_before
    has_final_norm = before and not config._remove_final_layer_norm
    return Layout(
        backbone="model.decoder",
        layers="layers",
        key="fc1",
        value="fc2",
        ff_norm="final_layer_norm",  # the layer's own, whichever side of the feed-forward layer it stands on
        attention=(
            AttentionLayout(
                module="self_attn",
                value="self_attn.v_proj",
                output="self_attn.out_proj",
                norm="self_attn_layer_norm" if before else "",
                after="" if before else "self_attn_layer_norm",
            ),
        ),
        final_norm="final_layer_norm" if has_final_norm else "",
        project_out="project_out" if config.word_embed_proj_dim != config.hidden_size else "",
        placement="pre" if before else "post",
    )


FAMILY = Family(
    name="opt",
    architectures={"OPTForCausalLM": "AutoModelForCausalLM"},
    layout=_layout,
    activation="activation_function",
)
