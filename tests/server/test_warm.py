"""What is done before the first visitor asks, and a step that fails for who asks again."""

import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from starlette.testclient import TestClient

import ffmem
from ffmem import Index
from ffmem.server.app import make_app
from ffmem.server.explorer import Explorer
from ffmem.server.opening import open_explorer
from ffmem.server.views.overview import overview_view
from ffmem.server.views.search import search_view
from ffmem.server.views.search_form import search_form
from ffmem.server.warm import STEPS, warm
from tests.server.conftest import HTML


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


def test_while_it_warms_up_the_overview_waits_for_no_report(
    explained: Explorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A report takes seconds and loads torch: the first page shows what there is, a later one all of it; data always waits."""
    begun, go_on = threading.Event(), threading.Event()
    own = Explorer.report

    def slow(self: Explorer, key: str = "", wait: bool = True) -> object:
        if wait and threading.current_thread().name == "warm":
            begun.set()
            assert go_on.wait(30)
        return own(self, key, wait)

    monkeypatch.setattr(Explorer, "report", slow)
    client = TestClient(make_app(explained), base_url="http://localhost:8765")
    thread = warm(explained)
    assert begun.wait(30)
    assert explained.ready("highlights") and explained.ready(f"kinds {explained.patterns_folder}")  # these come before
    first = client.get("/", headers=HTML).text
    assert 'id="of-layers" class="waiting"' in first and "/static/overview.js" in first
    assert '<span class="stack" aria-label="being read">' in first and "semantic 12.5 %" not in first
    assert client.get("/index.json").json()["layers"][0]["labels"]["semantic"] == 0.125
    go_on.set()
    thread.join(30)
    whole = client.get("/", headers=HTML).text
    assert "waiting" not in whole and "overview.js" not in whole and "semantic 12.5 %" in whole


def test_the_first_search_does_not_wait_for_its_list_of_patterns(explained: Explorer) -> None:
    explained.warming = True
    assert search_form(explained, None).patterns == ()
    assert str(search_view(explained, "pattern:topic", 5).cells[0].found.cell) == "L1.3"  # who asks for one waits
    assert search_form(explained, None).patterns == ("semantic", "shallow", "token", "topic")


def test_each_step_can_be_done_by_itself(index_of: Callable[[str], Index]) -> None:
    explorer = Explorer(index_of("llama"))
    for step in reversed(STEPS):
        step(explorer)
    assert {explorer.ready(name) is None for name in ("overview", "highlights")} == {False}
