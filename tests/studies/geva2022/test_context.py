"""What a subject lacks; controls; and positions."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import ffmem
from ffmem import Index, InputError
from ffmem.index.indexed_model import load_indexed_model
from ffmem.studies.geva2022.context import Geva2022, begin
from ffmem.studies.geva2022.options import UpdateOptions
from ffmem.studies.study import Subject


def begun(index: Index, **options: object) -> Geva2022:
    subject = Subject(lambda: load_indexed_model(index), index.folder, index)
    return begin(subject, UpdateOptions(**options), lambda _: None)  # type: ignore[arg-type]


@pytest.fixture
def index(index_of: Callable[[str], Index], tmp_path: Path) -> Index:
    folder = shutil.copytree(index_of("gpt2").folder, tmp_path / "gpt2", ignore=shutil.ignore_patterns("results"))
    return ffmem.open_index(folder)


def test_what_a_subject_lacks_is_said(
    index: Index, index_of: Callable[[str], Index], sparse_index_of: Callable[[str, str], Index]
) -> None:
    with pytest.raises(InputError, match="the study geva2022 is given no index"):
        begin(Subject(lambda: load_indexed_model(index), index.folder), UpdateOptions(), lambda _: None)
    with pytest.raises(
        InputError, match="does not predict the next token of a text, which the study geva2022 is about"
    ):
        begun(index_of("bert"))
    with pytest.raises(InputError, match="a study of what layers add to a prediction needs all cells"):
        begun(sparse_index_of("gpt2", "L1"))


def test_controls_are_asked_less_and_at_some_of_the_same_positions(index: Index) -> None:
    study = begun(index, positions=1500, update_cells=5)
    control = study.as_control("untrained")
    assert (control.options.positions, control.options.update_cells) == (1000, 5)
    assert control.is_control and not study.is_control
    assert control.results.folder.parent == study.results.folder / "controls" / "untrained"
    of_study = set(zip(study.positions.document.tolist(), study.positions.following.tolist(), strict=True))
    of_control = list(zip(control.positions.document.tolist(), control.positions.following.tolist(), strict=True))
    assert len(of_control) == min(1000, len(study.positions)) and set(of_control) <= of_study
    keys = {begun(index).results.key, study.results.key, control.results.key, study.as_control("shuffled").results.key}
    assert len(keys) == 4


def test_a_control_is_made_of_the_model(index: Index) -> None:
    study = begun(index)
    values = study.model.values(1).clone()
    shuffled = study.as_control("shuffled").model
    assert shuffled.batching == study.model.batching
    assert not np.array_equal(values, shuffled.values(1))
    assert np.array_equal(np.sort(values.numpy(), 0), np.sort(shuffled.values(1).numpy(), 0))
    assert np.array_equal(study.model.values(1), values)  # the model itself is loaded again, as it was


def test_packed_weights_have_no_control(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    study = begun(index)
    packed = replace(index.manifest.options, quantize="8bit")
    monkeypatch.setattr(type(index.manifest), "options", packed)
    with pytest.raises(InputError, match=r"the weights of .* are packed, so that untrained:"):
        study.as_control("untrained")


def test_other_text_may_be_held_out(index: Index, tmp_path: Path) -> None:
    (tmp_path / "new.txt").write_text("The old village waits for winter.\n\nSoldiers write letters.\n")
    study = begun(index, held_out=str(tmp_path / "new.txt"))
    assert study.results.key != begun(index).results.key
    text = "".join(index.text.token_strings(study.positions.prefixes.sentences[0].tolist()))
    assert text.startswith("The old village") and len(study.positions.prefixes.sentences) == 2


def test_the_unigram_distribution_counts_each_token_once_more(index: Index) -> None:
    study, text = begun(index), index.text
    counts = np.ones(index.manifest.model.d_vocab)
    for number in range(text.n_sentences):
        for token in text.sentence(number).token_ids.tolist()[1:]:
            counts[token] += 1
    assert study.unigram == pytest.approx(counts / counts.sum())
