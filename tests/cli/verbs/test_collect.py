"""`ffmem collect`, and `@NAME` and `--save` of the other verbs, as a person uses them."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import ffmem
from ffmem import Index, IndexOptions
from ffmem.errors import InputError
from tests.cli.typed import typed
from tests.fixtures.collected import collected_index
from tests.fixtures.indexes import IN_PROCESS


@pytest.fixture
def index(tmp_path: Path) -> Index:
    return collected_index(tmp_path / "index")


@pytest.fixture
def shown(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    def run(*arguments: object) -> str:
        capsys.readouterr()
        typed(*arguments)
        return capsys.readouterr().out

    return run


def test_from_cells_to_a_file_for_others(index: Index, tmp_path: Path, shown: Callable[..., str]) -> None:
    at, file = index.folder, index.folder / "collections" / "water.json"
    assert "No collections yet" in shown("collect", "list", at)
    add = ("collect", "add", at, "water")
    assert (
        shown(*add, "L0.1-2", "L1", "--note", "wet", "--author", "ann", "--tag", "a", "--tag", "b")
        == "water: 5 items\n"
    )
    assert shown(*add, "L0.3", "--sign", "-1", "--description", "cells of rivers") == "water: 6 items\n"
    assert json.loads(shown("collect", "show", at, "water", "--json"))["items"][0] == {
        "cell": "L0.1", "notes": [{"author": "ann", "text": "wet"}], "sign": 1, "tags": ["a", "b"],
    }  # fmt: skip
    told = shown("collect", "show", at, "water", "--limit", 4)
    assert "water: 6 items, of made over cd.txt\n  cells of rivers\n" in told and "and 2 more: --limit" in told
    assert "L0.3 (-)" in told and "⟨river ⟩" in told and "ann: wet" in told and "#a #b" in told

    assert shown("collect", "remove", at, "water", "L1", "L0.0") == "water: 3 items\n"
    with pytest.raises(InputError, match=r"L0\.0 is not in the collection water"):
        typed("collect", "remove", at, "water", "L0.0")
    with pytest.raises(InputError, match="either cells, or --whole"):
        typed("collect", "remove", at, "water")

    other = collected_index(tmp_path / "other", corpus="ef")
    typed("collect", "add", other.folder, "more", "L0.2", "L1.0", "--note", "dry", "--author", "bob")
    told = shown("collect", "merge", at, "all", "water", other.folder / "collections" / "more.json")
    assert told.startswith("all: 4 items\n  more was made with another text, ef.txt, not cd.txt")
    told = shown("collect", "diff", at, "water", "all")
    assert told.startswith("water and all: 2 the same, 1 added, 0 removed, 1 with other notes or tags\n")
    assert "+ L1.0\n- L0.2  ann: wet #a #b\n+ L0.2  ann: wet; bob: dry #a #b\n" in told
    with pytest.raises(InputError, match="there is a collection all already"):
        typed("collect", "merge", at, "all", "water")
    assert shown("collect", "merge", at, "all", "water", "--how", "intersection", "--replace").startswith(
        "all: 3 items"
    )
    told = json.loads(shown("collect", "diff", at, "water", other.folder, "--json"))
    assert {row["cell"] for row in told["diff"]["rows"]} == {"L0.1", "L0.2", "L0.3"}
    assert told["notes"] == ["the texts differ: cd.txt and ef.txt"]

    assert shown("collect", "export", at, "water", "--out", tmp_path / "w.csv") == f"{tmp_path / 'w.csv'}: 3 items\n"
    typed("collect", "export", at, file, "--out", tmp_path / "w.json", "--form", "neuronpedia", "--model-id", "m")
    assert json.loads((tmp_path / "w.json").read_text())["items"][0]["modelId"] == "m"
    with pytest.raises(InputError, match="--form is 'txt'"):
        typed("collect", "export", at, "water", "--out", tmp_path / "w.txt")
    file.write_text("{")
    listed = shown("collect", "list", at).splitlines()
    assert listed[0].split() == ["all", "3", "cells", "of", "rivers"] and "is damaged" in listed[1]
    typed("collect", "remove", at, "all", "--whole")
    assert not (at / "collections" / "all.json").exists()


def test_a_question_is_kept_and_asked_again(index: Index, shown: Callable[..., str]) -> None:
    at = index.folder
    typed("find", at, "--fires-on", "river ", "--save", "river")
    typed("cells", at, "--sort", "max", "--limit", 2, "--save", "best")
    typed("search", at, "wind", "--save", "wind")
    typed("promotes", at, index.text.vocabulary[0], "--limit", 3, "--save", "said")
    typed("similar", at, "L0.0", "--limit", 2, "--save", "near")
    typed("find", at, "--fires-on", "river ", "--cells", "@best", "--save", "both")
    told = shown("collect", "list", at)
    assert "river                      5  ffmem find DIR --fires-on 'river ' --limit 20 --sort auto\n" in told
    names = ["best", "both", "near", "river", "said", "wind"]
    assert [line.split()[0] for line in told.splitlines()] == names
    for name in names:
        assert " 0 added, 0 removed" in shown("collect", "refresh", at, name)
    # what is in @best decides what is in both: find asks again with what the selection is by then
    typed("collect", "remove", at, "best", "L0.3")
    told = shown("collect", "refresh", at, "both")
    assert told == "both: 1 the same, 0 added, 2 removed (--write keeps this)\n- L0.3\n- L0.3 (-)\n"
    typed("collect", "refresh", at, "both", "--write")
    assert [one["cell"] for one in json.loads(shown("collect", "show", at, "both", "--json"))["items"]] == ["L0.0"]


def test_a_collection_stands_for_its_cells_wherever_cells_are_chosen(
    index: Index, tmp_path: Path, shown: Callable[..., str]
) -> None:
    pq = pytest.importorskip("pyarrow.parquet", reason="needs the extra parquet")
    at = index.folder
    typed("collect", "add", at, "few", "L1.0", "L0.3")
    assert [row["cell"] for row in json.loads(shown("cells", at, "--cells", "@few", "--json"))] == ["L0.3", "L1.0"]
    rows = json.loads(shown("find", at, "--min-active", 0, "--cells", "@few", "--json"))["rows"]
    assert {row["cell"] for row in rows} == {"L0.3", "L1.0"}
    typed("export", at, "--parquet", tmp_path / "out", "--cells", "@few")
    for name in ("cells", "triggers", "promoted"):
        assert {*pq.read_table(tmp_path / "out" / f"{name}.parquet")["cell"].to_pylist()} == {"L0.3", "L1.0"}, name
    assert "- cells: 2 of 7, as they were chosen" in (tmp_path / "out" / "README.md").read_text()
    draw = ("annotate", "draw", at, "ann", "--out", tmp_path / "sheets", "--cells", "@few", "--per-layer", 5)
    assert "1 cells" in shown(*draw, "--triggers", 3)
    key = json.loads((at / "annotations" / "keys" / "batch-1.json").read_text())
    assert [one["cell"] for one in key["cells"]] == ["L1.0"]  # L0.3 has too few triggers
    for verb in (("cells", at), ("find", at, "--min-active", 0), ("export", at, "--parquet", tmp_path / "no")):
        with pytest.raises(InputError, match=r"there is no collection 'fewer' .*Expected one of: few\."):
            typed(*verb, "--cells", "@fewer")


def test_intervene_and_index_take_the_cells_of_a_collection(
    index_of: Callable[[str], Index], tiny_folder: Callable[[str], Path], corpus: Path, tmp_path: Path,
    shown: Callable[..., str],
) -> None:  # fmt: skip
    model, file = tiny_folder("gpt2"), tmp_path / "few.json"
    shutil.copytree(index_of("gpt2").folder, tmp_path / "some")
    some = ffmem.open_index(tmp_path / "some")
    typed("collect", "add", some.folder, "few", "L0.1-2", "L2.5")
    file.write_bytes((some.folder / "collections" / "few.json").read_bytes())
    ask = ("intervene", model, "the old river", "--new", 0, "--json")
    by_hand = json.loads(shown(*ask[:3], "L0.1*0", "L0.2*0", "L2.5*0", *ask[3:]))
    assert by_hand["divergence"] > 0
    assert json.loads(shown(*ask[:3], "@few*0", *ask[3:], "--index", some.folder)) == by_hand
    assert json.loads(shown(*ask[:3], f"@{file}*0", *ask[3:])) == by_hand

    options = IndexOptions(cells=f"@{file}", max_sentences=5)
    built = ffmem.build_index(model, corpus, tmp_path / "built", options=options, run=IN_PROCESS)
    assert built.manifest.options.cells == "L0.1-2,L2.5"
    assert built.cells.kept_to_json() == {"L0": "1-2", "L2": "5"}
    with pytest.raises(InputError, match="is of another model"):
        ffmem.build_index(tiny_folder("llama"), corpus, tmp_path / "no", options=options, run=IN_PROCESS)
    with pytest.raises(InputError, match="no index is known here that has it"):
        ffmem.build_index(model, corpus, tmp_path / "no", options=IndexOptions(cells="@few"), run=IN_PROCESS)
