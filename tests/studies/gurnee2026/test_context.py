"""The two parts of held-out text, and what cannot be asked."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import ffmem
from ffmem import Index, InputError
from ffmem.analyses.lenses.jacobian import average_jacobian
from ffmem.analyses.prefixes import Prefixes
from ffmem.analyses.updates.positions import Positions
from ffmem.studies.gurnee2026.context import Gurnee2026, arrays_of, begin, divided, jacobian_of
from ffmem.studies.gurnee2026.options import LensOptions
from tests.studies.gurnee2026.conftest import subject_of


def positions(documents: list[int], length: int = 4) -> Positions:
    """One sentence for each of some documents, its tokens those of the document."""
    n = len(documents)
    prefixes = Prefixes(
        sentences=tuple(np.full(length, document) for document in documents),
        sentence_ids=np.arange(n),
        document=np.array(documents),
        sentence=np.repeat(np.arange(n), length),
        position=np.tile(np.arange(length), n),
    )
    return Positions(prefixes, np.repeat(np.array(documents), length))


def test_no_document_is_in_both_parts_and_none_is_lost() -> None:
    asked = positions([3, 3, 5, 7, 8, 9, 9, 2])
    for seed in range(8):
        parts = divided(asked, 8, seed=seed)
        fitted = {int(one[0]) for one in parts.fitted}
        tested = set(parts.tested.document.tolist())
        assert fitted and tested and not fitted & tested and fitted | tested == {2, 3, 5, 7, 8, 9}
        assert parts.n_fitted_documents == len(fitted) <= 3
        assert 8 <= sum(map(len, parts.fitted)) <= 11
        assert all(
            int(parts.tested.prefixes.tokens(i)[0]) == parts.tested.following[i] for i in range(len(parts.tested))
        )


def test_half_of_the_documents_are_left_whatever_is_asked_for() -> None:
    parts = divided(positions([1, 2, 3, 4]), 1000, seed=0)
    assert parts.n_fitted_documents == 2 and len(parts.tested) == 8


def test_what_cannot_be_asked(index_of: Callable[[str], Index]) -> None:
    with pytest.raises(InputError, match="all of one document"):
        divided(positions([4, 4]), 2, seed=0)
    with pytest.raises(InputError, match="which the study gurnee2026 is about"):
        begin(subject_of(index_of("bert")), LensOptions(), lambda _: None)


def test_a_jacobian_comes_back_as_it_was(index_of: Callable[[str], Index], tmp_path: Path) -> None:
    folder = shutil.copytree(index_of("gpt2").folder, tmp_path / "gpt2", ignore=shutil.ignore_patterns("results"))
    study = Gurnee2026(subject_of(ffmem.open_index(folder)), LensOptions(positions=80, fit_positions=10, layers=2))
    made = average_jacobian(study.model, study.parts.fitted, bos=study.bos, places=study.places)
    study.keep(made)
    back = study.reader.jacobian
    assert back.places == made.places == study.places and back.n_positions == made.n_positions
    assert torch.equal(back.matrices, made.matrices) and torch.equal(back.mean_last, made.mean_last)
    again = jacobian_of(arrays_of(made), torch.device("cpu"))
    assert torch.equal(again.means, made.means)
    study.release()
    assert "reader" not in study.__dict__ and "model" not in study.__dict__
