"""A model is run as its own plain call runs a sentence alone, whatever its config says, or refused by the check that fails."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from ffmem import ModelError, load_model
from ffmem.models.base import Batching
from ffmem.models.feed_forward import DenseLayer
from ffmem.models.proof import difference, prove, prove_on_samples
from ffmem.models.rotary import rotary_error
from ffmem.models.run_state import RunState
from ffmem.models.sentences_to_try import Sentence
from ffmem.models.transformer import Transformer
from tests.conftest import VARIANTS
from tests.families import CONTEXT
from tests.fixtures.models import LONG_ROPE

Folder = Callable[[str], Path]
BIDIRECTIONAL = ("bert", "bert_headless", "roberta", "roberta_headless", "t5", "t5_gated", "t5_scaled", "marian")


@pytest.mark.parametrize("variant", VARIANTS)
def test_an_ordinary_model_runs_as_its_family_says(variant: str, tiny_folder: Folder) -> None:
    model = load_model(tiny_folder(variant), proved=False)
    proof = prove_on_samples(model)
    assert proof.batching == Batching(variant not in BIDIRECTIONAL)
    assert model.batching == proof.batching and model.facts.causal == proof.batching.causal
    assert proof.notes == ()
    assert max(proof.errors[check] for check in ("alone", "again", "padded")) < 5e-6
    assert (proof.errors["future"] == 0) == (variant not in (*BIDIRECTIONAL, "mixtral", "qwen3_moe")) or variant in (
        "mixtral",
        "qwen3_moe",
    )
    assert len(proof.lengths) > 2


CAUSAL_BY_CONFIG = (
    "llama",
    "qwen2",
    "mistral",
    "gemma2",
    "gpt2",
    "gpt_neox",
    "opt",
    "bloom",
    "falcon",
    "phi",
    "mixtral",
)


@pytest.mark.parametrize("variant", CAUSAL_BY_CONFIG)
def test_a_causal_model_that_is_made_to_look_both_ways_is_seen_to(
    variant: str, configured: Callable[..., Path]
) -> None:
    """`is_causal` false: run without a mask, padding leaked into what was told as its coefficients."""
    model = load_model(configured(variant, is_causal=False), proved=False)
    proof = prove_on_samples(model)
    assert not model.facts.causal and not proof.batching.causal
    assert proof.errors["future"] > 0.01 and proof.errors["padded"] < 5e-6  # with the mask that it needs now
    assert "a trigger is a position in its sentence" in proof.notes[0]


@pytest.mark.parametrize("variant", ["bert", "roberta"])
def test_an_encoder_that_sees_no_right_side_is_seen_to(variant: str, tiny_folder: Folder) -> None:
    """Whatever its family says: the model is asked. (Such a folder is refused by name before that.)"""
    loaded = load_model(tiny_folder(variant), proved=False)
    module = type(loaded.module).from_pretrained(tiny_folder(variant), is_decoder=True).eval()
    model = Transformer(variant, loaded.family, module, loaded.tokenizer)
    proof = prove_on_samples(model)
    assert model.facts.causal and "a trigger is a prefix" in proof.notes[0]


def test_frequencies_that_depend_on_the_length_keep_lengths_apart(configured: Callable[..., Path]) -> None:
    model = load_model(configured("llama", rope_parameters=LONG_ROPE), proved=False)
    proof = prove_on_samples(model)
    assert proof.batching == Batching(causal=False, rows="equal-length", fresh=True)
    assert proof.errors["prefix"] > 0.01 and proof.errors["rotary"] > 0.01 and proof.errors["future"] == 0


def test_only_lengths_that_are_read_count(configured: Callable[..., Path]) -> None:
    """All sentences below the length at which the frequencies change; then one input above it, which is only told of."""
    model = load_model(configured("llama", rope_parameters=LONG_ROPE), proved=False)
    short = [Sentence("abcdefghij"[:n]) for n in range(3, 11)]
    assert prove(model, short).batching == Batching(causal=True)
    found = prove(model, short, longest=40)
    assert found.batching.rows == "equal-length" and not found.batching.causal
    assert found.errors["prefix"] < 1e-5 and found.errors["rotary"] > 0.01


def test_what_a_model_keeps_of_its_inputs_is_put_back(configured: Callable[..., Path]) -> None:
    """Frequencies that grow with the longest input so far: the same sentence must not depend on what came before it."""
    dynamic = {"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 4.0}
    model = load_model(configured("llama", rope_parameters=dynamic, max_position_embeddings=16), proved=False)
    model.family = model.family.__class__(**{**model.family.__dict__, "max_length": lambda config: CONTEXT})
    model.facts = model.facts.__class__(**{**model.facts.__dict__, "max_length": CONTEXT})
    proof = prove_on_samples(model)
    assert proof.batching.fresh and proof.batching.rows == "equal-length"
    middle, long = torch.arange(20)[None] + 5, torch.arange(60)[None] + 5
    before = model.forward(middle)
    model.forward(long)
    assert torch.equal(model.forward(middle), before)


def test_a_layer_that_draws_random_numbers_is_refused(tiny_folder: Folder) -> None:
    model = load_model(tiny_folder("llama"), proved=False)
    model.module.model.layers[0].mlp.down_proj.register_forward_pre_hook(lambda _, x: (x[0] + torch.randn_like(x[0]),))
    with pytest.raises(ModelError, match=r"the same sentence run twice.*differs by .* of the largest"):
        prove_on_samples(model)


def test_our_pass_that_is_not_the_models_own_is_refused(tiny_folder: Folder) -> None:
    """What only the model's own call has, such as a prompt put before each text."""
    model = load_model(tiny_folder("gpt2"), proved=False)
    own = model.module.forward

    def forward(input_ids: torch.Tensor, **named: object) -> object:
        return own(input_ids=input_ids.flip(1), **named)

    model.module.forward = forward
    with pytest.raises(ModelError, match=r"a sentence alone, against the model's own call.*differs by"):
        prove_on_samples(model)


def test_rows_that_change_each_other_are_run_alone(tiny_folder: Folder) -> None:
    class Mixing(nn.Module):
        """Mixes the rows of a batch, as a normalisation over the batch would."""

        def __init__(self, inner: nn.Module) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.inner(x)
            return y + y.mean(0, keepdim=True) if len(y) > 1 else y

    model = load_model(tiny_folder("llama"), proved=False)
    model.module.model.layers[0].self_attn.o_proj = Mixing(model.module.model.layers[0].self_attn.o_proj)
    proof = prove_on_samples(model)
    assert proof.batching.rows == "alone" and proof.errors["equal-length"] > 0.01
    assert any("each sentence is run alone" in note for note in proof.notes)


def test_a_layer_that_runs_in_pieces_is_refused(tiny_folder: Folder) -> None:
    """Hooks would see pieces of the positions."""
    model = load_model(tiny_folder("roberta"), proved=False)
    for layer in model.module.roberta.encoder.layer:
        layer.chunk_size_feed_forward = 1
    with pytest.raises(ModelError, match=r"runs \d+ times in a pass.*chunk_size_feed_forward"):
        prove_on_samples(model)


def test_a_model_that_cannot_be_run_is_told_of(tiny_folder: Folder) -> None:
    model = load_model(tiny_folder("bert"), proved=False)
    for layer in model.module.bert.encoder.layer:
        layer.chunk_size_feed_forward = 7
    with pytest.raises(
        ModelError, match=r"cannot be run as it is configured.*Expected model\(\*\*tokenizer\(text\)\) to run"
    ):
        prove_on_samples(model)


def test_numbers_that_half_precision_cannot_hold_are_told_of(tiny_folder: Folder, tmp_path: Path) -> None:
    model = load_model(tiny_folder("llama"), dtype="float16", proved=False)
    with torch.no_grad():
        model.module.model.layers[1].mlp.up_proj.weight.mul_(30000)
    with pytest.raises(ModelError, match=r"L1 .*not finite.*float16.*Write --dtype float32"):
        prove_on_samples(model)


def test_difference() -> None:
    one = torch.tensor([1.0, -2.0])
    assert difference(one, one) == 0 and difference(one + 1, one) == 0.5
    assert difference(torch.zeros(2), torch.zeros(2)) == 0 and difference(one, torch.zeros(2)) == float("inf")
    assert difference(torch.tensor([float("nan"), 1.0]), one) == float("inf")
    assert difference(one[:1], one) == float("inf")


def test_rotary_error_asks_the_modules(tiny_folder: Folder) -> None:
    assert rotary_error(load_model(tiny_folder("llama"), proved=False).module, 2, CONTEXT) == 0
    assert rotary_error(load_model(tiny_folder("gemma3"), proved=False).module, 2, CONTEXT) == 0  # two kinds of layers
    assert rotary_error(load_model(tiny_folder("gpt2"), proved=False).module, 2, CONTEXT) is None


def test_run_state_sees_and_puts_back_buffers_and_attributes() -> None:
    class Part(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.longest = 3
            self.register_buffer("waves", torch.arange(4.0))

    part = Part()
    state = RunState(part)
    assert state.changed() == []
    part.waves[1] = 7
    part.longest = torch.tensor(5)  # type: ignore[assignment]
    assert sorted(state.changed()) == [".longest", ".waves"]
    state.restore()
    assert state.changed() == [] and part.longest == 3 and part.waves[1] == 1


def test_plain_hooks_see_what_the_watch_sees(tiny_folder: Folder) -> None:
    """On the decoder of an encoder-decoder and on experts too, by code that shares nothing with it."""
    from ffmem.models.plain_call import plain_coefficients, plain_input

    for variant in ("t5", "mixtral", "gpt2"):
        model = load_model(tiny_folder(variant), proved=False)
        given = plain_input(model, "the quick brown fox", "auto")
        assert given is not None
        seen: list[torch.Tensor] = []
        ids = torch.tensor([given.token_ids])
        with model.watch_coefficients(lambda _, m, seen=seen: seen.append(m[0].clone())):
            model.forward(ids, None if model.facts.causal else torch.ones_like(ids))
        for found, expected in zip(plain_coefficients(model, given), seen, strict=True):
            assert difference(found, expected) < 1e-5
        assert isinstance(model.layer(0), DenseLayer) or variant == "mixtral"


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("variant", ["mixtral", "qwen3_moe", "llama", "bert"])
def test_half_precision_runs_and_tells_causal_from_not(variant: str, dtype: str, tiny_folder: Folder) -> None:
    """Routing weights of experts may be float32 beside it; and rounding must not be taken for a look to the right."""
    model = load_model(tiny_folder(variant), dtype=dtype)  # type: ignore[arg-type]
    assert model.batching == Batching(variant != "bert")
