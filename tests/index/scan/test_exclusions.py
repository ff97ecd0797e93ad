"""Shards that are left out: they neither compete nor count, and everything that reads an index knows."""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ffmem
from ffmem import Index, IndexOptions, InputError, ModelError, RunOptions, render
from ffmem.index.merge import merge_indexes
from ffmem.index.scan import worker
from ffmem.index.scan.batches import plan_shards
from ffmem.index.scan.tasks import ScanShard
from ffmem.index.scan.worker import IndexWorker
from ffmem.index.verification.verify import verify_index
from tests.conftest import IN_PROCESS, write_corpus
from tests.index.run.test_kills import contents

FAMILY = "llama"


@pytest.fixture
def build(tiny_folder: Callable[[str], Path], small_options: IndexOptions, tmp_path: Path) -> Callable[..., Index]:
    def make(name: str, corpus: Path | Sequence[Path], exclude_shards: str | None = None, **named: Any) -> Index:
        options = replace(small_options, exclude_shards=exclude_shards, duplicates="keep")
        run = named.pop("run", IN_PROCESS)
        return ffmem.build_index(tiny_folder(FAMILY), corpus, tmp_path / name, options=options, run=run, **named)

    return make


@pytest.fixture
def fails(monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """Shards at which a worker of this process raises."""
    shards: set[int] = set()
    do = IndexWorker.do

    def maybe(self: IndexWorker, task: Any, report: Any) -> None:
        if isinstance(task, ScanShard) and task.shard.shard_id in shards:
            raise ModelError(f"shard {task.shard.shard_id} is bad", "Expected it to be good", "Correct it")
        do(self, task, report)

    monkeypatch.setattr(worker.IndexWorker, "do", maybe)
    return shards


def shards_of(index: Index) -> list[Any]:
    counts = index.manifest.counts.n_sentences_by_corpus
    return plan_shards(index.text.sentence_start, counts, index.manifest.options.shard_tokens)


def test_left_out_is_as_if_it_had_no_text(build: Callable[..., Index], corpus: Path) -> None:
    whole = build("whole", corpus)
    shards = shards_of(whole)
    assert len(shards) >= 5
    index = build("without", corpus, "3,1")
    assert index.manifest.options.exclude_shards == "1,3"
    left_out = [shards[1], shards[3]]
    assert index.manifest.json["excluded_shards"] == [vars(shard) for shard in left_out]
    assert index.text.n_sentences == whole.text.n_sentences
    starts = index.text.sentence_start
    n_tokens = sum(shard.n_tokens for shard in left_out)
    for layer in range(index.n_layers):
        tokens, everything = index.layer(layer).trigger_token, whole.layer(layer)
        for shard in left_out:
            inside = (tokens >= starts[shard.first_sentence]) & (tokens < starts[shard.end_sentence])
            assert not inside.any()
        n_sentences = sum(shard.end_sentence - shard.first_sentence for shard in left_out)
        assert (everything.counts - index.layer(layer).counts).tolist() == [[n_tokens, n_sentences]]
        # what stays in a list of the whole and is not of those sentences stands here too
        kept = np.ones(everything.trigger_token.shape, bool)
        for shard in left_out:
            kept &= (everything.trigger_token < starts[shard.first_sentence]) | (
                everything.trigger_token >= starts[shard.end_sentence]
            )
        for cell in range(5):
            assert set(everything.trigger_token[cell, 0][kept[cell, 0]]) <= set(tokens[cell, 0])
    found = verify_index(index, n_batches=1000)
    assert found.problems == () and found.same_bytes
    assert f"2 shards were left out: {n_tokens:,} tokens neither compete nor count" in render.info(index)
    assert "left out" in render.summary(index, []) and "left out" not in render.info(whole)


def test_verify_sees_that_something_left_out_is_there(build: Callable[..., Index], corpus: Path) -> None:
    whole = build("whole", corpus)
    shard = shards_of(whole)[1]
    manifest = json.loads((whole.folder / "manifest.json").read_bytes())
    manifest["excluded_shards"] = [vars(shard)]
    (whole.folder / "manifest.json").write_text(json.dumps(manifest))
    problems = " ".join(verify_index(ffmem.open_index(whole.folder), with_model=False).problems)
    assert (
        f"a trigger lies in sentences {shard.first_sentence} to {shard.end_sentence - 1}, which were left out"
        in problems
    )
    assert "it counts" in problems
    for wrong in ({"shard_id": -1}, vars(shard) | {"end_sentence": 10**6}, vars(shard) | {"end_sentence": 0}):
        manifest["excluded_shards"] = [wrong]
        (whole.folder / "manifest.json").write_text(json.dumps(manifest))
        with pytest.raises(ffmem.StoreError, match="no sound excluded_shards"):
            ffmem.open_index(whole.folder)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_build_whose_shard_fails_goes_on_without_it(
    build: Callable[..., Index], corpus: Path, fails: set[int], tmp_path: Path, workers: int
) -> None:
    """Mended or left out: the same as a build that never failed."""
    never_failed = {exclude: contents(build(f"whole-{exclude}", corpus, exclude).folder) for exclude in (None, "2")}
    fails.add(2)
    with pytest.raises(ModelError) as told:
        build("failed", corpus)
    assert "shard 2 (sentences " in told.value.got and "failed: shard 2 is bad" in told.value.got
    assert told.value.mend == "Correct it; or leave out what fails: --exclude-shards 2"
    log = json.loads((tmp_path / "failed" / "work" / "run.json").read_bytes())
    assert [event["task"] for event in log["runs"][0]["events"] if event["kind"] == "failed"] == ["shard-2"]
    with pytest.raises(ffmem.StoreError, match="is not finished"):
        ffmem.open_index(tmp_path / "failed")
    shutil.copytree(tmp_path / "failed", tmp_path / "mended")
    left_out = build("failed", corpus, "2", run=RunOptions(workers=workers))
    assert contents(left_out.folder) == never_failed["2"]
    assert _runs(left_out)[-1]["n_tokens"] == 0  # all of it was kept
    fails.clear()
    mended = build("mended", corpus, run=RunOptions(workers=workers))
    assert contents(mended.folder) == never_failed[None]
    with pytest.raises(InputError, match="--exclude-shards is '2' there and None here"):
        build("failed", corpus)
    with pytest.raises(InputError, match="--exclude-shards is None there and '2' here"):
        build("mended", corpus, "2")


def _runs(index: Index) -> list[dict[str, Any]]:
    runs: list[dict[str, Any]] = json.loads((index.folder / "run.json").read_bytes())["runs"]
    return runs


def test_a_second_failure_names_what_is_left_out_already(
    build: Callable[..., Index], corpus: Path, fails: set[int]
) -> None:
    fails.update((1, 4))
    with pytest.raises(ModelError, match=r"--exclude-shards 1,4\.$"):
        build("twice", corpus)
    with pytest.raises(ModelError, match=r"--exclude-shards 0,1,4\.$"):
        build("twice", corpus, "4,0")
    assert build("twice", corpus, "0,1,4").manifest.excluded_shards[0].shard_id == 0


def test_what_was_done_is_done_again_if_its_checkpoint_holds_a_shard_to_leave_out(
    build: Callable[..., Index], corpus: Path, fails: set[int]
) -> None:
    fails.add(4)
    with pytest.raises(ModelError):
        build("failed", corpus)
    said: list[str] = []
    index = build("failed", corpus, "0,4", progress=lambda now: said.append(now.message))
    assert contents(index.folder) == contents(build("never", corpus, "0,4").folder)
    assert any(
        "shards are read again: their checkpoints hold what is now to be left out" in message for message in said
    )


def test_numbers_that_are_no_shards(build: Callable[..., Index], corpus: Path) -> None:
    n = len(shards_of(build("whole", corpus)))
    with pytest.raises(InputError) as told:
        build("out", corpus, f"1,{n}")
    assert told.value.got == f"--exclude-shards is 1,{n}, but there is no shard {n}"
    assert told.value.expected == f"Expected numbers from 0 to {n - 1}"
    with pytest.raises(InputError, match=f"leaves nothing of {n} shards"):
        build("nothing", corpus, ",".join(map(str, range(n))))
    for wrong in ("", "3-5", "1, 2", "a", "1,", "-1"):
        with pytest.raises(
            InputError, match=r"--exclude-shards is .*Expected numbers of shards with commas between them"
        ):
            IndexOptions(exclude_shards=wrong)
    assert IndexOptions(exclude_shards="17,03,3").exclude_shards == "3,17"


def test_merging_and_extending_keep_what_was_left_out(
    build: Callable[..., Index], corpus: Path, tmp_path: Path
) -> None:
    other = write_corpus(tmp_path / "other.txt", 120, seed=9)
    first, second = build("first", corpus, "1"), build("second", other, "0,2")
    n = len(shards_of(first))
    merged = merge_indexes(first.folder, second.folder, tmp_path / "merged")
    is_first = merged.manifest.identity.corpora[0].name == corpus.name
    order = [corpus, other] if is_first else [other, corpus]
    exclude = f"1,{n},{n + 2}" if is_first else f"0,2,{len(shards_of(second)) + 1}"
    whole = build("whole", order, exclude)
    assert merged.manifest.excluded_shards == whole.manifest.excluded_shards
    assert merged.manifest.identity == whole.manifest.identity
    assert contents(merged.folder) == contents(whole.folder)
    assert verify_index(merged, n_batches=1000).problems == ()

    extended = build("extended", other, f"1,{n},{n + 2}", extend=first.folder)
    both = build("both", [corpus, other], f"1,{n},{n + 2}")
    assert contents(extended.folder) == contents(both.folder)
    assert extended.manifest.excluded_shards == both.manifest.excluded_shards
    with pytest.raises(InputError) as told:
        build("not", other, extend=first.folder)
    assert told.value.got == f"of the {n} shards of {first.folder}, 1 are left out there and none here"
    assert told.value.mend == "Write --exclude-shards 1"
    with pytest.raises(InputError, match=r"none are left out there and 0 here.*Name only shards from \d+ on"):
        build("not", other, "0", extend=build("plain", corpus).folder)
