"""What the experiments of the study share."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ffmem import Index, InputError, open_index
from ffmem.studies.geva2021.context import Geva2021
from ffmem.studies.geva2021.options import StudyOptions
from ffmem.studies.study import Subject


def no_model() -> None:
    raise AssertionError("nobody needs it")


@pytest.fixture
def index_of(index_of: Callable[[str], Index], tmp_path: Path) -> Callable[[str], Index]:
    """Copies, since results are begun beside them."""

    def copy(family: str) -> Index:
        folder = tmp_path / family
        if not folder.exists():
            shutil.copytree(index_of(family).folder, folder)
        return open_index(folder)

    return copy


def shared(index: Index, options: StudyOptions, study: Geva2021 | None = None) -> Geva2021:
    return Geva2021(index, options, Subject(no_model, index.folder, index), study=study)  # type: ignore[arg-type]


@pytest.mark.parametrize("family", ["gpt2", "wikilm"])
def test_values_are_read_by_each_projection_that_the_model_has_the_index_own_first(
    family: str, index_of: Callable[[str], Index]
) -> None:
    index = index_of(family)
    study = shared(index, StudyOptions())
    assert study.value_projections[0] == index.manifest.projection
    assert set(study.value_projections) == set(index.manifest.model.projections) - {"none"}
    assert len(set(study.value_projections)) == len(study.value_projections)


def test_a_control_is_asked_at_the_first_draws_of_its_study(index_of: Callable[[str], Index]) -> None:
    """Though it is an index of its own, with held-out text of its own."""
    study = shared(index_of("gpt2"), StudyOptions(prefixes=12, seed=3))
    control = shared(index_of("opt"), StudyOptions(prefixes=12, seed=3), study=study)
    assert np.array_equal(control.prefixes.sentence_ids, study.prefixes.sentence_ids)
    assert np.array_equal(control.prefixes.position, study.prefixes.position)
    fewer = shared(index_of("opt"), StudyOptions(prefixes=5, seed=3), study=study)
    assert len(fewer.prefixes) == 5 and set(fewer.prefixes.sentence_ids) <= set(range(study.index.text.n_all_sentences))
    for number in range(len(fewer.prefixes)):
        tokens = fewer.prefixes.tokens(number)
        sentence = int(fewer.prefixes.sentence_ids[fewer.prefixes.sentence[number]])
        start = int(study.index.text.sentence_start[sentence])
        assert np.array_equal(tokens, study.index.text.token_id[start : start + len(tokens)])


def test_other_options_or_another_index_are_another_study(index_of: Callable[[str], Index]) -> None:
    keys = [
        shared(index_of("gpt2"), StudyOptions()).results.key,
        shared(index_of("gpt2"), StudyOptions()).results.key,
        shared(index_of("gpt2"), replace(StudyOptions(), seed=1)).results.key,
        shared(index_of("opt"), StudyOptions()).results.key,
    ]
    assert keys[0] == keys[1] and len(set(keys)) == 3


@pytest.mark.parametrize(
    ("field", "value"), [("prefixes", 0), ("seed", -1), ("edited_cells", True), ("control_tokens", 0)]
)
def test_options_that_make_no_sense_are_refused(field: str, value: int) -> None:
    with pytest.raises(InputError, match=f"--{field.replace('_', '-')} is "):
        StudyOptions(**{field: value})
