"""Edits on tiny models of several families: what they promise, measured by plain passes of the changed model."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from ffmem import InputError, load_model
from ffmem.analyses.editing.asking import asked, log_probabilities
from ffmem.analyses.editing.edit import workshop_of
from ffmem.analyses.editing.facts import Fact
from ffmem.analyses.editing.methods import make_edit, place_of, promoting
from ffmem.analyses.editing.options import EditOptions
from ffmem.corpus.documents import Document
from ffmem.models.patches.changes import Added, Replaced, changed_values
from ffmem.models.transformer import Transformer
from tests.analyses.editing.conftest import PLANTED_CELL, PLANTED_OLD, PLANTED_PROMPT

FACTS = (
    Fact("the silver river of the", "quick", "silver river"),
    Fact("the lazy dog and the", "winter", "lazy dog"),
)
FAMILIES = ("gpt2", "llama", "mixtral", "gpt_neox", "gemma2", "opt", "qwen3_moe")
"""Conv1D; gated; experts; parallel; a norm behind y."""
Coefficients = dict[int, torch.Tensor]


def coefficients(model: Transformer, text: str) -> Coefficients:
    seen: Coefficients = {}
    with torch.no_grad(), model.watch_coefficients(lambda place, m: seen.setdefault(place, m.clone())):
        model.forward(torch.tensor([model.tokenizer(text).input_ids]))
    return seen


def options(**more: object) -> EditOptions:
    return EditOptions(**({"layer": 0, "contexts": 1, "steps": 6, "tokens": 200, "length": 16} | more))  # type: ignore[arg-type]


@pytest.mark.parametrize("family", FAMILIES)
def test_rome_gives_the_mean_key_its_wanted_output_and_moves_no_coefficient_up_to_its_layer(
    family: str, tiny_folder: Callable[[str], Path], editing_documents: list[Document]
) -> None:
    model = load_model(tiny_folder(family))
    workshop = workshop_of(model, editing_documents, options())
    fact = FACTS[0]
    rows = workshop.rows(fact)
    key = workshop.key(0, rows)
    own_values, own_output = model.values(0).double().clone(), workshop.output(0, key)
    before, text = (
        coefficients(model, "the quick brown fox of the silver river"),
        "the quick brown fox of the silver river",
    )
    edit = make_edit(workshop, [fact])
    change = edit.changes[0]
    assert isinstance(change, Added) and change.left.shape[1] == 1
    moved = change.left.double() @ change.right.double()
    # what the change adds at k* is what was wanted: exact but for the file's float32
    torch.testing.assert_close(moved.T @ key, edit.wanted[0].change, rtol=1e-5, atol=1e-6 * float(own_output.norm()))
    with changed_values(model, edit.changes):
        torch.testing.assert_close(model.values(0).double(), own_values + moved, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(
            workshop.output(0, key), own_output + edit.wanted[0].change, rtol=1e-4, atol=1e-4 * float(own_output.norm())
        )
        after = coefficients(model, text)
        probable = float(log_probabilities(model, [asked(model, fact.prompt, fact.new)]))
    assert torch.equal(before[0], after[0])
    assert not torch.equal(before[1], after[1])
    assert probable > float(log_probabilities(model, [asked(model, fact.prompt, fact.new)]))


def test_rome_of_two_facts_is_of_rank_two_and_says_both(
    tiny_folder: Callable[[str], Path], editing_documents: list[Document]
) -> None:
    model = load_model(tiny_folder("llama"))
    edit = make_edit(workshop_of(model, editing_documents, options(steps=25)), FACTS)
    change = edit.changes[0]
    assert isinstance(change, Added)
    assert int(torch.linalg.matrix_rank(change.left.double() @ change.right.double())) == 2
    rows = [asked(model, fact.prompt, fact.new) for fact in FACTS]
    own = log_probabilities(model, rows)
    with changed_values(model, edit.changes):
        assert bool((log_probabilities(model, rows) > own + 0.5).all())


@pytest.mark.parametrize("family", ["gpt2", "llama", "mixtral"])
def test_memit_spreads_facts_over_layers_and_reaches_the_wanted_stream_at_weight_0(
    family: str, tiny_folder: Callable[[str], Path], editing_documents: list[Document]
) -> None:
    """What is missing of the stream behind the last layer, by plain hooks, is nothing."""
    model = load_model(tiny_folder(family))
    workshop = workshop_of(model, editing_documents, options(method="memit", layer=1, spread=2, weight=0.0, contexts=0))
    ids = [asked(model, fact.prompt, fact.new, fact.subject) for fact in FACTS]

    def stream(row: object) -> torch.Tensor:
        seen: list[torch.Tensor] = []
        handle = model.layer(1).module.register_forward_hook(
            lambda _, __, output: seen.append(output if isinstance(output, torch.Tensor) else output[0])
        )
        with torch.no_grad():
            model.module(torch.tensor([row.ids]))  # type: ignore[attr-defined]
        handle.remove()
        return seen[0][0, row.key].double()  # type: ignore[attr-defined]

    own = [stream(row) for row in ids]
    edit = make_edit(workshop, FACTS)
    assert sorted(edit.changes) == [0, 1]
    for change in edit.changes.values():
        assert isinstance(change, Added) and change.left.shape[1] == 2
    with changed_values(model, edit.changes):
        for row, before, wanted in zip(ids, own, edit.wanted, strict=True):
            torch.testing.assert_close(stream(row), before + wanted.change, rtol=1e-3, atol=2e-3 * float(before.norm()))


def test_memit_of_one_layer_works_behind_a_norm_and_of_several_is_refused_there(
    tiny_folder: Callable[[str], Path], editing_documents: list[Document]
) -> None:
    model = load_model(tiny_folder("gemma2"))
    one = make_edit(
        workshop_of(model, editing_documents, options(method="memit", spread=1, weight=0.0, steps=25)), FACTS[:1]
    )
    row = [asked(model, FACTS[0].prompt, FACTS[0].new)]
    own = float(log_probabilities(model, row))
    with changed_values(model, one.changes):
        assert float(log_probabilities(model, row)) > own + 0.5
    with pytest.raises(InputError, match="passes a norm or a factor on its way up"):
        make_edit(workshop_of(model, editing_documents, options(method="memit", layer=1, spread=2)), FACTS)


@pytest.mark.parametrize("family", ["gpt2", "llama", "mixtral"])
def test_tuned_values_stay_within_their_bound_and_say_the_answer_more(
    family: str, tiny_folder: Callable[[str], Path], editing_documents: list[Document]
) -> None:
    model = load_model(tiny_folder(family))
    share = 0.05
    edit = make_edit(workshop_of(model, editing_documents, options(method="tune", bound=share)), FACTS)
    change = edit.changes[0]
    assert isinstance(change, Replaced)
    own = model.values(0).double()
    bound = share * float(own.square().mean().sqrt())
    moved = change.applied(model.values(0)).double() - own
    assert bound * 0.5 < float(moved.abs().max()) <= bound * (1 + 1e-5)
    rows = [asked(model, fact.prompt, fact.new) for fact in FACTS]
    before = log_probabilities(model, rows).sum()
    with changed_values(model, edit.changes):
        assert float(log_probabilities(model, rows).sum()) > float(before) + 0.1


def test_the_first_step_of_tuning_goes_down_the_models_own_gradient(
    tiny_folder: Callable[[str], Path], editing_documents: list[Document]
) -> None:
    """Adam's first step has the signs of the gradient: against that of plain torch."""
    model, plain = load_model(tiny_folder("llama")), load_model(tiny_folder("llama")).module
    edit = make_edit(workshop_of(model, editing_documents, options(method="tune", steps=1)), FACTS[:1])
    moved = edit.changes[0].applied(model.values(0)).double() - model.values(0).double()
    row = asked(model, FACTS[0].prompt, FACTS[0].new)
    weight = plain.model.layers[0].mlp.down_proj.weight.requires_grad_()
    scores = plain(torch.tensor([row.ids])).logits[0].log_softmax(-1)
    sum(scores[at, target] for at, target in zip(row.at, row.targets, strict=True)).backward()
    large = weight.grad.T.abs() > 1e-4
    assert bool((torch.sign(moved)[large] == torch.sign(weight.grad.T)[large]).all())
    assert int(large.sum()) > 100


def test_the_cell_of_a_planted_fact_is_changed_and_says_the_new_answer(
    planted: Transformer, editing_documents: list[Document]
) -> None:
    fact = Fact(PLANTED_PROMPT, "the", "silver", PLANTED_OLD)
    edit = make_edit(
        workshop_of(planted, editing_documents, options(method="knowledge", layer=None, scale=2.0)), [fact]
    )
    place, row = PLANTED_CELL
    assert edit.cells == (f"L{place}.{row}",)
    change = edit.changes[place]
    assert isinstance(change, Replaced) and change.rows.tolist() == [row]
    unembedding = planted.module.get_output_embeddings().weight
    new, old = (planted.tokenizer(f" {one}").input_ids[-1] for one in (fact.new, fact.old))
    old_row = asked(planted, fact.prompt, fact.old).targets[0]
    expected = planted.values(place)[row] + 2 * (unembedding[new] - unembedding[old_row])
    torch.testing.assert_close(change.values[0], expected.detach(), rtol=1e-5, atol=1e-5)
    assert old != new
    with pytest.raises(InputError, match="has no old answer"):
        make_edit(workshop_of(planted, editing_documents, options(method="knowledge", layer=None)), FACTS[:1])


@pytest.mark.parametrize("by", [7.0, -3.0])
def test_a_value_set_by_hand_scores_its_token_by_so_much_more(by: float, tiny_folder: Callable[[str], Path]) -> None:
    model = load_model(tiny_folder("llama"))
    workshop = workshop_of(model, [], EditOptions(method="cell", cell="L1.5", promote=" the", by=by))
    edit = make_edit(workshop, [])
    token = model.tokenizer(" the", add_special_tokens=False).input_ids[0]
    direction = model.module.get_output_embeddings().weight[token]
    own = float(model.values(1)[5] @ direction)
    with changed_values(model, edit.changes):
        assert float(model.values(1)[5] @ direction) == pytest.approx(own + by, rel=1e-4)
        across = torch.linalg.svd(direction[None]).Vh[1:]
    torch.testing.assert_close(
        across @ edit.changes[1].values[0],
        across @ model.values(1)[5],
        rtol=1e-4,
        atol=1e-4,  # type: ignore[union-attr]
    )


def test_a_model_without_raw_scores_has_no_direction_of_a_token(tiny_folder: Callable[[str], Path]) -> None:
    model = load_model(tiny_folder("wikilm"))
    with pytest.raises(InputError, match=r"wikilm gives no raw scores.*Write --method rome, memit or tune"):
        promoting(model, 1, 5, 7, 2.0)


def test_a_masked_model_is_edited_at_its_mask(
    tiny_folder: Callable[[str], Path], editing_documents: list[Document]
) -> None:
    model = load_model(tiny_folder("bert"))
    fact = Fact("the silver [MASK] of the village", "the")
    edit = make_edit(workshop_of(model, editing_documents, options(steps=25)), [fact])
    row = [asked(model, fact.prompt, fact.new)]
    own = float(log_probabilities(model, row))
    with changed_values(model, edit.changes):
        assert float(log_probabilities(model, row)) > own + 0.5


def test_layers_are_named_by_their_number_and_found_a_third_of_the_way_up(tiny_folder: Callable[[str], Path]) -> None:
    model = load_model(tiny_folder("llama"))
    assert place_of(model, None) == (model.facts.n_layers - 1) // 3
    assert place_of(model, 1) == 1
    with pytest.raises(InputError, match=r"--layer is 9, and .* has 3 layers. Expected a number from 0 to 2"):
        place_of(model, 9)
