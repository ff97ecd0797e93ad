"""`ffmem label`, killed twenty times at random, loses nothing and pays for nothing twice."""

import random
import shutil
from collections import Counter
from pathlib import Path

import pytest

from tests.fixtures.programs import run_python
from tests.fixtures.stand_in import serving
from tests.names.lm.labelled import label_rows, runs
from tests.names.lm.planted import true_answer

IMPORTED = ("tests.names.lm.labelled", "httpcore2", "encodings.idna")


def run(folder: Path, url: str, moment: str, number: int = 0) -> int:
    code = "from tests.names.lm.labelled import main; main()"
    done = run_python("-c", code, folder, url, moment, number, imported=IMPORTED)
    assert done.returncode in (0, -9), done.stderr
    return done.returncode


@pytest.mark.slow
def test_killed_twenty_times_at_random(planted: Path, tmp_path: Path) -> None:
    whole, killed = (Path(shutil.copytree(planted, tmp_path / name)) for name in ("whole", "killed"))
    drawn = random.Random(1)
    with serving(true_answer) as server:
        assert run(whole, server.url, "never") == 0
        bodies = Counter(str(one) for one in server.bodies)
        server.bodies.clear()
        moments = [(drawn.choice(["before", "after"]), drawn.randint(1, 15)) for _ in range(17)]
        moments += [("begun", 1), ("kept", 1), ("finished", 1)]
        assert [run(killed, server.url, *one) for one in moments] == [-9] * 20
        assert run(killed, server.url, "never") == 0
        again = Counter(str(one) for one in server.bodies)
        assert set(again) == set(bodies), "nothing is lost, and nothing else is asked"
        # the tiny calls that find out about the server are kept when all of them are answered; of the others a kill
        # loses those under way, which are two at most
        lost = again - bodies
        n_lost = sum(n for body, n in lost.items() if "excerpt" in body)
        assert n_lost <= 2 * 17
        server.bodies.clear()
        assert run(killed, server.url, "never") == 0
        assert server.n_calls == 0, "a run that is done asks nothing"
    assert label_rows(killed) == label_rows(whole)
    assert [one["finished"] for one in runs(killed)] == [True]
