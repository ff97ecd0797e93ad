"""A second set of weights beside a model's is a copy of it, perhaps in a smaller number type, or it is refused."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from ffmem import InputError
from ffmem.models.loading.same_weights import check_originals, check_same, check_same_pickled
from ffmem.models.loading.tensors import WeightFiles

Weights = dict[str, Tensor]
OWN: Weights = {
    "model.embed_tokens.weight": torch.randn(5, 3, generator=torch.Generator().manual_seed(0)),
    "model.layers.0.mlp.down_proj.weight": torch.randn(3, 4, generator=torch.Generator().manual_seed(1)),
    "model.norm.weight": torch.tensor([1.0, float("nan"), 2.0]),
}
"""With a number that is none: it is the same as itself here."""
NAME = "model.layers.0.mlp.down_proj.weight"


def saved(folder: Path, name: str, weights: Weights) -> WeightFiles:
    save_file({key: tensor.clone() for key, tensor in weights.items()}, folder / name)
    return WeightFiles({name: folder / name})


def changed(name: str, change: Callable[[Tensor], Tensor]) -> Weights:
    return OWN | {name: change(OWN[name].clone())}


def one_more(tensor: Tensor) -> Tensor:
    tensor.view(-1)[7] += 1e-3
    return tensor


COPIES: dict[str, Weights] = {
    "the same": OWN,
    "half precision": {name: tensor.half() for name, tensor in OWN.items()},
    "some in bfloat16": changed(NAME, Tensor.bfloat16),
    "double precision": {name: tensor.double() for name, tensor in OWN.items()},
}
OTHERS: dict[str, Weights] = {
    "one number": changed(NAME, one_more),
    "one number, in half precision": changed(NAME, lambda one: one_more(one).half()),
    "another shape": changed(NAME, lambda one: one.view(4, 3)),
    "rows in another order": changed(NAME, lambda one: one.flip(0)),
    "an infinity for what is no number": changed("model.norm.weight", lambda one: one.nan_to_num(float("inf"))),
}


@pytest.mark.parametrize("kind", COPIES)
def test_copies_are_taken(kind: str, tmp_path: Path) -> None:
    own = saved(tmp_path, "model.safetensors", OWN)
    check_same(tmp_path, own, saved(tmp_path, "model.fp16.safetensors", COPIES[kind]))
    torch.save(COPIES[kind], tmp_path / "pytorch_model.bin")
    check_same_pickled(tmp_path, own, tmp_path / "pytorch_model.bin")


@pytest.mark.parametrize("kind", OTHERS)
def test_what_differs_is_told_by_the_first_tensor(kind: str, tmp_path: Path) -> None:
    own = saved(tmp_path, "model.safetensors", OWN)
    name = "model.norm.weight" if "infinity" in kind else NAME
    with pytest.raises(InputError) as raised:
        check_same(tmp_path, own, saved(tmp_path, "model.fp16.safetensors", OTHERS[kind]))
    assert raised.value.got == (
        f"{tmp_path} holds two sets of weights that differ: model.safetensors and model.fp16.safetensors do not have the "
        f"same {name}"
    )
    torch.save(OTHERS[kind], tmp_path / "pytorch_model.bin")
    with pytest.raises(InputError, match=rf"model\.safetensors and pytorch_model\.bin do not have the same {name}"):
        check_same_pickled(tmp_path, own, tmp_path / "pytorch_model.bin")


def test_a_tensor_of_one_set_alone_is_told(tmp_path: Path) -> None:
    own, less = saved(tmp_path, "a.safetensors", OWN), dict(list(OWN.items())[1:])
    for one, other in ((own, saved(tmp_path, "b.safetensors", less)), (saved(tmp_path, "c.safetensors", less), own)):
        with pytest.raises(InputError, match=r"do not have the same model\.embed_tokens\.weight"):
            check_same(tmp_path, one, other)


@pytest.mark.parametrize(
    "name",
    ["lm_head.weight", "model.layers.0.self_attn.rotary_emb.inv_freq", "embeddings.position_ids", "h.0.attn.masked_bias",
     "h.0.attn.bias", "encoder.embed_tokens.weight", "cls.predictions.decoder.weight", "cls.predictions.decoder.bias"],
)  # fmt: skip
def test_a_pickle_may_hold_constants_and_second_names_besides(name: str, tmp_path: Path) -> None:
    torch.save(OWN | {name: torch.ones(2)}, tmp_path / "a.bin")
    check_same_pickled(tmp_path, saved(tmp_path, "model.safetensors", OWN), tmp_path / "a.bin")
    torch.save(OWN | {name + "s": torch.ones(2)}, tmp_path / "a.bin")
    with pytest.raises(InputError, match=rf"do not have the same {name}s"):
        check_same_pickled(tmp_path, saved(tmp_path, "model.safetensors", OWN), tmp_path / "a.bin")


ORIGINAL = {
    "layers.11.feed_forward.w1.weight": "model.layers.11.mlp.gate_proj.weight",
    "layers.11.feed_forward.w2.weight": "model.layers.11.mlp.down_proj.weight",
    "layers.11.feed_forward.w3.weight": "model.layers.11.mlp.up_proj.weight",
    "layers.11.attention.wv.weight": "model.layers.11.self_attn.v_proj.weight",
    "layers.11.attention.wo.weight": "model.layers.11.self_attn.o_proj.weight",
    "layers.11.attention_norm.weight": "model.layers.11.input_layernorm.weight",
    "layers.11.ffn_norm.weight": "model.layers.11.post_attention_layernorm.weight",
    "tok_embeddings.weight": "model.embed_tokens.weight",
    "norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}
"""As Llama's own program and transformers name the same matrices."""


@pytest.mark.parametrize("name", ORIGINAL)
def test_the_form_of_the_program_that_trained_it_is_compared_name_by_name(name: str, tmp_path: Path) -> None:
    own = saved(
        tmp_path, "model.safetensors", {ours: torch.full((2, 2), n) for n, ours in enumerate(ORIGINAL.values())}
    )
    theirs = {one: torch.full((2, 2), n) for n, one in enumerate(ORIGINAL)} | {
        "layers.11.attention.wq.weight": torch.ones(1)
    }
    saved(tmp_path, "consolidated.safetensors", theirs)
    check_originals(tmp_path, own, ["consolidated.safetensors"])
    saved(tmp_path, "consolidated.safetensors", theirs | {name: torch.full((2, 2), 99)})
    with pytest.raises(InputError, match=rf"consolidated\.safetensors do not have the same {ORIGINAL[name]}"):
        check_originals(tmp_path, own, ["consolidated.safetensors"])


def test_what_cannot_be_compared_is_refused(tmp_path: Path) -> None:
    own = saved(tmp_path, "model.safetensors", OWN)
    saved(tmp_path, "consolidated.safetensors", {"layers.0.attention.wq.weight": torch.ones(1)})
    (tmp_path / "consolidated.00.pth").write_bytes(b"unpickled by nobody")
    for file in ("consolidated.safetensors", "consolidated.00.pth"):
        with pytest.raises(InputError, match=rf"which cannot be compared with the first: {file}"):
            check_originals(tmp_path, own, [file])
