"""The paper's own kind of model: its size, its adaptive softmax, and what that means for rankings."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from ffmem import Index, InputError, load_model
from ffmem.models.transformer import Transformer
from ffmem.models.wikilm import WikiLMConfig, WikiLMForCausalLM, sinusoids
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
    from ffmem.models.tracing import trace

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
