"""What an explorer is opened with: indexes at once, a model that comes later or not at all, and folders of any name."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from ffmem import Index, InputError, StoreError
from ffmem.server.app import make_app
from ffmem.server.opening import open_explorer
from tests.server.conftest import HTML
from tests.server.page import assert_sound


def test_the_model_is_the_one_that_the_index_was_built_from(index_of: Callable[[str], Index]) -> None:
    explorer = open_explorer(index_of("gpt2").folder)
    assert explorer.model.state.state in ("loading", "ready")
    explorer.model.wait()
    assert (explorer.model.state.state, explorer.model.state.name) == ("ready", "gpt2")
    explorer.model.close()


def test_it_may_have_moved(
    index_of: Callable[[str], Index], tiny_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    shutil.copytree(tiny_folder("gpt2"), tmp_path / "elsewhere")
    explorer = open_explorer(index_of("gpt2").folder, model=str(tmp_path / "elsewhere"))
    explorer.model.wait()
    assert explorer.model.state.state == "ready"
    explorer.model.close()


def test_without_a_model_what_needs_one_says_so(index_of: Callable[[str], Index]) -> None:
    client = TestClient(make_app(open_explorer(index_of("gpt2").folder, with_model=False)), base_url="http://localhost")
    assert client.get("/model.json").json()["state"] == "absent"
    assert client.get("/cells/L1.3", headers=HTML).status_code == 200
    answer = client.get("/cells/L1.3/shades.json")
    assert answer.status_code == 400 and "--model" in answer.json()["error"]["mend"]


@pytest.mark.parametrize(("source", "why"), [("opt", "other weights"), (None, "nowhere")])
def test_another_model_is_refused_when_it_is_asked(
    source: str | None, why: str, index_of: Callable[[str], Index], tiny_folder: Callable[[str], Path]
) -> None:
    explorer = open_explorer(index_of("gpt2").folder, model=str(tiny_folder(source)) if source else "/nowhere")
    explorer.model.wait()
    client = TestClient(make_app(explorer), base_url="http://localhost")
    assert client.get("/model.json").json()["state"] == "failed"
    assert why in client.get("/cells/L1.3/shades.json").json()["error"]["message"]
    page = assert_sound(client.get("/prompt", params={"text": "a"}, headers=HTML).text)
    assert why in page.by_id("model-state").text and page.by_id("model-state").attributes["data-state"] == "failed"
    explorer.model.close()


@pytest.mark.parametrize("threads", [0, -1, True, 1.5])
def test_a_number_of_threads_that_is_none_is_refused_at_once(threads: int, index_of: Callable[[str], Index]) -> None:
    with pytest.raises(InputError, match="threads"):
        open_explorer(index_of("gpt2").folder, threads=threads)


def test_a_folder_without_an_index_is_told(tmp_path: Path, index_of: Callable[[str], Index]) -> None:
    with pytest.raises(StoreError, match=str(tmp_path)):
        open_explorer(tmp_path)
    with pytest.raises(StoreError, match=str(tmp_path)):
        open_explorer(index_of("gpt2").folder, others=[tmp_path], with_model=False)


def test_the_results_of_one_study_can_be_chosen(explained_index: Index, tmp_path: Path) -> None:
    (own,) = (explained_index.folder / "results").iterdir()
    shutil.copytree(own, tmp_path / "kept")
    chosen = open_explorer(explained_index.folder, with_model=False, results=tmp_path / "kept")
    assert [one.folder for one in chosen.studies.results] == [tmp_path / "kept"]
    assert chosen.patterns_folder == tmp_path / "kept"
    beside = open_explorer(explained_index.folder, with_model=False)
    assert [one.folder for one in beside.studies.results] == [own]


def test_an_index_may_lie_in_a_folder_whose_name_is_no_utf_8(index_of: Callable[[str], Index], tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"caf\xe9 ?#%25")
    shutil.copytree(index_of("gpt2").folder, folder)
    explorer = open_explorer(folder, others=[folder], with_model=False)
    client = TestClient(make_app(explorer), base_url="http://localhost")
    assert list(explorer.others) == ["caf\\xe9 ?#%25"]
    for path in ("/", "/figures", "/diff", "/annotate", "/cells/L0.1", "/search?q=pattern:x", "/sentences/0"):
        assert_sound(client.get(path, headers=HTML).text)
    told = client.get("/diff.json", params={"with": "caf\\xe9 ?#%25", "limit": 1}).json()
    assert told["mean_overlap"] == pytest.approx(1)
    table = assert_sound(client.get("/diff", headers=HTML).text).one("table")
    assert client.get(table.all("a")[0].attributes["href"], headers=HTML).status_code == 200


def test_an_explorer_can_be_read_only(index_of: Callable[[str], Index]) -> None:
    folder = index_of("gpt2").folder
    assert open_explorer(folder, with_model=False, read_only=True).read_only
    assert not open_explorer(folder, with_model=False).read_only
