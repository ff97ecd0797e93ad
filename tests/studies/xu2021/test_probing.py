"""The planted task is solved where it is planted, the last layer is the model, and random models run from end to end."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ffmem import load_model
from ffmem.studies.results import Results
from ffmem.studies.runner import findings_of, run_study
from ffmem.studies.study import Subject
from ffmem.studies.xu2021.findings import IDENTITY, NORMS, SHUFFLED, TRAINED, UNIFORM, at, text_in
from ffmem.studies.xu2021.options import TranslationOptions
from ffmem.studies.xu2021.probing import unigram_ranks
from ffmem.studies.xu2021.study import STUDY
from tests.studies.xu2021.planted import write


def test_check_a_planted_copy_task_is_solved_at_the_embeddings(copied: Results) -> None:
    findings = findings_of(copied)
    text, found = text_in(findings), at(findings, "enc.embeddings").scores
    assert text.own.acc1.value == 1 and text.places == ("enc.embeddings", "enc.L0", "dec.embeddings", "dec.L0")
    assert found[IDENTITY].acc1.value == found[NORMS].acc1.value == found[TRAINED].acc1.value == 1
    assert found[UNIFORM].acc1.value < 0.6 and found[SHUFFLED].acc1.value < 0.6 and text.unigram.acc1.value < 0.4
    of_control = findings.controls["untrained"]
    assert text_in(of_control).own.acc1.value < 0.5 and len(at(of_control, "enc.L0").by_seed) == 1


def test_check_the_last_decoder_layer_is_the_model_and_lower_ones_are_not(copied: Results) -> None:
    findings = findings_of(copied)
    assert at(findings, "dec.L0").scores[IDENTITY] == text_in(findings).own
    below = at(findings, "dec.embeddings")
    assert below.scores[IDENTITY].acc1.value < 0.4 and len(below.by_seed) == 3 and below.shares == ()
    assert below.scores[TRAINED].acc1.value == pytest.approx(np.mean(below.by_seed))
    shares = np.array(at(findings, "enc.L0").shares)
    assert shares.shape == (3, 1) and shares == pytest.approx(1.0)


def test_tokens_are_ranked_by_how_common_they_are() -> None:
    assert unigram_ranks(np.array([2, 5, 2, 9])).tolist() == [2, 1, 3, 0]


@pytest.mark.parametrize("variant", ["marian", "t5_scaled"])
def test_a_random_model_runs_and_its_last_layer_is_itself(
    variant: str, tiny_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    words = ["dog", "fox", "river", "stone", "letter", "market", "engine", "village"]
    lines = [f"the quick {word} jumps".split() for word in words]
    test, train = write(tmp_path / "test", lines[:3]), write(tmp_path / "train", lines[3:])
    options = TranslationOptions(test, test, train, train, seen=1)
    subject = Subject(lambda: load_model(tiny_folder(variant)), tmp_path / "out")
    findings = findings_of(run_study(STUDY, subject, options, controls=False))
    text = text_in(findings)
    assert at(findings, text.decoder[-1]).scores[IDENTITY] == text.own
    assert len(text.maps) == 4 * (len(text.decoder) - 1) and len(text.places) == 2 * len(text.decoder)
    assert all(sum(one) == pytest.approx(1, abs=1e-5) for one in at(findings, text.encoder[-1]).shares)
