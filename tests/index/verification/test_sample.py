"""Samples that say what is not so: each kind of damage is told. And samples of merged, extended and cut builds."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ffmem import Index
from ffmem.index.build import build_index
from ffmem.index.merge import merge_indexes
from ffmem.index.verification.files import wrong_arrays
from ffmem.index.verification.model import check_against_model
from ffmem.index.verification.result import Verification
from ffmem.index.verification.verify import verify_index
from ffmem.store.keys import NO_TOKEN
from tests.conftest import IN_PROCESS, write_corpus
from tests.fixtures.indexes import SAMPLED
from tests.index.test_merge import contents
from tests.index.verification.test_files import Arrays, changed

ELSEWHERE = "a coefficient lies in another stratum than its size says"
TOKEN, COEFFICIENT, COUNT = "sample_token", "sample_coefficient", "sample_count"


@pytest.fixture
def copy(sampled_of: Callable[[str], Index], tmp_path: Path) -> Path:
    return Path(shutil.copytree(sampled_of("llama").folder, tmp_path / "copy"))


@pytest.mark.parametrize("family", ["gpt2", "llama", "mixtral", "t5"])
def test_a_sound_index_has_nothing_wrong_and_its_samples_are_recomputed(
    family: str, sampled_of: Callable[[str], Index]
) -> None:
    index = sampled_of(family)
    found = verify_index(index, n_batches=100)
    assert found.problems == () and found.same_bytes
    n_stored = sum(int((index.layer(layer).sample_token != NO_TOKEN).sum()) for layer in range(index.n_layers))
    assert found.n_sampled == n_stored > 1000  # all batches: each stored position once


def full(arrays: Arrays) -> tuple[int, int]:
    """A cell and a stratum of more positions than are kept."""
    cell, stratum = np.argwhere((arrays[COUNT] > SAMPLED.sample + 2) & (np.arange(19) < 9))[0]
    return int(cell), int(stratum)


def swap(arrays: Arrays) -> None:
    place = full(arrays)
    for name in (TOKEN, COEFFICIENT):
        arrays[name][place] = arrays[name][place][[1, 0, 2]]


def empty_one(arrays: Arrays) -> None:
    arrays[TOKEN][full(arrays)][-1] = NO_TOKEN
    arrays[COEFFICIENT][full(arrays)][-1] = 0


def move_count(arrays: Arrays) -> None:
    """From one full stratum of positive coefficients to the silent one."""
    cell, stratum = full(arrays)
    arrays[COUNT][cell, stratum] -= 1
    arrays[COUNT][cell, 18] += 1


def twice(arrays: Arrays) -> None:
    arrays[TOKEN][full(arrays)][1] = arrays[TOKEN][full(arrays)][0]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (swap, "a stratum is not in the order of its lots"),
        (empty_one, "a stratum keeps more or fewer positions than it can"),
        (move_count, "the strata of a cell do not count its positive coefficients"),
        (twice, "a position stands twice in the sample of a cell"),
        (lambda a: a[COUNT].__setitem__((2, 8), 10**6), "the strata of a cell do not count each position once"),
        (lambda a: a[COEFFICIENT].__setitem__((*full(a), 0), 1e9), ELSEWHERE),
        (lambda a: a[COEFFICIENT].__setitem__((*full(a), 0), np.nan), ELSEWHERE),
        (lambda a: a[TOKEN].__setitem__((*full(a), 0), 10**8), "a position lies past the last token"),
    ],
)  # fmt: skip
def test_each_kind_of_damage_is_told(copy: Path, change: Callable[[Arrays], object], problem: str) -> None:
    assert f"layer L1, its sample: {problem}" in list(wrong_arrays(changed(copy, change), 1))


def test_the_model_tells_a_position_that_was_left_out_and_one_with_another_coefficient(copy: Path) -> None:
    """What the arrays alone do not show: the next lot in the place of the first, and a coefficient of the same stratum."""

    def leave_out(arrays: Arrays) -> None:
        cell, stratum = full(arrays)
        arrays[TOKEN][cell, stratum] = np.append(arrays[TOKEN][cell, stratum][1:], NO_TOKEN)
        arrays[COEFFICIENT][cell, stratum] = np.append(arrays[COEFFICIENT][cell, stratum][1:], 0)
        arrays[COUNT][cell, stratum] = 2

    problems: list[str] = []
    for change, told in (
        (leave_out, "is not in its sample, whose stratum"),
        (nudge, "the coefficient of its sample in sentence"),
    ):
        index = changed(copy, change)
        found = verify_model(index)
        assert any(told in one for one in found), found
        problems += found
    assert any("counts fewer positions than the model gives" in one for one in problems)


def nudge(arrays: Arrays) -> None:
    place = full(arrays)
    arrays[COEFFICIENT][place][0] *= np.float32(1.01)


def verify_model(index: Index) -> tuple[str, ...]:
    """What the model says, whatever the arrays do."""
    return check_against_model(
        index, Verification(0, 0), None, 100, 0, threads=None, device=None, trust_remote_code=False
    ).problems


@pytest.mark.parametrize("family", ["llama", "mixtral"])
def test_merged_and_extended_indexes_keep_what_one_build_would(
    family: str, tiny_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    texts = [write_corpus(tmp_path / f"{seed}.txt", 12, seed) for seed in (1, 2)]

    def build(name: str, *corpora: Path, **more: Any) -> Index:
        options = replace(SAMPLED, max_sentences=None, duplicates="keep", skip_first=0)
        return build_index(tiny_folder(family), list(corpora), tmp_path / name, options=options, run=IN_PROCESS, **more)

    parts = {text.name: build(f"part-{text.name}", text) for text in texts}
    merged = merge_indexes(*(index.folder for index in parts.values()), tmp_path / "merged")
    in_order = [tmp_path / Path(one.name).name for one in merged.manifest.identity.corpora]
    whole = contents(build("whole", *in_order))
    assert contents(merged) == whole
    assert contents(build("extended", in_order[1], extend=parts[in_order[0].name].folder)) == whole
    assert not [problem for layer in range(merged.n_layers) for problem in wrong_arrays(merged, layer)]


def test_shards_that_are_left_out_and_some_cells(
    tiny_folder: Callable[[str], Path], corpus: Path, tmp_path: Path
) -> None:
    def build(name: str, **options: Any) -> Index:
        return build_index(
            tiny_folder("llama"), corpus, tmp_path / name, options=replace(SAMPLED, **options), run=IN_PROCESS
        )

    less, some = build("less", exclude_shards="1"), build("some", exclude_shards="1", cells="L1.3,L1.40-47")
    assert verify_index(less, n_batches=100).problems == () == verify_index(some, n_batches=100).problems
    for cell in ("L1.3", "L1.44"):
        for sign in (1, -1):
            ours, theirs = less.sample(cell, sign), some.sample(cell, sign)
            assert ours.tokens.tolist() == theirs.tokens.tolist() and ours.counts.tolist() == theirs.counts.tolist()
    other = build("other", exclude_shards="1", sample_seed=5).sample("L1.3")
    assert other.counts.tolist() == less.sample("L1.3").counts.tolist()
    assert set(other.tokens.tolist()) != set(less.sample("L1.3").tokens.tolist())


def test_quadrants_beside_a_sample_change_neither(
    sampled_of: Callable[[str], Index], tiny_folder: Callable[[str], Path], corpus: Path, tmp_path: Path
) -> None:
    options = replace(SAMPLED, quadrants=True)
    both = build_index(tiny_folder("llama"), corpus, tmp_path, options=options, run=IN_PROCESS)
    assert verify_index(both, n_batches=2).problems == () and both["L1.3"].quadrants
    for layer in range(both.n_layers):
        for name in (TOKEN, COEFFICIENT, COUNT):
            assert np.array_equal(getattr(both.layer(layer), name), getattr(sampled_of("llama").layer(layer), name))
