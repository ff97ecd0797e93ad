"""What is done before the first visitor asks, and a step that fails for who asks again."""

import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

import ffmem
from ffmem import Index
from ffmem.server.explorer import Explorer
from ffmem.server.opening import open_explorer
from ffmem.server.views.overview import overview_view
from ffmem.server.views.search import search_view
from ffmem.server.warm import STEPS, warm


def test_what_the_first_visitor_would_wait_for_is_there(explained: Explorer) -> None:
    assert explained.ready("overview") is None and explained.ready("highlights") is None
    thread = warm(explained)
    assert thread.daemon and thread is not threading.current_thread()
    thread.join(30)
    assert [one.layer for one in explained.ready("overview")] == ["L0", "L1", "L2"]
    assert overview_view(explained).highlights == explained.ready("highlights") != ()
    kinds = explained.ready(f"kinds {explained.patterns_folder}")
    assert {kind: [int(one.sum()) for one in masks] for kind, masks in kinds.items()} == {
        "topic": [0, 1, 0], "semantic": [0, 1, 0], "token": [0, 2, 0], "shallow": [0, 2, 0]
    }  # fmt: skip


def test_a_step_that_fails_leaves_the_others_and_tells_who_asks(
    explained_index: Index, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copytree(explained_index.folder, tmp_path / "index")
    explorer = open_explorer(tmp_path / "index", with_model=False)
    (results,) = (tmp_path / "index").glob("results/*")
    (results / "patterns.json").write_text("{")
    with caplog.at_level("INFO"):
        warm(explorer).join(30)
    assert [one for one in caplog.messages if "patterns.json is damaged" in one]
    assert explorer.ready("highlights") and explorer.ready(f"kinds {results}")
    with pytest.raises(ffmem.StoreError, match=r"patterns\.json is damaged"):
        overview_view(explorer)
    assert str(search_view(explorer, "pattern:topic", 5).cells[0].found.cell) == "L1.3"


def test_each_step_can_be_done_by_itself(index_of: Callable[[str], Index]) -> None:
    explorer = Explorer(index_of("llama"))
    for step in reversed(STEPS):
        step(explorer)
    assert {explorer.ready(name) is None for name in ("overview", "highlights")} == {False}
