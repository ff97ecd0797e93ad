"""A prediction as a sum: in every family the parts add up to the model's own score."""

import math
import random
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import ffmem
from ffmem import Index, InputError, ModelError
from ffmem.analyses.explain import Explanation, explain
from ffmem.models.families import gemma2
from ffmem.models.families.wikilm import FAMILY
from ffmem.models.tracing import trace
from ffmem.models.transformer import Transformer
from ffmem.models.wikilm import WikiLMConfig, WikiLMForCausalLM

TEXT = "The silver river of the winter village"
FAMILIES = [
    "llama",
    "opt",
    "gpt2",
    "gptj",
    "gpt_neox",
    "gemma2",
    "qwen3",
    "mixtral",
    "bloom",
    "wikilm",
    "wikilm_final_norm",
]


@pytest.mark.parametrize("family", FAMILIES)
def test_the_parts_add_up_to_the_models_own_score(family: str, tiny_folder: Callable[[str], Path]) -> None:
    model = ffmem.load_model(tiny_folder(family))
    before, _ = model.special_tokens("auto")
    ids = torch.tensor([[*before, *model.tokenizer(TEXT, add_special_tokens=False).input_ids]])
    logits = model.logits(ids)
    assert logits is not None
    own = logits[0, -1].double()
    found = explain(model, TEXT)
    assert found.rank == 0 and found.probability == pytest.approx(float(own.softmax(-1).max()), rel=1e-4)
    assert found.error < 1e-4
    cap = getattr(model.module.config, "final_logit_softcapping", None)
    score = math.tanh(found.score / cap) * cap if cap else found.score
    assert score == pytest.approx(float(own.max()), abs=1e-4) and found.own == pytest.approx(float(own.max()), abs=1e-4)
    assert whole(found) == pytest.approx(found.score, abs=1e-4)
    assert family.startswith("wikilm") == (found.normalisers != 0)
    assert found.layers[-1].target_rank == 0 and found.layers[-1].output_probability == pytest.approx(
        found.probability, rel=1e-4
    )


def brute_log_probabilities(model: Transformer, ids: torch.Tensor) -> torch.Tensor:
    """All words' log-probabilities after a text, float64, band by band from the weights."""
    module = model.module
    with torch.no_grad():
        state = module(ids, output_hidden_states=True).hidden_states[-1][0, -1].double()
    weights = {name: tensor.double() for name, tensor in module.state_dict().items()}
    bands = [
        (
            weights[f"model.words.bands.{number}.embedding.weight"],
            weights[f"model.words.bands.{number}.projection.weight"],
        )
        for number in range(len(module.config.bands))
    ]
    first = (bands[0][0] @ state).tolist()
    classes = (weights["softmax.classes.weight"] @ state).tolist()
    highest = max([*first, *classes])
    head = highest + math.log(sum(math.exp(one - highest) for one in [*first, *classes]))
    found = [one - head for one in first]
    for own_class, (words, projection) in zip(classes, bands[1:], strict=True):
        scores = (words @ (projection.T @ state)).tolist()
        highest = max(scores)
        norm = highest + math.log(sum(math.exp(one - highest) for one in scores))
        found += [own_class - head + one - norm for one in scores]
    return torch.tensor(found, dtype=torch.float64)


def words_of_each_band(model: Transformer, n: int, rng: random.Random) -> list[int]:
    """Some words of every band that can be typed."""
    by_id = {number: token for token, number in model.tokenizer.get_vocab().items()}
    found: list[int] = []
    for start, end, _ in model.module.config.bands:
        band = [
            one
            for one in rng.sample(range(start, end), min(end - start, 60))
            if model.tokenizer(by_id.get(one, ""), add_special_tokens=False).input_ids == [one]
        ]
        found += band[:n]
    return found


def whole(found: Explanation) -> float:
    parts = found.embedding + sum(one.attention + one.cells + one.bias for one in found.layers)
    return parts + found.constant + found.normalisers


def wikilm_of(cutoffs: list[int], seed: int, final_norm: bool) -> Transformer:
    """A random model of that family, with the tokenizer of `reference`, whose states are long: normalisers then differ most."""
    torch.manual_seed(seed)
    tokenizer = ffmem.load_model("reference").tokenizer
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
    ids = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    config = WikiLMConfig(
        vocab_size=len(tokenizer), cutoffs=cutoffs, adaptive_factor=2, final_norm=final_norm, **sizes, **ids
    )
    module = WikiLMForCausalLM(config).eval()
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if "classes" in name or "fc2" in name:
                parameter.mul_(20)
            if "norm" in name:
                parameter.add_(torch.randn_like(parameter) * 0.3)
    return Transformer("random", FAMILY, module, tokenizer)


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")  # one band has no classes of bands
@pytest.mark.parametrize("made", ["reference", "three bands", "two bands", "one band", "a final norm"])
def test_under_an_adaptive_softmax_scores_are_the_models_own_log_probabilities(made: str) -> None:
    model = {
        "reference": lambda: ffmem.load_model("reference"),
        "three bands": lambda: wikilm_of([300, 900], 1, False),
        "two bands": lambda: wikilm_of([5], 2, False),
        "one band": lambda: wikilm_of([], 3, False),
        "a final norm": lambda: wikilm_of([50, 60, 2000], 4, True),
    }[made]()
    rng = random.Random(made)
    exact = 1e-9 if model.unembedding.final_norm is None else 1e-5  # the norm's own output is float32
    text = "The trains of the new"
    before, _ = model.special_tokens("auto")
    ids = torch.tensor([[*before, *model.tokenizer(text, add_special_tokens=False).input_ids]])
    brute = brute_log_probabilities(model, ids)
    own = model.module(ids).logits[0, -1].double().detach()
    assert float(brute.exp().sum()) == pytest.approx(1, abs=1e-9) and torch.allclose(brute, own, atol=1e-4)
    words = words_of_each_band(model, 3, rng)
    by_id = {number: token for token, number in model.tokenizer.get_vocab().items()}
    bands = [
        next(n for n, (low, high, _) in enumerate(model.module.config.bands) if low <= one < high) for one in words
    ]
    assert len(set(bands)) == len(model.module.config.bands)
    pairs = [(a, b) for a in range(len(words)) for b in range(len(words)) if a != b]
    for a, b in rng.sample(pairs, min(len(pairs), 6 if made == "reference" else 14)):
        found = explain(model, text, target=by_id[words[a]], against=by_id[words[b]], limit=1)
        expected = float(brute[words[a]] - brute[words[b]])
        assert found.score == pytest.approx(expected, abs=exact) and whole(found) == pytest.approx(expected, abs=2e-4)
        assert found.own == pytest.approx(expected, abs=1e-4) and found.error < 2e-4
        assert (found.normalisers == 0) == (bands[a] == bands[b])
        assert found.quantity == "log-probability"
    alone = explain(model, text, target=by_id[words[-1]], limit=1)
    assert alone.score == pytest.approx(float(brute[words[-1]]), abs=exact)
    assert math.exp(alone.score) == pytest.approx(alone.probability, rel=1e-4)


def test_words_of_different_bands_are_compared_as_the_model_does() -> None:
    found = explain(ffmem.load_model("reference"), "The trains of the new", target="railway", against="ski")
    assert found.score == pytest.approx(3.304, abs=0.01)  # the model prefers the first, whose band is divided by less


@pytest.mark.parametrize("family", [*FAMILIES, "t5", "t5_gated", "t5_scaled", "marian", "opt_post_ln", "phi", "falcon"])
def test_a_score_is_the_models_own_for_any_token(family: str, tiny_folder: Callable[[str], Path]) -> None:
    """Where a head is linear: with its output bias, its scale, what it projects with, and a cap."""
    model = ffmem.load_model(tiny_folder(family))
    ids = torch.tensor([model.tokenizer(TEXT, add_special_tokens=False).input_ids])
    state = trace(model, ids, torch.ones_like(ids))[-1].layer_output[0, -1]
    with torch.no_grad():
        if model.facts.layers[0].stack:  # as the decoder reads the text: after its start token
            start = torch.full((1, 1), model.module.config.decoder_start_token_id)
            own = model.module(input_ids=ids, decoder_input_ids=torch.cat((start, ids), dim=1)).logits[0, -1]
        else:
            own = model.module(ids).logits[0, -1]
    for token in range(0, model.facts.d_vocab, 29):
        score = model.unembedding.linear_score(state, token)
        expected = pytest.approx(float(own[token]), abs=1e-4)
        assert model.unembedding.capped(score.whole(state)) == expected
        if model.unembedding.quantity != "logit before the soft cap":
            assert score.whole(state) == expected


def test_behind_a_soft_cap_the_models_own_is_told_too(tiny_folder: Callable[[str], Path]) -> None:
    model = ffmem.load_model(tiny_folder("gemma2"))
    model.module.config.final_logit_softcapping = 2.0  # so low that it bends scores
    model = Transformer("gemma2", gemma2.FAMILY, model.module, model.tokenizer)
    before, _ = model.special_tokens("auto")
    ids = torch.tensor([[*before, *model.tokenizer(TEXT, add_special_tokens=False).input_ids]])
    own = model.module(ids).logits[0, -1]
    vocabulary = model.tokenizer.get_vocab()
    bent = 0.0
    for target, against in [("t", "o"), ("o", "e"), ("e", "t")]:
        found = explain(model, TEXT, target=target, against=against)
        expected = float(own[vocabulary[target]] - own[vocabulary[against]])
        assert found.own == pytest.approx(expected, abs=1e-5) and found.error < 1e-4
        assert found.score * expected > 0 and found.quantity == "logit before the soft cap"
        bent = max(bent, abs(found.score - expected))
    assert bent > 1e-3


@pytest.mark.parametrize("family", ["llama", "gemma2", "wikilm"])
def test_a_cells_share_is_its_coefficient_times_what_its_value_says(
    family: str, index_of: Callable[[str], Index], tiny_folder: Callable[[str], Path]
) -> None:
    model = ffmem.load_model(tiny_folder(family))
    index = index_of(family)
    found = explain(model, TEXT, index=index, limit=10**6)
    assert len(found.cells) == index.n_cells
    sizes = [abs(one.share) for one in found.cells]
    assert sizes == sorted(sizes, reverse=True)
    for layer in found.layers:
        shares = [one.share for one in found.cells if one.cell.cell.layer == int(layer.layer[1:])]
        assert sum(shares) == pytest.approx(layer.cells, abs=1e-6)
    known = [one for one in found.cells if one.cell.trigger is not None]
    assert known and all(one.cell.promoted for one in found.cells)


def test_against_is_the_difference_of_two(tiny_folder: Callable[[str], Path]) -> None:
    model = ffmem.load_model(tiny_folder("gpt2"))
    one, other = (explain(model, TEXT, target=target) for target in ("t", "o"))
    both = explain(model, TEXT, target="t", against="o")
    assert both.score == pytest.approx(one.score - other.score, abs=1e-6)
    assert both.embedding == pytest.approx(one.embedding - other.embedding, abs=1e-6)
    for a, b, c in zip(one.layers, other.layers, both.layers, strict=True):
        assert c.attention == pytest.approx(a.attention - b.attention, abs=1e-6)
        assert c.cells == pytest.approx(a.cells - b.cells, abs=1e-6)


def test_what_cannot_be_explained_is_refused(tiny_folder: Callable[[str], Path]) -> None:
    gpt2 = ffmem.load_model(tiny_folder("gpt2"))
    with pytest.raises(InputError, match=r"is \d+ tokens: .*exactly one token"):
        explain(gpt2, TEXT, target=" no such token at all")
    with pytest.raises(InputError, match="has no token"):
        explain(gpt2, "")
    with pytest.raises(InputError, match="not a causal language model"):
        explain(ffmem.load_model(tiny_folder("bert")), TEXT)
    with pytest.raises(InputError, match="not a causal language model"):
        explain(ffmem.load_model(tiny_folder("t5")), TEXT)


def test_parts_that_are_not_those_of_the_models_own_score_are_refused(tiny_folder: Callable[[str], Path]) -> None:
    """A head that does more than its family says, such as one that divides its logits."""
    model = ffmem.load_model(tiny_folder("llama"))
    model.module.lm_head.register_forward_hook(lambda _, __, logits: logits / 8)
    with pytest.raises(
        ModelError, match=r"the parts of a prediction of llama do not add up to its own score: they differ by"
    ):
        explain(model, "the quick brown")
