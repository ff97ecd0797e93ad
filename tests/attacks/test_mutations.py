"""Damaged indexes: the right answer or a clear error; what only `ffmem verify` can notice, it notices."""

import json
import random
import shutil
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

import ffmem
from ffmem import Index, IndexOptions
from tests.attacks.mutations import mutate
from tests.conftest import IN_PROCESS, write_corpus
from tests.fixtures.programs import run_python

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="named pipes and memory limits are POSIX")

Pair = tuple[Path, Path]


@pytest.fixture(scope="module")
def pair(
    tiny_folder: Callable[[str], Path], small_options: IndexOptions, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Pair]:
    """Two indexes of one model, whose layer files have the same lengths."""
    made: dict[str, Pair] = {}

    def make(variant: str) -> Pair:
        if variant not in made:
            folder = tmp_path_factory.mktemp(variant)
            for name, seed in (("one", 0), ("other", 5)):
                corpus = write_corpus(folder / f"{name}.txt", 30, seed)
                ffmem.build_index(tiny_folder(variant), corpus, folder / name, options=small_options, run=IN_PROCESS)
            made[variant] = folder / "one", folder / "other"
        return made[variant]

    return make


def attack(pair: Pair, work: Path, first: int, last: int) -> Counter[str]:
    """Verdicts of some mutations; a process that dies is a verdict about the mutation it was at."""
    verdicts: Counter[str] = Counter()
    while first < last:
        ended = run_python("-m", "tests.attacks.probe", *pair, work, first, last, timeout=3600)
        lines = [json.loads(line) for line in ended.stdout.splitlines()]
        for line in lines:
            if "end" in line:
                verdict = line["verdict"]
                verdicts[verdict if verdict in ("right", "refused", "noticed") else f"{line}"] += 1
        if ended.returncode == 0:
            break
        assert lines, ended.stderr
        assert "begin" in lines[-1], (lines[-1], ended.stderr)  # else the generator itself fails
        verdicts[f"DIED with {ended.returncode}: {lines[-1]}: {ended.stderr[-2000:]}"] += 1
        first = lines[-1]["begin"] + 1
    return verdicts


def check(verdicts: Counter[str], n: int) -> None:
    bad = [verdict for verdict in verdicts if verdict not in ("right", "refused", "noticed")]
    assert not bad, "\n".join(bad[:10])
    assert verdicts.total() == n
    assert min(verdicts["right"], verdicts["refused"], verdicts["noticed"]) > n / 50, verdicts  # all three are tried


@pytest.fixture
def shared_pair(index_of: Callable[[str], Index]) -> Pair:
    """Two indexes that other tests have built, too: of two models over one corpus, with files of the same lengths."""
    one, other = index_of("llama").folder, index_of("gemma2").folder
    layer = "index/layers/L001.safetensors"
    assert (one / layer).stat().st_size == (other / layer).stat().st_size
    return one, other


def test_damage_gives_the_right_answer_or_a_clear_error(shared_pair: Pair, tmp_path: Path) -> None:
    check(attack(shared_pair, tmp_path / "work", 0, 150), 150)


def test_damage_to_an_index_of_some_cells(sparse_index_of: Callable[[str, str], Index], tmp_path: Path) -> None:
    one, other = (sparse_index_of(family, "L0.3-22,L2:50%").folder for family in ("llama", "gemma2"))
    check(attack((one, other), tmp_path / "work", 0, 80), 80)


@pytest.mark.soak
@pytest.mark.timeout(7200)
@pytest.mark.parametrize(("variant", "n"), [("llama", 7000), ("qwen3_moe", 1500), ("t5", 1500)])
def test_ten_thousand_damages(pair: Callable[[str], Pair], tmp_path: Path, variant: str, n: int) -> None:
    verdicts = attack(pair(variant), tmp_path / "work", 10_000, 10_000 + n)
    sys.stdout.write(f"{variant}: {dict(verdicts)}\n")
    check(verdicts, n)


VERBS = (["info"], ["cell", "L0.3"], ["cells", "--sort", "max"], ["verify", "--files-only"], ["cell", "L1.7", "--json"])


def run_commands(pair: Pair, work: Path, seeds: range) -> int:
    """Run a command on each damaged index; how many refused."""
    n_refused = 0
    for seed in seeds:
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(pair[0], work)
        what = mutate(work, pair[1], seed)
        verb = random.Random(seed).choice(VERBS)
        ended = run_python("-m", "ffmem", verb[0], work, *verb[1:], timeout=120)
        said = ended.stderr
        assert ended.returncode in (0, 1, 2), (seed, what, verb, ended.returncode, said)
        assert "Traceback" not in said, (seed, what, verb, said)
        assert all(c.isprintable() or c == "\n" for c in ended.stdout + said), (seed, what, verb)
        n_refused += ended.returncode != 0
    return n_refused


def test_the_command_line_says_what_is_wrong(shared_pair: Pair, tmp_path: Path) -> None:
    assert 0 < run_commands(shared_pair, tmp_path / "work", range(4)) < 4


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_the_command_line_says_what_is_wrong_at_length(pair: Callable[[str], Pair], tmp_path: Path) -> None:
    assert run_commands(pair("llama"), tmp_path / "work", range(1000, 1200)) > 50
