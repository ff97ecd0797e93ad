"""Loading: what is refused, what stands in the view of a loaded model, and what tells two models apart."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from transformers import ByT5Tokenizer

import tests.families
from ffmem import IndexOptions, InputError, ModelError, RunOptions, build_index, load_model
from ffmem.index.certificate import TOLERANCE
from ffmem.index.verification.verify import verify_index
from ffmem.models import families
from ffmem.models.registry import FAMILIES
from ffmem.options import Dtype
from tests.conftest import VARIANTS
from tests.families import D_FF, D_MODEL
from tests.fixtures.programs import run_python

Folder = Callable[[str], Path]
WEIGHTS = "model.safetensors"


@pytest.fixture
def copy(tiny_folder: Folder, tmp_path: Path) -> Path:
    """A model's folder that one may damage."""
    return Path(shutil.copytree(tiny_folder("llama"), tmp_path / "llama"))


def change_config(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def change_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    # cloned: the file they are mapped from is about to be written
    weights = {name: weight.clone() for name, weight in load_file(folder / WEIGHTS).items()}
    change(weights)
    save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})


# Architectures


def test_each_architecture_has_one_family() -> None:
    names = [name for family in FAMILIES for name in family.architectures]
    assert len(names) == len(set(names))
    assert {family.name for family in FAMILIES} == {
        path.stem for path in Path(families.__file__).parent.glob("[a-z]*.py")
    }


def test_each_architecture_is_tried_on_a_tiny_model(tiny_folder: Folder) -> None:
    tried = {json.loads((tiny_folder(variant) / "config.json").read_text())["architectures"][0] for variant in VARIANTS}
    without_weights_of_its_own = {"BertForPreTraining"}  # loaded as BertForMaskedLM
    assert {name for family in FAMILIES for name in family.architectures} == tried | without_weights_of_its_own


def test_each_family_has_tiny_models_of_its_own() -> None:
    assert {path.stem for path in Path(tests.families.__file__).parent.glob("[a-z]*.py")} == {
        family.name for family in FAMILIES
    }


def test_an_unknown_architecture_is_told(copy: Path) -> None:
    change_config(copy, architectures=["NoSuchForCausalLM"])
    with pytest.raises(InputError) as raised:
        load_model(copy)
    assert f"the architecture of {copy} is not known: NoSuchForCausalLM." in str(raised.value)
    assert f"transformers {transformers.__version__}" in raised.value.expected


def test_the_class_of_another_kind_of_model_does_not_take_its_weights(copy: Path) -> None:
    change_config(copy, architectures=["MambaForCausalLM"])
    with pytest.raises((InputError, ModelError), match=r"Mamba|lack weights"):
        load_model(copy)


@pytest.mark.parametrize("architectures", [None, []])
def test_no_architecture_is_not_guessed(architectures: list[str] | None, copy: Path) -> None:
    change_config(copy, architectures=architectures)
    with pytest.raises(InputError, match=r"is not known: none \(model type llama\)"):
        load_model(copy)


# Damaged and missing files


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"architectures": ["LlamaForCausalLM"]}', '{"model_type": "no-such"}']
)
def test_a_broken_config(content: str, copy: Path) -> None:
    (copy / "config.json").write_text(content)
    with pytest.raises(
        InputError, match=r"config\.json of .* cannot be read: .* Expected the files that save_pretrained writes"
    ):
        load_model(copy)


def test_without_a_tokenizer(copy: Path) -> None:
    for path in copy.glob("tokenizer*"):
        path.unlink()
    with pytest.raises(InputError, match=r"the tokenizer of .* Save model and tokenizer into that folder"):
        load_model(copy)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}"])
def test_a_broken_tokenizer(content: str, copy: Path) -> None:
    (copy / "tokenizer.json").write_text(content)
    with pytest.raises(InputError, match=r"the tokenizer of .* cannot be read: "):
        load_model(copy)


def test_a_slow_tokenizer(copy: Path) -> None:
    for path in copy.glob("tokenizer*"):
        path.unlink()
    ByT5Tokenizer().save_pretrained(copy)
    with pytest.raises(
        InputError,
        match=r"is a slow one, without a tokenizer\.json: ByT5Tokenizer\. Expected a fast tokenizer: byte offsets",
    ):
        load_model(copy)


def test_a_tokenizer_that_cuts_and_pads_is_told_not_to(copy: Path) -> None:
    """Some come with the settings of their training; calls of the tokenizer switch them off as they please."""
    before = load_model(copy).tokenizer_hash()
    path = copy / "tokenizer.json"
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.enable_truncation(max_length=4)
    tokenizer.enable_padding(length=8)
    tokenizer.save(str(path))
    model = load_model(copy)
    assert len(model.tokenizer.backend_tokenizer.encode("the lazy dog " * 5).ids) > 8
    assert model.tokenizer_hash() == before
    model.special_tokens("auto")
    assert model.tokenizer_hash() == before


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def cut_in_the_header(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:50])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def scramble_the_header(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[8:40] = b"\xff" * 32
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [cut_short, cut_in_the_header, empty, scramble_the_header])
def test_damaged_weights(damage: Callable[[Path], None], copy: Path) -> None:
    damage(copy / WEIGHTS)
    with pytest.raises(ModelError, match=r"the weights in .* cannot be read: .* Expected whole \.safetensors files"):
        load_model(copy)


def test_no_weights(copy: Path) -> None:
    (copy / WEIGHTS).unlink()
    with pytest.raises(
        InputError, match=r"holds no weights\. Expected model\.safetensors, .* Save the model into that folder"
    ):
        load_model(copy)


def test_a_missing_weight_is_named(copy: Path) -> None:
    name = "model.layers.1.mlp.down_proj.weight"
    change_weights(copy, lambda weights: weights.pop(name))
    with pytest.raises(ModelError) as raised:
        load_model(copy)
    assert f"lack weights: {name}." in str(raised.value)
    assert "random ones would give meaningless memories" in raised.value.expected


def test_a_weight_of_another_shape(copy: Path) -> None:
    name = "model.layers.1.mlp.down_proj.weight"
    change_weights(copy, lambda weights: weights.update({name: torch.zeros(D_MODEL, D_FF + 1)}))
    with pytest.raises(ModelError, match=r"mlp\.down_proj\.weight|ignore_mismatched_sizes|size mismatch"):
        load_model(copy)


def test_a_layer_more_than_the_weights_have(copy: Path) -> None:
    change_config(copy, num_hidden_layers=4)
    with pytest.raises(ModelError, match=r"lack weights: model\.layers\.3\."):
        load_model(copy)


# Configs that change what is computed


def test_a_bloom_that_drops_the_bias_of_its_values_is_refused(tiny_folder: Folder, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_folder("bloom"), tmp_path / "bloom"))
    change_config(folder, pretraining_tp=4)
    load_model(folder)
    change_config(folder, slow_but_exact=True)
    with pytest.raises(InputError) as raised:
        load_model(folder)
    assert str(raised.value) == (
        "slow_but_exact is true in the config of this BLOOM: it multiplies slices of the value matrix, and drops b. "
        "Expected false, with which the whole matrix is multiplied. "
        'Write "slow_but_exact": false into its config.json.'
    )


def test_a_gemma_that_sees_to_its_right_is_refused(tiny_folder: Folder, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_folder("gemma3"), tmp_path / "gemma3"))
    change_config(folder, use_bidirectional_attention=True)
    with pytest.raises(InputError) as raised:
        load_model(folder)
    assert str(raised.value) == (
        "use_bidirectional_attention is true in the config of this Gemma 3: a position sees those to its right. "
        "Expected a causal language model, whose triggers are prefixes. "
        "Use the language model that this encoder was made from."
    )


# Options


def test_an_unknown_dtype_lists_those_that_are_known(tiny_folder: Folder) -> None:
    # in a process of its own: in this one the types of arguments are checked first, which users do not have
    script = """
import sys, ffmem
for dtype in sys.argv[2:]:
    try:
        ffmem.load_model(sys.argv[1], dtype=dtype)
    except ffmem.InputError as error:
        print(error)
"""
    dtypes = ("float64", "int8", "", "Float32")
    done = run_python("-c", script, tiny_folder("gpt2"), *dtypes)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        f"dtype is {dtype!r}. Expected one of: float32, bfloat16, float16. Use float32." for dtype in dtypes
    ]


@pytest.mark.parametrize("dtype", get_args(Dtype))
def test_the_dtype_is_that_of_all_weights(dtype: Dtype, tiny_folder: Folder) -> None:
    model = load_model(tiny_folder("gpt2"), dtype=dtype)
    assert model.facts.dtype == dtype
    assert {parameter.dtype for parameter in model.module.parameters()} == {getattr(torch, dtype)}


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_loaded_model_does_not_learn(variant: str, tiny_folder: Folder) -> None:
    model = load_model(tiny_folder(variant))
    assert not any(part.training for part in model.module.modules())  # no dropout
    assert not any(parameter.requires_grad for parameter in model.module.parameters())
    token_ids = torch.randint(5, model.facts.d_vocab, (2, 7), generator=torch.Generator().manual_seed(0))
    first, second = model.forward(token_ids), model.forward(token_ids)
    assert not first.requires_grad and torch.equal(first, second)


def test_a_model_is_called_by_its_folder(tiny_folder: Folder) -> None:
    assert load_model(tiny_folder("gpt2")).facts.name == "gpt2"
    assert load_model(str(tiny_folder("gpt2"))).facts.name == "gpt2"


# Number types and devices


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_an_index_in_half_precision(dtype: Dtype, tiny_folder: Folder, corpus: Path, tmp_path: Path) -> None:
    options = IndexOptions(top=7, promoted=10, max_tokens=2000, batch_tokens=200, dtype=dtype)
    index = build_index(tiny_folder("llama"), corpus, tmp_path / "index", options=options, run=RunOptions(workers=0))
    assert index.manifest.model.dtype == dtype
    errors = index.manifest.certificate.errors
    assert 1e-6 < max(errors["ff_sum_errors"]) < TOLERANCE[dtype]  # it was not float32 after all
    found = verify_index(index, n_batches=10)
    assert found.problems == () and found.same_bytes and found.n_triggers > 100


@pytest.mark.parametrize("device", ["cuda", "cuda:7", "no-such-device"])
def test_a_device_that_is_not_there(device: str, tiny_folder: Folder, corpus: Path, tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU, so there is nothing to refuse")
    with pytest.raises(InputError) as raised:
        build_index(tiny_folder("llama"), corpus, tmp_path / "index", options=IndexOptions(device=device))
    assert raised.value.got.startswith(f"--device is {device!r}, which cannot be used here: ")
    assert raised.value.expected == "Expected cpu (torch sees no GPU on this machine)"
    assert raised.value.mend == "Write --device cpu"


# What is run, and what is named


def test_a_model_type_that_is_another_architectures_is_refused(tiny_folder: Folder, tmp_path: Path) -> None:
    """transformers chooses a class by the model type, ffmem a family by the name: Gemma's norms are not Llama's."""
    copy = Path(shutil.copytree(tiny_folder("llama"), tmp_path / "copy"))
    change_config(copy, model_type="gemma")
    with pytest.raises(InputError, match=r"names the architecture LlamaForCausalLM.*'gemma' as GemmaForCausalLM"):
        load_model(copy)


def test_layer_types_that_make_it_another_model_are_refused(tiny_folder: Folder, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(tiny_folder("mistral"), tmp_path / "copy"))
    change_config(copy, layer_types=["full_attention", "sliding_attention", "full_attention"], sliding_window=2)
    with pytest.raises(InputError, match=r"names the architecture MistralForCausalLM.*as MinistralForCausalLM"):
        load_model(copy)


def test_an_architecture_that_is_asked_for_is_the_class_that_runs(tiny_folder: Folder, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(tiny_folder("llama"), tmp_path / "copy"))
    change_config(copy, model_type="gemma", architectures=["GemmaForCausalLM"])
    model = load_model(copy, architecture="LlamaForCausalLM")
    assert type(model.module).__name__ == "LlamaForCausalLM"
    whole = load_model(tiny_folder("llama"))
    ids = torch.tensor([[5, 6, 7, 8]])
    assert torch.equal(model.logits(ids), whole.logits(ids))


def test_a_roberta_without_an_id_for_padding_is_refused(tiny_folder: Folder, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(tiny_folder("roberta"), tmp_path / "copy"))
    change_config(copy, pad_token_id=None)
    with pytest.raises(InputError, match="no pad_token_id"):
        load_model(copy)
