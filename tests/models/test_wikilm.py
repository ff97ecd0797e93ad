"""The paper's own kind of model: its size, its adaptive softmax, and what that means for rankings."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from ffmem import Index, InputError, load_model
from ffmem.models.tracing import trace
from ffmem.models.transformer import Transformer
from ffmem.models.wikilm import AdaptiveInput, WikiLMConfig, WikiLMForCausalLM, sinusoids
from ffmem.queries import promotes


@pytest.fixture
def model(tiny_folder: Callable[[str], Path]) -> Transformer:
    return load_model(tiny_folder("wikilm"))


def test_the_papers_size_part_by_part() -> None:
    with torch.device("meta"):
        parameters = dict(WikiLMForCausalLM(WikiLMConfig()).named_parameters())

    def count(*parts: str) -> int:
        return sum(tensor.numel() for name, tensor in parameters.items() if all(part in name for part in parts))

    d, n_layers = 1024, 16
    attention, ff = count(".attention.", "weight"), count(".fc", "weight")
    embeddings, projections = count("embedding.weight"), count("projection.weight")
    assert attention == 4 * d * d * n_layers == 67_108_864
    assert ff == 8 * d * d * n_layers == 134_217_728
    assert embeddings == 20_000 * 1024 + 40_000 * 256 + 207_744 * 64 == 44_015_616
    assert projections == (1024 + 256 + 64) * 1024 == 1_376_256
    assert round((attention + ff + embeddings + projections) / 1e6, 1) == 246.7
    # what that sum leaves out: biases, LayerNorms and the two classes of the softmax
    small = count("bias") + count("norm.weight") + count("classes")
    assert small == n_layers * (4 * d + 4 * d + d) + n_layers * 4 * d + 2 * d
    assert sum(tensor.numel() for tensor in parameters.values()) == 246_718_464 + small
    assert 0.54 < ff / (attention + ff + embeddings + projections) < 0.55
    assert n_layers * parameters["model.layers.0.fc1.weight"].shape[0] == 65_536


def test_log_probabilities_are_of_all_words(model: Transformer) -> None:
    states = torch.randn(7, model.facts.d_model, generator=torch.Generator().manual_seed(0))
    found = model.project(states, "adaptive")
    assert found.shape == (7, model.facts.d_vocab)
    torch.testing.assert_close(found.exp().sum(-1), torch.ones(7))
    words = torch.tensor([0, 99, 100, 249, 250, model.facts.d_vocab - 1, 5])
    one_each = model.module.log_probabilities_of(states, words)
    torch.testing.assert_close(one_each, found.gather(1, words[:, None])[:, 0])


def test_the_prediction_needs_nothing_folded(model: Transformer) -> None:
    """top(o^L) of the last layer's output itself is the model's prediction."""
    token_ids = torch.randint(2, model.facts.d_vocab, (4, 9), generator=torch.Generator().manual_seed(1))
    last = trace(model, token_ids)[-1].layer_output
    own = model.logits(token_ids)
    assert own is not None and torch.equal(model.project(last, "adaptive").argmax(-1), own.argmax(-1))


def test_rankings_depend_on_the_length_of_a_vector(model: Transformer) -> None:
    """As no linear projection's do: the official code takes a value's ranking for that of any multiple of it."""
    values = model.value_rows(0)
    model.module.softmax.classes.weight.mul_(8)  # so that rarer words come first often enough
    model.module.model.words.bands[1].embedding.weight.mul_(4)
    matrix = torch.cat([band.embedding.weight @ band.projection.weight.T for band in model.module.model.words.bands])
    one, ten = (model.project(scale * values, "adaptive").argmax(-1) for scale in (1.0, 10.0))
    assert 0 < int((one != ten).sum()) < len(values)
    assert torch.equal((values @ matrix.T).argmax(-1), (10 * values @ matrix.T).argmax(-1))
    # within a band the ranking does not
    inside = (
        model.project(values, "adaptive")[:, 100:250].argsort(-1),
        model.project(10 * values, "adaptive")[:, 100:250],
    )
    assert torch.equal(inside[0][:, -1], inside[1].argmax(-1))


def test_there_is_no_matrix_and_no_raw_projection(model: Transformer) -> None:
    for projection, told in (
        ("adaptive", "is not linear"),
        ("raw", r"no projection 'raw'.* Expected one of: adaptive"),
    ):
        with pytest.raises(InputError, match=told):
            model.projection_matrix(projection)  # type: ignore[arg-type]


def test_cells_that_promote_a_word_by_its_true_rank(index_of: Callable[[str], Index], model: Transformer) -> None:
    index = index_of("wikilm")
    assert set(index.manifest.layer_projections) == {"adaptive"}
    token = index.cell("L1.5").promoted[3]
    for with_model in (None, model):
        found = promotes(index, f"id:{token.token_id}", model=with_model, limit=10_000)
        (row,) = [row for row in found.rows if str(row.cell) == "L1.5"]
        assert row.rank == 3 and row.logit == pytest.approx(token.logit, abs=1e-5)
        assert row.true_rank == (None if with_model is None else 3)
    scores = [row.logit for row in found.rows]
    assert scores == sorted(scores, reverse=True) and scores[0] < 0  # logarithms of probabilities
    values = torch.cat([model.value_rows(layer) for layer in range(3)])
    best = model.project(values, "adaptive")[:, token.token_id].max()
    assert scores[0] == pytest.approx(float(best), abs=1e-5)


def test_padding_on_the_left_changes_nothing(model: Transformer) -> None:
    token_ids = torch.randint(2, model.facts.d_vocab, (1, 6), generator=torch.Generator().manual_seed(2))
    padded = torch.cat((torch.ones(1, 3, dtype=torch.long), token_ids), 1)
    mask = torch.tensor([[0, 0, 0, 1, 1, 1, 1, 1, 1]])
    torch.testing.assert_close(model.forward(padded, mask)[:, 3:], model.forward(token_ids))


def test_positions_are_waves() -> None:
    found = sinusoids(torch.tensor([2, 3]), 6)
    rates = [1, 0.01, 0.0001]
    for row, position in zip(found.tolist(), (2, 3), strict=True):
        angles = torch.tensor([position * rate for rate in rates], dtype=torch.float64)
        assert row == pytest.approx([*angles.sin().tolist(), *angles.cos().tolist()], abs=1e-6)


def small(**more: object) -> WikiLMForCausalLM:
    """By hand, with numbers that are not small."""
    torch.manual_seed(0)
    config = WikiLMConfig(
        vocab_size=40, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24,
        adaptive_factor=2, **{"cutoffs": [10, 25]} | more,
    )  # fmt: skip
    made = WikiLMForCausalLM(config).eval().requires_grad_(False)
    for parameter in made.parameters():
        parameter.normal_(std=0.5)
    return made


def test_the_softmax_is_that_of_torch() -> None:
    """Of Grave et al., as PyTorch has it, with the same vectors put into it."""
    made = small()
    words = made.model.words.bands
    own = nn.AdaptiveLogSoftmaxWithLoss(16, 40, [10, 25], div_value=2.0, head_bias=False).requires_grad_(False)
    own.head.weight.copy_(torch.cat((words[0].embedding.weight, made.softmax.classes.weight)))
    for (down, up), band in zip(own.tail, words[1:], strict=True):
        down.weight.copy_(band.projection.weight.T)
        up.weight.copy_(band.embedding.weight)
    states = torch.randn(9, 16, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(made.log_probabilities(states), own.log_prob(states))
    ids = torch.tensor([0, 9, 10, 24, 25, 39, 12, 3, 30])  # the first and last of each band among them
    torch.testing.assert_close(made.log_probabilities_of(states, ids), own(states, ids).output)


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")  # of torch: a single band has no classes
@pytest.mark.parametrize("cutoffs", [[10, 25], [10], []])
def test_a_score_is_a_product_less_what_normalises_it(cutoffs: list[int]) -> None:
    made = small(cutoffs=cutoffs)
    states = torch.randn(3, 16, generator=torch.Generator().manual_seed(2)).double()
    expected = made.double().log_probabilities(states)
    for state, row in zip(states, expected, strict=True):
        scores = [state @ made.direction(word) - made.normalisers(state, word) for word in range(40)]
        torch.testing.assert_close(torch.stack(scores), row)
    with pytest.raises(IndexError, match="no word 40"):
        made.direction(40)


def test_words_are_looked_up_band_by_band() -> None:
    made = small()
    ids = torch.tensor([[0, 9, 10], [24, 25, 39]])
    found = made.model.words(ids)
    assert isinstance(made.get_input_embeddings(), AdaptiveInput) and found.shape == (2, 3, 16)
    for row, column in ((0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)):
        word = int(ids[row, column])
        band, start = next((number, start) for number, start in ((2, 25), (1, 10), (0, 0)) if word >= start)
        vectors = made.model.words.bands[band]
        by_hand = vectors.projection.weight @ vectors.embedding.weight[word - start]
        torch.testing.assert_close(found[row, column], by_hand)
    assert [band.embedding.weight.shape for band in made.model.words.bands] == [(10, 16), (15, 8), (15, 4)]


def by_hand(made: WikiLMForCausalLM, ids: list[int]) -> torch.Tensor:
    """Final states of one sentence, position by position, from the formulas of the paper alone."""
    model = made.model
    states = [model.words(torch.tensor([[word]]))[0, 0] * 4 for word in ids]  # the root of 16
    states = [state + sinusoids(torch.tensor([2 + place]), 16)[0] for place, state in enumerate(states)]
    for layer in model.layers:
        attn, after = layer.attention, []
        normed = [layer.attention_norm(state) for state in states]
        for place, state in enumerate(states):
            heads = []
            for head in (slice(0, 8), slice(8, 16)):
                query = attn.query(normed[place])[head]
                scores = torch.stack([query @ attn.key(other)[head] for other in normed[: place + 1]]) / 8**0.5
                values = torch.stack([attn.value(other)[head] for other in normed[: place + 1]])
                heads.append(scores.softmax(0) @ values)
            after.append(state + attn.output(torch.cat(heads)))
        states = [one + layer.fc2(layer.fc1(layer.ff_norm(one)).clamp(min=0)) for one in after]
    return torch.stack([state if model.final_norm is None else model.final_norm(state) for state in states])


@pytest.mark.parametrize("final_norm", [False, True])
@pytest.mark.parametrize("way", ["sdpa", "eager"])
def test_states_are_those_of_the_formulas(way: str, final_norm: bool) -> None:
    made = small(final_norm=final_norm)
    made.config._attn_implementation = way
    ids = [3, 14, 15, 9, 26, 35]
    found = made.model(torch.tensor([ids, ids[::-1]]), output_hidden_states=True)
    torch.testing.assert_close(found.last_hidden_state[0], by_hand(made, ids), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(found.last_hidden_state[1], by_hand(made, ids[::-1]), atol=1e-4, rtol=1e-4)
    assert len(found.hidden_states) == 3 and torch.equal(found.hidden_states[-1], found.last_hidden_state)
    torch.testing.assert_close(
        made(torch.tensor([ids])).logits, made.log_probabilities(found.last_hidden_state[:1]), atol=1e-4, rtol=1e-4
    )


def test_defaults_are_the_papers_and_beginnings_are_small() -> None:
    config = WikiLMConfig()
    assert config.bands == [(0, 20_000, 1024), (20_000, 60_000, 256), (60_000, 267_744, 64)]
    torch.manual_seed(0)
    config = WikiLMConfig(vocab_size=400, cutoffs=[100], hidden_size=64, num_hidden_layers=1)
    made = WikiLMForCausalLM(config).requires_grad_(False)
    assert float(made.model.layers[0].fc1.weight.std()) == pytest.approx(0.02, rel=0.05)
    for band, d_band in zip(made.model.words.bands, (64, 16), strict=True):
        assert float(band.embedding.weight.std()) == pytest.approx(d_band**-0.5, rel=0.05)
    assert made.get_output_embeddings() is None
    assert made.model.layers[0].ff_norm.weight.tolist() == [1.0] * 64
