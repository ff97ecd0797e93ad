"""An edit as a whole: what is reported is what the changed model does, and the model is as it was."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ffmem import InputError, load_model
from ffmem.analyses.editing.asking import asked, first_answers, log_probabilities
from ffmem.analyses.editing.edit import edit, with_old_answers
from ffmem.analyses.editing.facts import Fact
from ffmem.analyses.editing.options import EditOptions
from ffmem.corpus.documents import Document
from ffmem.models.patches.changes import changed_values

FACT = Fact("the silver river of the", "quick", "silver river", "", ("a silver river of",), ("the old village of",))
OPTIONS = EditOptions(layer=0, contexts=1, steps=6, tokens=200, length=16)


def test_the_report_is_what_the_changed_model_does_and_the_model_is_as_before(
    tiny_folder: Callable[[str], Path], editing_documents: list[Document], tmp_path: Path
) -> None:
    model = load_model(tiny_folder("llama"))
    before = model.weights_hash()
    said: list[str] = []
    made = edit(model, [FACT], editing_documents, OPTIONS, side_tokens=60, folder=tmp_path, progress=said.append)
    assert model.weights_hash() == before
    old = first_answers(model, [FACT.prompt])[0]
    assert made.facts[0].old == old
    report = made.report
    (one,) = report.facts
    own = [float(log_probabilities(model, [asked(model, FACT.prompt, answer)]).exp()) for answer in (old, "quick")]
    with changed_values(model, made.edit.changes):
        now = [float(log_probabilities(model, [asked(model, FACT.prompt, answer)]).exp()) for answer in (old, "quick")]
    np.testing.assert_allclose([one.old_before, one.new_before, one.old_after, one.new_after], [*own, *now], rtol=1e-3)
    assert [effect.kind for effect in report.effects] == ["prompt", "paraphrase", "neighbour"]
    assert report.effects[0].before.value == 0.0
    assert report.layers == ("L0",)
    assert report.side is not None
    assert report.side.moved.n_moved == model.cells.layers[0].n_cells
    assert report.side.divergence.value > 0
    assert report.side.n_positions == 60
    assert list(tmp_path.glob("moments-*.safetensors"))
    assert said[0] == "reading held-out text"
    assert report.to_json()["facts"][0]["new"] == "quick"


def test_what_a_text_is_measured_on_can_be_left_out(
    tiny_folder: Callable[[str], Path], editing_documents: list[Document]
) -> None:
    model = load_model(tiny_folder("llama"))
    made = edit(model, [FACT], editing_documents, replace(OPTIONS, method="tune"), side_tokens=0)
    assert made.report.side is None
    assert made.asked_for == [
        {"prompt": FACT.prompt, "subject": "silver river", "old": made.facts[0].old, "new": "quick"}
    ]


def test_the_same_call_gives_the_same_edit(
    tiny_folder: Callable[[str], Path], editing_documents: list[Document]
) -> None:
    model = load_model(tiny_folder("gpt2"))
    first, again = (edit(model, [FACT], editing_documents, OPTIONS, side_tokens=0).edit.changes[0] for _ in range(2))
    assert torch.equal(first.left, again.left) and torch.equal(first.right, again.right)  # type: ignore[union-attr]


def test_a_value_by_hand_needs_no_fact_and_no_text(tiny_folder: Callable[[str], Path]) -> None:
    model = load_model(tiny_folder("llama"))
    made = edit(model, [], [], EditOptions(method="cell", cell="L1.5", promote=" the"), side_tokens=0)
    assert made.report.cells == ("L1.5",)
    assert made.report.effects == () and made.report.facts == ()


def test_no_fact_is_refused(tiny_folder: Callable[[str], Path]) -> None:
    with pytest.raises(InputError, match="no fact is given for the method rome"):
        edit(load_model(tiny_folder("llama")), [], [], EditOptions())


def test_a_new_answer_that_the_model_gives_already_is_refused(tiny_folder: Callable[[str], Path]) -> None:
    model = load_model(tiny_folder("llama"))
    told = first_answers(model, [FACT.prompt])[0]
    with pytest.raises(InputError, match="is the old one"):
        with_old_answers(model, [replace(FACT, new=told)])
