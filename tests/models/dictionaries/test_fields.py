"""The fields of cfg.json: those of SAELens before and since version 6, and those that are refused."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffmem import InputError
from ffmem.dictionaries import Attachment
from ffmem.models.dictionaries.fields import Fields, normalized_of, read_fields

ASKED = Attachment.parse("L8=sae:somewhere")
NEW = {
    "architecture": "topk", "k": 32, "rescale_acts_by_decoder_norm": True, "apply_b_dec_to_input": False,
    "normalize_activations": "none", "reshape_activations": "none",
    "metadata": {"hook_name": "blocks.8.hook_mlp_out", "hook_head_index": None, "sae_lens_version": "6.21.0"},
}  # fmt: skip
OLD = {
    "architecture": "standard", "hook_name": "blocks.8.hook_resid_pre", "hook_layer": 8, "hook_head_index": None,
    "activation_fn_str": "relu", "activation_fn_kwargs": {}, "apply_b_dec_to_input": True,
    "finetuning_scaling_factor": False, "normalize_activations": "none", "sae_lens_training_version": "3.20.3",
}  # fmt: skip
TRANSCODER = {
    "architecture": "transcoder", "apply_b_dec_to_input": False, "normalize_activations": "none",
    "metadata": {"hook_name": "blocks.8.mlp.hook_in", "hook_name_out": "blocks.8.mlp.hook_out"},
}  # fmt: skip


def test_layouts_since_and_before_version_6() -> None:
    assert read_fields(ASKED, NEW) == Fields("topk", "topk", 32, True, False, "update", "update")
    assert read_fields(ASKED, OLD) == Fields("standard", "relu", None, False, True, "resid-pre", "resid-pre")
    assert read_fields(ASKED, TRANSCODER) == Fields("transcoder", "relu", None, False, False, "mlp-input", "mlp-output")
    topk = OLD | {"activation_fn_str": "topk", "activation_fn_kwargs": {"k": 7}}
    assert (read_fields(ASKED, topk).activation, read_fields(ASKED, topk).k) == ("topk", 7)
    oldest = {"hook_point": "blocks.8.hook_mlp_out", "d_in": 4, "l1_coefficient": 8e-5, "use_ghost_grads": True}
    expected = Fields("standard", "relu", None, False, True, "update", "update", sizes={"d_in": 4})
    assert read_fields(ASKED, oldest) == expected


@pytest.mark.parametrize(
    ("cfg", "change", "match"),
    [
        (OLD, {"architecture": "gated"}, "architecture 'gated'. Expected one of standard, topk"),
        (OLD, {"activation_fn_str": "tanh-relu"}, "activation_fn 'tanh-relu'"),
        (OLD, {"normalize_activations": "expected_average_only_in"}, "fold the factor into the weights with SAELens"),
        (OLD, {"normalize_activations": "layer_norm"}, "normalize_activations 'layer_norm'"),
        (OLD, {"finetuning_scaling_factor": True}, "finetuning_scaling_factor True"),
        (OLD, {"hook_head_index": 3}, "hook_head_index 3"),
        (OLD, {"hook_name": "blocks.8.attn.hook_z"}, "hook_name 'blocks.8.attn.hook_z'. Expected blocks.N. and one of"),
        (OLD, {"hook_name": "blocks.7.hook_resid_pre"}, "and --dictionary gives it to L8.*Write --dictionary L7=sae"),
        (OLD, {"hook_name": "blocks.8.hook_mlp_in"}, "two places. Expected to be told which: resid-mid or mlp-input"),
        (OLD, {"hook_point_head_index": 0}, "hook_point_head_index 0"),
        (OLD, {"rescale_acts_by_decoder_norm": True}, "rescale_acts_by_decoder_norm True. Expected false for standard"),
        (OLD, {"gate_temperature": 2}, "'gate_temperature' in its cfg.json, which is not known"),
        (NEW, {"metadata": {"hf_hook_name": "model.layers.7.output"}}, "Write --dictionary L7=sae"),
        (NEW, {"k": None}, "k None. Expected how many cells"),
        (TRANSCODER, {"apply_b_dec_to_input": True}, "false for a transcoder"),
    ],
)
def test_what_cannot_be_computed_exactly_is_refused(cfg: dict[str, Any], change: dict[str, Any], match: str) -> None:
    with pytest.raises(InputError, match=match):
        read_fields(ASKED, cfg | change)


def test_modules_of_transformers_say_which_of_two_places_a_hook_is() -> None:
    metadata = {
        "hook_name": "blocks.8.hook_mlp_in", "hook_name_out": "blocks.8.hook_mlp_out",
        "hf_hook_name": "model.layers.8.pre_feedforward_layernorm.output", "hf_hook_name_out": "transformer.h.8.mlp.output",
    }  # fmt: skip
    found = read_fields(ASKED, TRANSCODER | {"metadata": metadata})
    assert (found.reads, found.writes) == ("mlp-input", "mlp-output")


_ODD = st.one_of(
    st.none(), st.booleans(), st.integers(-2, 10**400), st.floats(), st.text(max_size=3), st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=2), st.integers(), max_size=2),
    st.sampled_from(["topk", "blocks.8.", "model.layers.8.output"]),
)  # fmt: skip


@given(
    st.sampled_from([OLD, NEW, TRANSCODER]),
    st.dictionaries(
        st.sampled_from(sorted({*NEW, *OLD, *NEW["metadata"], "d_in", "meta", "hook_point"})), _ODD, max_size=3
    ),
)
def test_fields_of_any_type_are_understood_or_refused(cfg: dict[str, Any], change: dict[str, Any]) -> None:
    try:
        found = read_fields(ASKED, cfg | change)
    except InputError:
        return
    assert found.k is None or type(found.k) is int
    assert all(type(size) is int for size in found.sizes.values()) and (found.k is None) == (found.activation != "topk")


def test_the_normed_stream_is_told_or_asked_by_the_models_norm() -> None:
    found = read_fields(ASKED, OLD | {"hook_name": "blocks.8.ln2.hook_normalized"})
    assert found.reads is None and normalized_of(ASKED, "rmsnorm") == "normalized"
    with pytest.raises(InputError, match="mlp-input or normalized"):
        normalized_of(ASKED, "layernorm")
    said = Attachment.parse("L8=sae@mlp-input:somewhere")
    assert read_fields(said, OLD | {"hook_name": "blocks.8.ln2.hook_normalized"}).reads == "mlp-input"
