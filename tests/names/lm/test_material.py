from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import ffmem
from ffmem.ids import CellId
from ffmem.names.lm.controls import FAKES, Task
from ffmem.names.lm.from_model import FromModel
from ffmem.names.lm.items import Items
from ffmem.names.lm.judge import MEASURES
from ffmem.names.lm.known import Unit
from ffmem.names.lm.material import Material, NotAsked
from ffmem.names.lm.run import Failed
from ffmem.names.lm.texts import Texts

UNIT = Unit(CellId(1, 3), -1)


@pytest.fixture(scope="module")
def material(labelled_of: Callable[[str], ffmem.Index], tiny_folder: Callable[[str], Path]) -> Iterator[Material]:
    texts = Texts(labelled_of("llama"))
    with FromModel(ffmem.load_model(str(tiny_folder("llama"))), texts) as model:
        yield Material(texts, model, MEASURES)


def truth(material: Material, tokens: list[int]) -> np.ndarray:
    text = material.texts.index.text
    assert material.model is not None
    sentences = text.sentence_of(np.array(tokens)).tolist()
    values = material.model.coefficients(UNIT, sentences)
    return np.array(
        [values[s][t - text.sentence_range(s)[0]] for t, s in zip(tokens, sentences, strict=True)]
    )  # fmt: skip


def test_hard_negatives_are_silent_by_the_model(material: Material) -> None:
    items, shown = material.items(Task(UNIT)), material.shown(Task(UNIT))
    assert isinstance(items, Items) and not isinstance(shown, Failed)
    hard = [one.token for one in items.detection if one.group == "hard"]
    assert len(hard) == 10 and (truth(material, hard) <= 1e-5).all()
    assert sum(bool(one.why) for one in items.detection) >= 6
    assert (truth(material, [one.token for one in shown.silent]) <= 1e-5).all()
    fires = [one.token for one in items.detection if one.fires]
    assert len(fires) >= 3 and (truth(material, fires) > 0).all()
    assert len(items.fuzzing) >= 4 and len(items.simulation) >= 6
    marked = [one.token for one in items.fuzzing]
    assert (truth(material, marked[::2]) > truth(material, marked[1::2])).all()


def test_a_gated_cell_is_shown_by_sign_and_quadrant(material: Material) -> None:
    for sign in (1, -1):
        shown = material.shown(Task(Unit(UNIT.cell, sign)))
        assert not isinstance(shown, Failed) and len(shown.quadrants) == 4
        quadrants = material.texts.index.quadrants(UNIT.cell)
        assert [one.n_positions for one in shown.quadrants] == [one.n_positions for one in quadrants]
        with_examples = {one.name for one in shown.quadrants if one.examples}
        n_all = sum(one.n_positions for one in quadrants)
        assert with_examples <= {
            one.name for one in quadrants if one.gate * one.up == sign and one.n_positions > 0.1 * n_all
        } and with_examples  # fmt: skip


def test_no_direction_is_drawn_for_a_cell_of_a_dictionary(material: Material) -> None:
    shown = material.shown(Task(Unit(CellId(1, 3, dictionary="tc")), "random direction"))
    assert isinstance(shown, Failed) and "need not read what the layer reads" in shown.reason


@pytest.mark.parametrize("fake", FAKES)
def test_every_kind_of_fake_is_shown_and_asked_about_like_a_cell(material: Material, fake: str) -> None:
    other = Unit(CellId(1, 7)) if fake == "another cell's triggers" else None
    task = Task(UNIT, fake, other)  # type: ignore[arg-type]
    shown, items = material.shown(task), material.items(task)
    if isinstance(shown, Failed) or isinstance(items, Failed):
        assert fake == "own last tokens" and "too few positions" in (shown or items).reason  # type: ignore[union-attr]
        return
    assert len(shown.triggers) == 8 and len(items.detection) >= 15
    assert not items.fuzzing and not items.simulation and not items.intruders
    again = material.shown(task)
    assert again == shown
    if fake == "another cell's triggers":
        assert (truth(material, [one.token for one in items.detection if one.fires]) > 0).all()
        assert (truth(material, [one.token for one in shown.triggers]) <= 0).any()


def test_without_the_model_nothing_is_asked_of_it(material: Material) -> None:
    alone = Material(material.texts, None, MEASURES)
    assert alone.fakes == ("random positions", "another cell's triggers")
    items = alone.items(Task(UNIT))
    assert isinstance(items, Items) and not items.fuzzing and not items.simulation
    planned = Material(material.texts, NotAsked(), MEASURES)
    of_plan = planned.items(Task(UNIT), look_up=False)
    real = material.items(Task(UNIT))
    assert isinstance(of_plan, Items) and isinstance(real, Items)
    assert abs(len(of_plan.detection) - len(real.detection)) <= 3
    assert len(of_plan.simulation) == len(real.simulation)


def test_decoys_are_held_to_firing_and_hard_positions(material: Material) -> None:
    found = material.decoyed(UNIT)
    assert isinstance(found, Items) and {one.group for one in found.detection} == {"firing", "hard"}
