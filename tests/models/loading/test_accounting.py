"""What became of each tensor of a model's files: used, counted, or refused by its name."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from ffmem import InputError, ModelError, load_model
from ffmem.models.loading.accounting import (
    check_read,
    check_taken,
    check_tied,
    check_types,
    check_unembedding,
    drop_poolers,
    is_pooler,
)
from ffmem.models.loading.tensors import WeightFiles
from tests.models.loading.asked import coefficients
from tests.models.test_registry import change_config, change_weights

Folder = Callable[[str], Path]
CopyOf = Callable[[str], Path]
WEIGHTS = "model.safetensors"
HERE = Path("folder")


@pytest.fixture
def copy(copy_of: CopyOf) -> Path:
    return copy_of("llama")


# What the library reports


def report(**lists: Any) -> dict[str, Any]:
    """As transformers gives it, with nothing to tell but these."""
    return {"missing_keys": [], "unexpected_keys": [], "mismatched_keys": [], "error_msgs": []} | lists


def test_parts_that_nobody_asks_are_counted_by_what_they_belong_to() -> None:
    assert check_taken(HERE, report(), tied=False) == {}
    names = (
        "bert.pooler.dense.weight", "pooler.dense.bias", "score.weight", "classifier.dense.weight", "classifier.out.weight",
        "model.mtp.0.weight", "mtp.1.weight", "model.vision_tower.a.b", "cls.seq_relationship.weight", "lm_head.bias",
    )  # fmt: skip
    assert check_taken(HERE, report(unexpected_keys=names), tied=False) == {
        "pooler": 2, "score": 1, "classifier": 2, "mtp": 2, "vision_tower": 1, "cls": 1, "lm_head": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    "name",
    [
        "model.layers.0.self_attn.rotary_emb.inv_freq",
        "rotary_emb.inv_freq",
        "bert.embeddings.position_ids",
        "h.3.attn.bias",
        "h.3.attn.masked_bias",
        "transformer.h.0.attn.attention.bias",
        "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight",
    ],
)
def test_constants_are_passed_over_and_what_only_looks_like_one_is_not(name: str) -> None:
    assert check_taken(HERE, report(unexpected_keys=[name]), tied=False) == {}
    with pytest.raises(ModelError, match="hold 1 weights that the model has no place for"):
        check_taken(HERE, report(unexpected_keys=[name + ".more"]), tied=False)


def test_the_first_three_of_many_are_named() -> None:
    with pytest.raises(ModelError) as raised:
        check_taken(HERE, report(unexpected_keys=["d", "b", "score.weight", "a", "c"]), tied=False)
    assert raised.value.got == "the files in folder hold 4 weights that the model has no place for: a, b, c"
    with pytest.raises(ModelError) as raised:
        check_taken(HERE, report(missing_keys=["d", "x.pooler.dense.weight", "b", "a", "c"]), tied=False)
    assert raised.value.got == "the files in folder lack weights: a, b, c"


@pytest.mark.parametrize(
    ("tied", "missing"), [(False, ["lm_head.weight"]), (True, ["lm_head.weight"]), (False, ["a", "lm_head.weight"])]
)
def test_a_head_alone_that_is_missing_may_be_the_embedding(tied: bool, missing: list[str]) -> None:
    with pytest.raises(ModelError, match="lack weights") as raised:
        check_taken(HERE, report(missing_keys=missing), tied=tied)
    assert ("tie_word_embeddings" in raised.value.mend) == (not tied and missing == ["lm_head.weight"])


@pytest.mark.parametrize(
    "more", [{"mismatched_keys": [("a", (2, 3), (3, 2))]}, {"error_msgs": ["size mismatch for a"]}]
)
def test_other_faults_are_told_as_the_library_tells_them(more: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match=r"lack weights: .*a"):
        check_taken(HERE, report(**more), tied=False)


# Poolers


def test_a_pooler_is_one_by_a_whole_part_of_its_name() -> None:
    assert is_pooler("pooler.dense.weight") and is_pooler("bert.pooler.dense.bias")
    assert not is_pooler("bert.poolers.weight") and not is_pooler("my_pooler.weight") and not is_pooler("")


def test_poolers_that_no_file_holds_are_taken_out_and_others_stay() -> None:
    def with_pooler() -> nn.Module:
        return nn.ModuleDict({"pooler": nn.ModuleDict({"dense": nn.Linear(2, 2)}), "layer": nn.Linear(2, 2)})

    module: Any = nn.ModuleDict({"bert": with_pooler(), "other": with_pooler()})
    drop_poolers(module, ["bert.pooler.dense.weight", "bert.pooler.dense.bias", "bert.layer.weight"])
    names = [name for name, _ in module.named_parameters()]
    assert not any(name.startswith("bert.pooler") for name in names)
    assert {"bert.layer.weight", "other.pooler.dense.weight"} <= set(names)
    assert module["bert"].pooler is None


# Numbers that were read, and their types


class Tiny(nn.Module):
    """Named as transformers names a model with a prefix."""

    base_model_prefix = "model"

    def __init__(self) -> None:
        super().__init__()
        self.model = nn.ModuleDict({"a": nn.Linear(5, 4, bias=False)})
        self.head = nn.Linear(5, 4, bias=False)
        self.config = SimpleNamespace(tie_word_embeddings=True)
        self._tied_weights_keys = {"head.weight": "model.a.weight"}


def written(folder: Path, weights: dict[str, torch.Tensor]) -> WeightFiles:
    save_file({name: tensor.detach().clone() for name, tensor in weights.items()}, folder / WEIGHTS)
    return WeightFiles({WEIGHTS: folder / WEIGHTS})


@pytest.mark.parametrize("prefix", ["model.", ""])
@pytest.mark.parametrize("place", [0, 19])
def test_a_first_or_last_number_that_differs_is_seen(place: int, prefix: str, tmp_path: Path) -> None:
    """Whether the file has the library's prefix or not."""
    module = Tiny()
    own = module.model["a"].weight.detach().clone()
    check_read(tmp_path, module, written(tmp_path, {f"{prefix}a.weight": own}))
    check_read(tmp_path, module, written(tmp_path, {f"{prefix}a.weight": own, "nobody.knows": own}))
    own.view(-1)[place] += 1
    with pytest.raises(ModelError) as raised:
        check_read(tmp_path, module, written(tmp_path, {f"{prefix}a.weight": own}))
    assert raised.value.got == (
        f"model.a.weight of the loaded model holds other numbers than {prefix}a.weight in {tmp_path / WEIGHTS}"
    )


def test_numbers_are_compared_in_the_type_that_the_model_runs_in(tmp_path: Path) -> None:
    module = Tiny().half()
    whole = Tiny().model["a"].weight.detach()
    module.model["a"].weight = nn.Parameter(whole.half(), requires_grad=False)
    check_read(tmp_path, module, written(tmp_path, {"model.a.weight": whole}))
    odd = whole.clone()
    odd.view(-1)[0] = float("nan")
    module.model["a"].weight = nn.Parameter(odd.half(), requires_grad=False)
    check_read(tmp_path, module, written(tmp_path, {"model.a.weight": odd}))


@pytest.mark.parametrize("prefix", ["model.", ""])
def test_weights_that_are_tied_must_be_equal_in_the_files(prefix: str, tmp_path: Path) -> None:
    module, one, other = Tiny(), torch.ones(4, 5), torch.zeros(4, 5)
    check_tied(tmp_path, module, written(tmp_path, {f"{prefix}a.weight": one, "head.weight": one}))
    check_tied(tmp_path, module, written(tmp_path, {f"{prefix}a.weight": one}))
    differ = written(tmp_path, {f"{prefix}a.weight": one, "head.weight": other})
    with pytest.raises(InputError, match=rf"ties head\.weight to {prefix}a\.weight .*two that differ"):
        check_tied(tmp_path, module, differ)
    module.config.tie_word_embeddings = False
    check_tied(tmp_path, module, differ)


@pytest.mark.parametrize("kind", [torch.int8, torch.uint8, torch.int64, torch.bool])
def test_whole_numbers_are_no_weights_but_constants_may_be(kind: torch.dtype, tmp_path: Path) -> None:
    numbers = torch.ones(3).to(kind)
    check_types(tmp_path, written(tmp_path, {"a": torch.ones(3), "embeddings.position_ids": numbers}))
    check_types(tmp_path, written(tmp_path, {"a": torch.ones(3).bfloat16()}))
    with pytest.raises(InputError) as raised:
        check_types(tmp_path, written(tmp_path, {"a": torch.ones(3), "b.weight": numbers}))
    assert raised.value.got.startswith(f"b.weight in {tmp_path} is stored as {str(kind).removeprefix('torch.')}, ")


def test_weights_that_are_whole_numbers(copy_of: CopyOf) -> None:
    folder = copy_of("llama")
    name = "model.layers.1.mlp.down_proj.weight"
    change_weights(folder, lambda weights: weights.update({name: (weights[name] * 50).to(torch.int8)}))
    with pytest.raises(InputError, match=rf"{name} in .* is stored as int8"):
        load_model(folder)


# Tensors without a place, and places without a tensor


@pytest.mark.parametrize(
    "name",
    [
        "model.layers.3.mlp.down_proj.weight",
        "model.layers.0.mlp.down_proj.bias",
        "model.layers.0.mlp.down_proj.lora_A.weight",
        "model.layers.0.mlp.down_proj.weight_scale",
        "model.layers.1.adapter.down.weight",
        "model.memory.keys",
    ],
)
def test_a_tensor_without_a_place_is_refused(name: str, copy_of: CopyOf) -> None:
    folder = copy_of("llama")
    change_weights(folder, lambda weights: weights.update({name: torch.ones(3)}))
    with pytest.raises(ModelError) as raised:
        load_model(folder)
    assert f"hold 1 weights that the model has no place for: {name}" in raised.value.got


def test_constants_are_passed_over_and_heads_are_told(copy_of: CopyOf) -> None:
    folder = copy_of("llama")
    before = load_model(folder).weights_hash()
    more = (
        "model.layers.0.self_attn.rotary_emb.inv_freq",
        "score.weight",
        "v_head.summary.weight",
        "v_head.summary.bias",
    )
    change_weights(folder, lambda weights: weights.update({name: torch.ones(3) for name in more}))
    model = load_model(folder)
    assert model.origin.unused == {"score": 1, "v_head": 2} and model.weights_hash() == before


@pytest.mark.parametrize("variant", ["bert_headless", "roberta_headless"])
def test_a_pooler_that_no_file_holds_is_in_no_hash(variant: str, copy_of: CopyOf) -> None:
    folder = copy_of(variant)
    with_pooler = load_model(folder)
    assert any("pooler" in name for name, _ in with_pooler.module.named_parameters())  # in the hash, as it always was
    change_weights(folder, lambda weights: [weights.pop(name) for name in list(weights) if "pooler" in name])
    first, second = load_model(folder), load_model(folder)
    assert first.weights_hash() == second.weights_hash() != with_pooler.weights_hash()
    assert torch.equal(coefficients(first), coefficients(with_pooler))


def test_a_pooler_in_part_is_left_out_whole(copy_of: CopyOf) -> None:
    folder = copy_of("bert_headless")
    change_weights(folder, lambda weights: weights.pop("pooler.dense.bias"))
    model = load_model(folder)
    assert not any("pooler" in name for name, _ in model.module.named_parameters())
    assert model.weights_hash() == load_model(folder).weights_hash()


# Heads that are tied, and that are not


def test_a_head_that_is_tied_and_differs(copy_of: CopyOf) -> None:
    folder = copy_of("llama")
    change_config(folder, tie_word_embeddings=True)
    with pytest.raises(InputError, match=r"ties lm_head\.weight to model\.embed_tokens\.weight .*two that differ"):
        load_model(folder)
    change_config(folder, tie_word_embeddings=False)
    head = load_file(folder / WEIGHTS)["lm_head.weight"]
    assert torch.equal(load_model(folder).module.lm_head.weight, head)
    change_weights(
        folder, lambda weights: weights.update({"lm_head.weight": weights["model.embed_tokens.weight"].clone()})
    )
    change_config(folder, tie_word_embeddings=True)
    load_model(folder)


def test_a_head_that_is_neither_tied_nor_there(copy_of: CopyOf) -> None:
    folder = copy_of("llama")
    change_weights(folder, lambda weights: weights.pop("lm_head.weight"))
    with pytest.raises(ModelError, match=r'lack weights: lm_head\.weight.*write "tie_word_embeddings": true'):
        load_model(folder)
    change_config(folder, tie_word_embeddings=True)
    model = load_model(folder)
    assert torch.equal(model.module.lm_head.weight, model.module.model.embed_tokens.weight)


# The unembedding


def test_rows_that_are_not_finite_are_counted_and_the_first_token_named() -> None:
    rows = torch.ones(6, 4)
    check_unembedding("gpt", rows, str)
    rows[1] = torch.tensor([3e38, 3e38, -3e38, 3e38])  # whose sum is not finite, and which is
    check_unembedding("gpt", rows, str)
    rows[4, 2], rows[5, 0] = float("nan"), -float("inf")
    with pytest.raises(ModelError) as raised:
        check_unembedding("gpt", rows, lambda number: f"<{number}>")
    assert raised.value.got == (
        "2 of 6 rows of the unembedding of gpt hold numbers that are not finite, the first of them for token 4 ('<4>')"
    )


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_row_of_the_unembedding_that_is_not_finite(value: float, copy: Path) -> None:
    change_weights(copy, lambda weights: weights["lm_head.weight"][17].fill_(value))
    with pytest.raises(
        ModelError, match=r"1 of \d+ rows of the unembedding of llama .* the first of them for token 17 \('"
    ):
        load_model(copy)


def test_rows_that_cancel_are_finite(copy: Path) -> None:
    change_weights(copy, lambda weights: weights["lm_head.weight"][17].copy_(torch.full((32,), 3e38)))
    assert load_file(copy / "model.safetensors")["lm_head.weight"][17].isfinite().all()
    load_model(copy)
