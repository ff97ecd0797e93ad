"""What else changes, against loops over plain passes."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from ffmem import InputError, load_model
from ffmem.analyses.editing import side_effects
from ffmem.analyses.editing.side_effects import N_TOP, Bystanders, moved_cells
from ffmem.analyses.editing.text import Window, windows
from ffmem.corpus.documents import Document
from ffmem.models.patches.changes import Added, Replaced, changed_values
from ffmem.models.transformer import Transformer


def text_of(model: Transformer, documents: list[Document]) -> list[Window]:
    return windows(model, documents, "held-out", n_tokens=50, length=16)


def change_of(model: Transformer, place: int) -> dict[int, Added]:
    generator = torch.Generator().manual_seed(2)
    n, d = model.values(place).shape
    return {place: Added(torch.randn(n, 1, generator=generator), torch.randn(1, d, generator=generator))}


def plainly(model: Transformer, text: list[Window]) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """ln p at each own position, and the coefficients of each layer there."""
    scores, layers = [], [[] for _ in range(model.facts.n_layers)]  # type: ignore[var-annotated]
    for one in text:
        ids = torch.tensor([one.ids])

        def keep(place: int, m: torch.Tensor, first: int = one.first) -> None:
            layers[place].append(m[0, first:].clone())

        with torch.no_grad(), model.watch_coefficients(keep):
            scores.append(model.module(ids).logits[0, one.first :].double().log_softmax(-1))
    return torch.cat(scores), [torch.cat(one).double() for one in layers]


def strongest(m: torch.Tensor) -> set[int]:
    """The positions at which a cell is strongest: none at which its coefficient is 0, as those of ReLU cells mostly are."""
    return {one for one in m.abs().topk(N_TOP).indices.tolist() if m[one] != 0}


@pytest.mark.parametrize("family", ["gpt2", "llama", "opt"])
def test_divergence_loss_activity_and_strongest_positions_are_those_of_loops(
    family: str, tiny_folder: Callable[[str], Path], editing_documents: list[Document]
) -> None:
    model = load_model(tiny_folder(family))
    text = text_of(model, editing_documents)
    beside = Bystanders(model, text)
    before, m_before = plainly(model, text)
    with changed_values(model, change_of(model, 1)):
        effects, cells = beside.after()
        after, m_after = plainly(model, text)
    divergence = (before.exp() * (before - after)).sum(-1).numpy()
    np.testing.assert_allclose(effects.divergence, divergence, rtol=1e-3, atol=1e-5)
    assert effects.other_top.tolist() == (before.argmax(-1) != after.argmax(-1)).double().tolist()
    expected, at = [], 0
    for one in text:
        own = one.ids[one.first :]
        expected += [float(before[at + i, own[i + 1]] - after[at + i, own[i + 1]]) for i in range(len(own) - 1)] + [
            np.nan
        ]
        assert set(effects.document[at : at + len(own)].tolist()) == {one.document}
        at += len(own)
    np.testing.assert_allclose(effects.loss, expected, atol=1e-4)
    for place, (own, now) in enumerate(zip(m_before, m_after, strict=True)):
        rates = [abs(int((own[:, i] > 0).sum()) - int((now[:, i] > 0).sum())) for i in range(own.shape[1])]
        assert cells.rate[place] == pytest.approx(np.mean(rates) / len(own))
        assert cells.changed[place] == sum(one > 0 for one in rates)
        shares = [len(strongest(own[:, i]) & strongest(now[:, i])) / n for i in range(own.shape[1])
                  if (n := len(strongest(own[:, i])))]  # fmt: skip
        assert cells.n_strong[place] == len(shares)
        assert cells.overlap[place] == pytest.approx(np.mean(shares), abs=2e-3)
    assert cells.changed[:2].tolist() == [0, 0]
    assert cells.overlap[:2].tolist() == [1.0, 1.0]
    assert cells.changed[2] > 0


def test_nothing_changes_where_nothing_is_changed(
    tiny_folder: Callable[[str], Path], editing_documents: list[Document]
) -> None:
    model = load_model(tiny_folder("mixtral"))
    effects, cells = Bystanders(model, text_of(model, editing_documents)).after()
    assert effects.divergence.max() == 0.0 == effects.other_top.max()
    assert np.nanmax(np.abs(effects.loss)) == 0.0
    assert cells.rate.max() == 0.0 and cells.overlap.min() == 1.0


def test_how_far_values_move_over_all_cells(tiny_folder: Callable[[str], Path]) -> None:
    model = load_model(tiny_folder("llama"))
    own = model.values(1)
    new = own[[2, 5]].clone()
    new[0] *= 3
    new[1] += 0.25
    found = moved_cells(model, {1: Replaced(torch.tensor([2, 5]), new)})
    sizes = [2 * float(own[2].norm()), 0.25 * model.facts.d_model**0.5]
    squares = [one**2 for one in sizes]
    assert (found.n_cells, found.n_moved) == (model.cells.n_cells, 2)
    assert found.touched == pytest.approx(sum(squares) ** 2 / sum(one**2 for one in squares), rel=1e-5)
    assert found.largest == pytest.approx(max(2.0, sizes[1] / float(own[5].norm())), rel=1e-5)
    assert found.norm == pytest.approx((sum(squares) / float((own**2).sum())) ** 0.5, rel=1e-5)


def test_text_whose_scores_take_too_much_memory_is_refused(
    tiny_folder: Callable[[str], Path], editing_documents: list[Document], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load_model(tiny_folder("llama"))
    monkeypatch.setattr(side_effects, "_MOST_SCORES", 4 * 20 * model.facts.d_vocab)
    with pytest.raises(InputError, match="Write --side-tokens 20"):
        Bystanders(model, text_of(model, editing_documents))


def test_a_cell_that_is_silent_has_no_strongest_positions(
    tiny_folder: Callable[[str], Path], editing_documents: list[Document]
) -> None:
    model = load_model(tiny_folder("opt"))
    bias = model.module.get_parameter("model.decoder.layers.2.fc1.bias")
    bias.data = bias.data.clone()
    bias.data[5:] = -100.0
    beside = Bystanders(model, text_of(model, editing_documents))
    cells = beside.after()[1]
    assert cells.n_strong[2] <= 5 and cells.mean_overlap(2) == 1.0
    bias.data[:] = -100.0
    assert beside.after()[1].overlap[2] == 0.0
    none = Bystanders(model, text_of(model, editing_documents)).after()[1]
    assert none.n_strong[2] == 0 and np.isnan(none.mean_overlap(2)) and none.mean_overlap() == 1.0
