"""A labelling process that is killed at every commit and at random loses nothing and pays for nothing twice."""

import random
from pathlib import Path

import pytest

from ffmem.json_values import JsonObject
from tests.fixtures.programs import run_python
from tests.fixtures.stand_in import serving
from tests.names.lm.labelling import CALLS_PER_UNIT, N_UNITS, label, rows

LIGHT = ("tests.names.lm.labelling", "httpcore2", "encodings.idna")
N_DISTINCT = N_UNITS * CALLS_PER_UNIT


def answer(body: JsonObject) -> str | dict[str, float]:
    """A label for each unit, and for each judgement a number of its own."""
    prompt = body["messages"][0]["content"]
    if prompt.startswith("Name"):
        return f'{{"label": "about {prompt[5:-1]}"}}'
    p = random.Random(prompt).random()
    return {"1": p, "0": 1 - p}


def run(url: str, folder: Path, n_threads: int, moment: str, number: float) -> int:
    code = "from tests.names.lm.labelling import main; main()"
    return run_python("-c", code, url, folder, n_threads, moment, number, imported=LIGHT).returncode


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[int, str]]:
    folder = tmp_path_factory.mktemp("whole")
    with serving(answer) as server:
        label(server.url, folder)
        assert server.n_calls == N_DISTINCT
    found = rows(folder)
    assert len(found) == N_UNITS and "about unit 3" in found[3][1]
    return found


@pytest.mark.parametrize(("moment", "lost_a_kill"), [("after", 0), ("before", 1)])
def test_killed_at_every_commit(
    moment: str, lost_a_kill: int, tmp_path: Path, uninterrupted: list[tuple[int, str]]
) -> None:
    n_kills = 0
    with serving(answer) as server:
        while (status := run(server.url, tmp_path, 1, moment, 2 if moment == "before" else 1)) != 0:
            assert status == -9, status
            n_kills += 1
        # killed after each answer is on disk: none is asked for twice; killed before: that one, and no other
        assert server.n_calls == N_DISTINCT + lost_a_kill * n_kills
    assert n_kills >= N_DISTINCT - 1
    assert rows(tmp_path) == uninterrupted


def test_killed_after_every_row(tmp_path: Path, uninterrupted: list[tuple[int, str]]) -> None:
    with serving(answer) as server:
        kills = [run(server.url, tmp_path, 1, "row", number) for number in range(1, N_UNITS + 1)]
        assert kills == [-9] * N_UNITS
        assert run(server.url, tmp_path, 1, "row", N_UNITS + 1) == 0
        # what the thread had in flight at each kill, one call at most
        assert N_DISTINCT <= server.n_calls <= N_DISTINCT + N_UNITS
    assert rows(tmp_path) == uninterrupted


@pytest.mark.parametrize("n_threads", [1, 3])
def test_killed_twenty_times_at_random(n_threads: int, tmp_path: Path, uninterrupted: list[tuple[int, str]]) -> None:
    times = random.Random(n_threads)
    n_killed = n_labelled = 0
    while n_killed < 20:  # whatever is not killed comes to its end, and the next begins from nothing
        n_labelled += 1
        folder = tmp_path / str(n_labelled)
        folder.mkdir()
        with serving(answer, delay_s=0.005) as server:
            n_before = n_killed
            while (status := run(server.url, folder, n_threads, "time", times.uniform(0.005, 0.05))) != 0:
                assert status == -14
                n_killed += 1
            assert server.n_calls <= N_DISTINCT + n_threads * (n_killed - n_before)
            before = server.n_calls
            assert run(server.url, folder, n_threads, "never", 0) == 0
            assert server.n_calls == before, "a second run sends nothing"
        assert rows(folder) == uninterrupted


@pytest.mark.parametrize("n_threads", [1, 3])
def test_ctrl_c_loses_no_answer(n_threads: int, tmp_path: Path, uninterrupted: list[tuple[int, str]]) -> None:
    with serving(answer, delay_s=0.003) as server:
        assert [run(server.url, tmp_path, n_threads, "ctrl-c", number) for number in (1, 5, 7)] == [1, 1, 1]
        assert 13 <= server.n_calls < N_DISTINCT
        assert run(server.url, tmp_path, n_threads, "never", 0) == 0
        assert server.n_calls == N_DISTINCT
    assert rows(tmp_path) == uninterrupted
