"""Weights in 8 and 4 bits: what they stand for, that a forward pass uses just that, and what is refused."""

import importlib.util
import json
import shutil
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest
import torch
import transformers

import ffmem
from ffmem import IndexOptions, InputError, RunOptions, load_model
from ffmem.index.verification.verify import verify_index
from ffmem.models.identities import measure_identities, relative_error
from ffmem.models.loading.weights import PackedLinear
from ffmem.models.tracing import trace
from ffmem.models.transformer import Transformer
from ffmem.options import Quantize

Folder = Callable[[str], Path]
INSTALLED = importlib.util.find_spec
WIDTHS: tuple[Quantize, ...] = ("8bit", "4bit")

needs_bitsandbytes = pytest.mark.skipif(
    any(INSTALLED(name) is None for name in ("bitsandbytes", "accelerate")),
    reason="needs the extra quantized; `make test` installs it",
)


def sample(model: Transformer) -> tuple[torch.Tensor, torch.Tensor | None]:
    token_ids = torch.randint(5, model.facts.d_vocab, (3, 11), generator=torch.Generator().manual_seed(0))
    return token_ids, None if model.facts.causal else torch.ones_like(token_ids)


def linear_maps(model: Transformer) -> list[torch.Tensor]:
    paths = ("mlp.gate_proj", "mlp.up_proj", "mlp.down_proj")
    return [model.layer(layer).at(path).weight for layer in range(model.facts.n_layers) for path in paths]


@needs_bitsandbytes
def test_8_bits_are_the_nearest_of_255_steps_a_row(tiny_folder: Folder) -> None:
    plain, packed = load_model(tiny_folder("llama")), load_model(tiny_folder("llama"), quantize="8bit")
    for whole, found in zip(linear_maps(plain), linear_maps(packed), strict=True):
        step = whole.half().float().abs().amax(1, keepdim=True) / 127
        n_steps = found / step
        assert float((n_steps - n_steps.round()).abs().max()) < 1e-4
        assert float((found - whole).abs().div(step).max()) < 0.55  # they are rounded to float16 first


@needs_bitsandbytes
def test_4_bits_are_the_nearest_in_the_table_of_normal_floats(tiny_folder: Folder) -> None:
    # Dettmers et al. 2023, appendix E
    below = [-1.0, -0.6961928, -0.52507305, -0.39491749, -0.28444138, -0.18477343, -0.09105004]
    above = [0.0795803, 0.1609302, 0.2461123, 0.33791524, 0.44070983, 0.5626170, 0.72295684, 1.0]
    table = torch.tensor([*below, 0.0, *above])
    plain, packed = load_model(tiny_folder("llama")), load_model(tiny_folder("llama"), quantize="4bit")
    for whole, found in zip(linear_maps(plain), linear_maps(packed), strict=True):
        blocks = whole.reshape(-1, 64)
        scale = blocks.abs().amax(1, keepdim=True)
        nearest = ((blocks / scale)[..., None] - table).abs().argmin(-1)
        assert relative_error(found, (table[nearest] * scale).reshape(whole.shape)) < 1e-5


@needs_bitsandbytes
@pytest.mark.parametrize("quantize", WIDTHS)
@pytest.mark.parametrize("variant", ["llama_biased", "gpt2", "opt_post_ln", "bert", "bert_headless"])
def test_the_identities_hold_as_with_plain_weights(variant: str, quantize: Quantize, tiny_folder: Folder) -> None:
    model = load_model(tiny_folder(variant), quantize=quantize)
    assert any(isinstance(module, PackedLinear) for module in model.module.modules())
    token_ids, mask = sample(model)
    found = measure_identities(model, token_ids, mask)
    assert max(found.ff_sum_errors) < 1e-5 and max(found.residual_errors) < 1e-5 and found.hook_error == 0
    assert found.logit_error is None or found.logit_error < 1e-5
    state = trace(model, token_ids, mask)[1]
    if not model.facts.gated:
        bias = model.key_bias(1)
        before = state.ff_input @ model.keys(1).T + (0 if bias is None else bias)
        own = model.layer(1).input_module(state.ff_input)
        assert relative_error(before, own) < 1e-5


@needs_bitsandbytes
@pytest.mark.parametrize("quantize", WIDTHS)
def test_a_checkpoint_that_was_quantised_is_the_same_model(
    quantize: Quantize, tiny_folder: Folder, tmp_path: Path
) -> None:
    bits = {"load_in_8bit": True} if quantize == "8bit" else {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}
    save_quantised(tiny_folder("llama"), tmp_path / "packed", **bits)
    packed, model = load_model(tmp_path / "packed"), load_model(tiny_folder("llama"), quantize=quantize)
    assert packed.weights_hash() == model.weights_hash() != load_model(tiny_folder("llama")).weights_hash()
    assert torch.equal(packed.forward(*sample(model)), model.forward(*sample(model)))


@needs_bitsandbytes
def test_scales_that_are_packed_themselves(tiny_folder: Folder, tmp_path: Path) -> None:
    save_quantised(tiny_folder("llama"), tmp_path / "packed", load_in_4bit=True, bnb_4bit_use_double_quant=True)
    model, plain = load_model(tmp_path / "packed"), load_model(tiny_folder("llama"))
    assert max(measure_identities(model, *sample(model)).ff_sum_errors) < 1e-5
    assert relative_error(model.values(1), plain.values(1)) < 0.25


def save_quantised(folder: Path, target: Path, **bits: object) -> None:
    from ffmem.models.loading.weights import _bitsandbytes

    _bitsandbytes()
    config = transformers.BitsAndBytesConfig(**bits)
    transformers.AutoModelForCausalLM.from_pretrained(folder, quantization_config=config).save_pretrained(target)
    transformers.AutoTokenizer.from_pretrained(folder).save_pretrained(target)


@needs_bitsandbytes
@pytest.mark.parametrize(("quantize", "dtype"), [("8bit", "float32"), ("4bit", "float32"), ("4bit", "bfloat16")])
def test_an_index_of_quantised_weights(
    quantize: Quantize, dtype: str, tiny_folder: Folder, corpus: Path, tmp_path: Path
) -> None:
    options = IndexOptions(top=7, promoted=10, max_tokens=2000, batch_tokens=200, quantize=quantize, dtype=dtype)  # type: ignore[arg-type]
    index = ffmem.build_index(
        tiny_folder("llama"), corpus, tmp_path / "index", options=options, run=RunOptions(workers=0)
    )
    assert index.manifest.options.quantize == quantize
    assert index.manifest.model.dtype == dtype
    found = verify_index(index, n_batches=10)
    assert found.problems == () and found.same_bytes and found.n_triggers > 100
    with pytest.raises(InputError, match=r"--quantize is '.bit' there and 'no' here"):
        ffmem.build_index(
            tiny_folder("llama"),
            corpus,
            tmp_path / "index",
            options=IndexOptions(top=7, promoted=10, max_tokens=2000, batch_tokens=200, dtype=dtype),  # type: ignore[arg-type]
        )


# What is refused


@pytest.fixture
def copy(tiny_folder: Folder, tmp_path: Path) -> Path:
    """A model's folder that one may change."""
    return Path(shutil.copytree(tiny_folder("llama"), tmp_path / "llama"))


def claim(folder: Path, **packing: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"quantization_config": packing}))


@pytest.mark.parametrize("method", ["fp8", "gptq", "torchao"])
def test_other_methods_are_refused(method: str, copy: Path) -> None:
    claim(copy, quant_method=method)
    with pytest.raises(InputError) as raised:
        load_model(copy)
    assert str(raised.value) == (
        f"the weights of {copy} are quantised by a method that ffmem does not read: {method}. Expected plain weights, "
        "those of bitsandbytes in 8 or 4 bits, or a .gguf file. Use the model that this one was made from; "
        "--quantize 4bit or 8bit makes it small again."
    )


def test_weights_are_not_quantised_twice(copy: Path) -> None:
    claim(copy, quant_method="bitsandbytes", load_in_8bit=True)
    with pytest.raises(
        InputError, match=r"--quantize is '4bit', but the weights of .* are quantised already\. .* Leave --quantize out"
    ):
        load_model(copy, quantize="4bit")


@pytest.mark.parametrize(
    ("hidden", "named"),
    [(("bitsandbytes",), "bitsandbytes is"), (("bitsandbytes", "accelerate"), "bitsandbytes and accelerate are")],
)
def test_without_its_packages(
    hidden: tuple[str, ...], named: str, tiny_folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def find_spec(name: str, package: str | None = None) -> ModuleSpec | None:
        return None if name in hidden else INSTALLED(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", find_spec)
    with pytest.raises(InputError, match=rf"and {named} not installed\. .* pip install 'ffmem\[quantized\]'"):
        load_model(tiny_folder("llama"), quantize="8bit")
