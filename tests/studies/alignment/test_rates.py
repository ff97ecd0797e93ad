"""The experiments, stopped and gone on with; held against the function that does them in one go."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ffmem import InputError, load_model
from ffmem.analyses.alignment.links import as_talp
from ffmem.studies import checkpoint
from ffmem.studies.alignment import experiment, rates
from ffmem.studies.alignment.experiment import align
from ffmem.studies.alignment.findings import ERROR_RATES, AlignmentStudy, Picked
from ffmem.studies.alignment.options import AlignmentOptions, read_material
from ffmem.studies.results import Results
from ffmem.studies.study import Stage
from tests.studies.alignment.conftest import Run


class Stopped(Exception):  # noqa: N818 (stands for Ctrl-C, not for an error)
    pass


def test_it_is_what_the_function_gives(
    results: Results, options: AlignmentOptions, tiny_folder: Callable[[str], Path]
) -> None:
    """Typed, there and back: each estimate, row and link."""
    material = read_material(options)
    model = load_model(tiny_folder("marian"))
    study, links = align(model, material.pairs, material.gold, systems=material.systems)
    assert repr(results.load(ERROR_RATES, AlignmentStudy)) == repr(study)
    picked = results.load("picked-by-norm", Picked)
    assert list(picked.links) == links and picked.name == f"L{study.layer}:AWI:norms"
    (file,) = results.folder.glob("*.talp")
    assert file.read_text().splitlines() == [as_talp(one) for one in links]


def test_a_study_that_is_stopped_again_and_again_gives_the_same_bytes(
    run: Run, results: Results, options: AlignmentOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "EVERY_S", 0.0)
    read: list[tuple[int, int]] = []

    def stop_at(name: str, done: int) -> None:
        def listen(stage: Stage) -> None:
            if stage.experiment == "extraction" and stage.total > 1:
                read.append((stage.done, stage.total))
            if (stage.experiment, stage.done) == (name, done):
                raise Stopped

        with pytest.raises(Stopped):
            run(tmp_path / "stopped", options, listen)

    for name, done in (("extraction", 1), ("extraction", 3), ("extraction", 5), (ERROR_RATES, 0)):
        stop_at(name, done)
    assert read == [(n, 5) for n in range(1, 6)]  # each pair once
    stopped = run(tmp_path / "stopped", options)
    for name in (ERROR_RATES, "extraction", "picked-by-norm"):
        assert (stopped.folder / f"{name}.json").read_bytes() == (results.folder / f"{name}.json").read_bytes()
    arrays = [(folder.folder / "extraction.safetensors").read_bytes() for folder in (stopped, results)]
    assert arrays[0] == arrays[1]
    assert not list(stopped.folder.glob("*.part.safetensors"))


def test_another_pick_needs_nothing_anew(
    run: Run, results: Results, options: AlignmentOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rates, "extract", lambda *_, **__: pytest.fail("attention is read again"))
    monkeypatch.setattr(experiment, "learn_links", lambda *_, **__: pytest.fail("links are learned again"))
    run(results.folder, replace(options, pick="L2.H3:AWO:weights"))
    assert results.load("picked-L2.H3-AWO-weights", Picked).name == "L2.H3:AWO:weights"
    with pytest.raises(InputError, match=r"--pick is '\.\./x', which is no layer"):
        run(results.folder, replace(options, pick="../x"))
