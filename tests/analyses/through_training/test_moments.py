"""Which indexes are moments of one training: steps as folders and names tell them, and what is refused."""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

import ffmem
from ffmem import Index, IndexOptions, InputError
from ffmem.analyses.through_training.moments import moments_of, step_of
from tests.fixtures.indexes import IN_PROCESS
from tests.fixtures.training import STEPS

Training = Callable[[str], Sequence[Index]]


def told(index: Index, source: Path | str, revision: str | None = None) -> Index:
    """The same index of a model from somewhere else."""
    identity = index.manifest.identity
    model = replace(identity.model, source=str(source), revision=revision)
    return Index(index.folder, replace(index.manifest, identity=replace(identity, model=model)))


def test_moments_in_the_order_given(training_of: Training) -> None:
    moments = moments_of(training_of("wikilm"))
    assert [one.step for one in moments] == list(STEPS)
    assert [one.name for one in moments] == ["step 0", "step 10", "step 100", "step 1,000"]


@pytest.mark.parametrize(
    ("source", "revision", "step"),
    [
        ("someone/model", "step3000", 3000), ("runs/checkpoint-050", None, 50), ("m/step_7-of_step-9", None, 9),
        ("runs/stepwise", None, None), ("gpt2", "main", None), ("steps=12", None, 12),
    ],
)  # fmt: skip
def test_names_tell_steps(training_of: Training, source: str, revision: str | None, step: int | None) -> None:
    assert step_of(told(training_of("wikilm")[0], source, revision)) == step


def test_a_folder_tells_its_step_better_than_its_name(training_of: Training, tmp_path: Path) -> None:
    folder = tmp_path / "step-5"
    folder.mkdir()
    index = told(training_of("wikilm")[0], folder)
    assert step_of(index) == 5
    (folder / "trainer_state.json").write_text(json.dumps({"global_step": 6}))
    assert step_of(index) == 6
    (folder / "training.json").write_text(json.dumps({"step": 7}))
    assert step_of(index) == 7
    for broken in ("{", "[1]", '{"step": "many"}', '{"step": true}', '{"step": -1}'):
        (folder / "training.json").write_text(broken)
        assert step_of(index) == 6


def test_what_is_refused(
    training_of: Training,
    index_of: Callable[[str], Index],
    tiny_folder: Callable[[str], Path],
    corpus: Path,
    tmp_path: Path,
) -> None:
    first, second, *_ = training_of("wikilm")
    options = {name: getattr(first.manifest.options, name) for name in IndexOptions.__dataclass_fields__}
    weights = second.manifest.identity.model.source

    def built(name: str, **changed: object) -> Index:
        chosen = IndexOptions(**options | changed)  # type: ignore[arg-type]
        ffmem.build_index(weights, corpus, tmp_path / name, options=chosen, run=IN_PROCESS)
        return ffmem.open_index(tmp_path / name)

    for indexes, why in (
        ([], "no index is given"),
        ([first], "1 index is given"),
        ([second, first], "is of step 0, and stands behind .* of step 10"),
        ([first, first], "Expected moments of one training, earliest first, none twice"),
        ([first, index_of("llama")], "models of different shapes"),
        ([first, built("text", max_sentences=90)], "holds other sentences than .*: 90 sentences of .* against 150"),
        ([first, built("top", top=5)], "other options than .* --top is 6 there and 5 here"),
    ):
        with pytest.raises(InputError, match=why):
            moments_of(indexes)
    assert len(moments_of([first, built("batches", batch_tokens=150)])) == 2


def test_other_tokens_are_refused(training_of: Training, tmp_path: Path) -> None:
    first, second, *_ = training_of("wikilm")
    folder = shutil.copytree(second.folder, tmp_path / "index")
    other = ffmem.open_index(folder)
    other.text.__dict__["vocabulary"] = (*first.text.vocabulary[:-1], "another")
    with pytest.raises(InputError, match="has other tokens than"):
        moments_of([first, other])
