"""What lies in the files of a dictionary: read as it was written, or refused with the reason."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from ffmem import InputError
from ffmem.dictionaries import Attachment
from ffmem.models.dictionaries.files import read_files
from tests.models.dictionaries.making import gemma_scope, mirror, saelens

HOOK = {"architecture": "standard", "hook_name": "blocks.3.hook_resid_post"}


def told(path: Path, layer: str = "L3", place: str = "") -> Attachment:
    return Attachment.parse(f"{layer}=tc{place}:{path}")


def test_gemma_scope_is_read_by_its_folders_names(tmp_path: Path) -> None:
    arrays = mirror(4) | {"threshold": torch.full((8,), 0.5)}
    for repository, reads, writes in (
        ("models--google--gemma-scope-2b-pt-res", "resid-post", "resid-post"),
        ("models--google--gemma-scope-2b-pt-mlp", "update", "update"),
        ("models--google--gemma-scope-2b-pt-transcoders", "normalized", "update"),
    ):
        folder = gemma_scope(tmp_path / repository / "layer_3/width_16k/average_l0_76", **arrays)
        found = read_files(told(folder))
        assert (found.layout, found.fields.reads, found.fields.writes) == ("gemma-scope", reads, writes)
        assert found.fields.activation == "jumprelu" and not found.fields.centred
        torch.testing.assert_close(found.arrays["W_enc"], arrays["W_enc"])
        with pytest.raises(InputError, match="is by its name a dictionary of layer 3, and --dictionary gives it to L2"):
            read_files(told(folder, "L2"))


def test_gemma_scope_2_has_small_letters_and_a_skip_matrix(tmp_path: Path) -> None:
    folder = tmp_path / "transcoder_all/layer_3_width_16k_l0_small_affine"
    folder.mkdir(parents=True)
    both, skip = torch.cat([torch.eye(4), -torch.eye(4)]), torch.arange(16.0).reshape(4, 4)
    save_file(
        {"w_enc": both.T.contiguous(), "b_enc": torch.zeros(8), "w_dec": both, "b_dec": torch.zeros(4),
         "threshold": torch.zeros(8), "affine_skip_connection": skip},
        folder / "params.safetensors",
    )  # fmt: skip
    found = read_files(told(folder))
    assert (found.fields.reads, found.fields.writes) == ("mlp-input", "update")
    x = torch.tensor([1.0, 10.0, 100.0, 1000.0])  # Google's own code is x @ affine_skip_connection
    torch.testing.assert_close(x @ found.arrays["W_skip"].T, torch.tensor([12840.0, 13951.0, 15062.0, 16173.0]))
    config = {
        "architecture": "jump_relu", "type": "transcoder", "width": 8, "affine_connection": True, "l0": 7,
        "model_name": "google/gemma-3-4b-it", "hf_hook_point_in": "model.layers.3.pre_feedforward_layernorm.output",
        "hf_hook_point_out": "model.layers.3.post_feedforward_layernorm.output",
    }  # fmt: skip
    for change, expected in (
        ({}, ("mlp-input", "update")),
        ({"hf_hook_point_out": "model.layers.3.mlp.output"}, ("mlp-input", "mlp-output")),
        ({"hf_hook_point_in": "model.layers.3.output", "hf_hook_point_out": None}, ("resid-post", "resid-post")),
    ):
        (folder / "config.json").write_text(json.dumps(config | change))
        fields = read_files(told(folder)).fields
        assert (fields.reads, fields.writes) == expected
    for wrong, match in (
        ({"hf_hook_point_in": "model.layers.4.output"}, "and --dictionary gives it to L3. .*Write --dictionary L4=tc"),
        ({"hf_hook_point_in": "model.layers.3.self_attn.o_proj.input"}, "self_attn.o_proj.input'. Expected blocks"),
        ({"type": "crosscoder"}, "of the kind 'jump_relu', 'crosscoder'"),
        ({"architecture": ["jump_relu"]}, "of the kind"),
        ({"width": 9}, "has arrays with d_sae 8, and says 9"),
        ({"affine_connection": False}, "has an array W_skip, which its kind does not have"),
        ({"normalise": 1}, "has 'normalise' in its config.json, which is not known"),
    ):
        (folder / "config.json").write_text(json.dumps(config | wrong))
        with pytest.raises(InputError, match=match):
            read_files(told(folder))


def test_damaged_or_unfitting_arrays_are_refused(tmp_path: Path) -> None:
    good = mirror(4)
    for change, match in (
        ({"b_enc": torch.full((8,), float("nan"))}, "has NaN or infinity in b_enc"),
        ({"b_dec": torch.zeros(5)}, r"has b_dec of the shape \(5,\), not \(4,\)"),
        ({"scaling_factor": torch.full((8,), 2.0)}, "has a scaling_factor"),
        ({"W_gate": torch.zeros(8)}, "has an array W_gate, which its kind does not have"),
        ({"threshold": torch.zeros(8)}, "has an array threshold, which its kind does not have"),
        ({"W_skip": torch.zeros(4, 4)}, "has an array W_skip, which its kind does not have"),
        ({"W_enc": torch.zeros(32)}, "has no matrices W_enc and W_dec"),
        ({"b_enc": torch.tensor(0.0)}, r"has b_enc of the shape \(\), not \(8,\)"),
        ({"W_dec": torch.ones(8, 4, dtype=torch.int8)}, r"has W_dec in int8. Expected floating-point numbers"),
    ):
        with pytest.raises(InputError, match=match):
            read_files(told(saelens(tmp_path / "bad", HOOK, **good | change)))
    assert (
        "scaling_factor"
        not in read_files(told(saelens(tmp_path / "ones", HOOK, **good, scaling_factor=torch.ones(8)))).arrays
    )
    for cfg, match in (
        ({"d_in": 5}, "has arrays with d_in 4, and says 5"),
        ({"d_sae": 9}, "has arrays with d_sae 8, and says 9"),
        ({"architecture": "skip_transcoder"}, "has no array W_skip"),
    ):
        with pytest.raises(InputError, match=match):
            read_files(told(saelens(tmp_path / "other", HOOK | cfg, **good)))
    with pytest.raises(InputError, match="has no array threshold"):
        read_files(told(saelens(tmp_path / "jump", HOOK | {"architecture": "jumprelu"}, **good)))
    folder = saelens(tmp_path / "cut", HOOK, **good)
    (folder / "sae_weights.safetensors").write_bytes((folder / "sae_weights.safetensors").read_bytes()[:50])
    with pytest.raises(InputError, match=r"sae_weights\.safetensors cannot be read"):
        read_files(told(folder))
    (folder / "cfg.json").write_text("{")
    with pytest.raises(InputError, match=r"cfg\.json cannot be read"):
        read_files(told(folder))
    with pytest.raises(InputError, match="there is no dictionary at"):
        read_files(told(tmp_path / "nowhere"))


def test_no_array_of_objects_is_ever_unpickled(tmp_path: Path) -> None:
    np.savez(tmp_path / "params.npz", W_enc=np.array([{}], dtype=object))
    with pytest.raises(InputError, match=r"params\.npz cannot be read"):
        read_files(told(tmp_path, place="@update"))


def test_other_arrays_have_another_hash(tmp_path: Path) -> None:
    one, other = (
        read_files(told(saelens(tmp_path / name, HOOK, **mirror(4, b)))) for name, b in (("a", 0.0), ("b", 0.5))
    )
    assert one.sha256 != other.sha256
    cfg = json.loads((tmp_path / "a/cfg.json").read_text()) | {"device": "cuda"}
    (tmp_path / "a/cfg.json").write_text(json.dumps(cfg))
    assert read_files(told(tmp_path / "a")).sha256 == one.sha256
