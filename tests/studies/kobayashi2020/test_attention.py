"""The experiment, stopped and gone on with."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from ffmem.studies import checkpoint
from ffmem.studies.kobayashi2020.attention import CHAPTER
from ffmem.studies.kobayashi2020.findings import EXPERIMENT, AttentionFindings
from ffmem.studies.kobayashi2020.statistics import Statistics
from ffmem.studies.results import Results
from ffmem.studies.study import Stage
from tests.studies.kobayashi2020.conftest import SMALL, Run


class Stopped(Exception):  # noqa: N818 (stands for Ctrl-C, not for an error)
    pass


@pytest.mark.parametrize("every_s", [0.0, 1000.0], ids=["kept after each text", "never kept"])
@pytest.mark.parametrize("variant", ["bert", "gpt2"])
def test_a_run_that_is_stopped_again_and_again_gives_the_same_bytes(
    variant: str, every_s: float, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run(tmp_path / "whole", variant)
    monkeypatch.setattr(checkpoint, "EVERY_S", every_s)
    n_read: list[int] = []
    read = Statistics.read
    monkeypatch.setattr(Statistics, "read", lambda self, n, ids: (n_read.append(n), read(self, n, ids))[1])

    def stop_at(text: int) -> None:
        def listen(stage: Stage) -> None:
            if stage.experiment == "attention: texts" and stage.done == text:
                raise Stopped

        with pytest.raises(Stopped):
            run(tmp_path / "stopped", variant, listen=listen)

    for text in (1, 2, 7, 12):
        stop_at(text)
    part = tmp_path / "stopped" / "attention.part.safetensors"
    assert part.exists() == (every_s == 0)
    stopped = run(tmp_path / "stopped", variant)
    assert (stopped.folder / "attention.json").read_bytes() == (whole.folder / "attention.json").read_bytes()
    assert n_read == (list(range(12)) if every_s == 0 else [0, 0, 1, *range(7), *range(12), *range(12)])
    assert not part.exists()


def test_what_is_there_is_not_read_again(run: Run, results: Results) -> None:
    stages: list[Stage] = []
    again = run(results.folder, listen=stages.append)
    assert again.key == results.key and stages == [Stage(EXPERIMENT, 1, 1)]


def test_the_key_is_that_of_the_options(run: Run, results: Results, tmp_path: Path) -> None:
    other = run(tmp_path / "other", options=replace(SMALL, texts=3))
    assert other.key != results.key
    assert other.load(EXPERIMENT, AttentionFindings).n_texts == 3
    assert json.loads((other.folder / "study.json").read_text())["options"]["texts"] == 3
    assert CHAPTER.results == {EXPERIMENT: AttentionFindings}
