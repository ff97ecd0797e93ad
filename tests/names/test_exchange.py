"""Labels taken elsewhere and back: nothing is lost, nothing of another index is taken by mistake."""

import csv
import io
import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ffmem import Index, InputError, open_index
from ffmem.ids import CellId
from ffmem.names.exchange import LabelsRead, export_labels, export_neuronpedia, import_labels
from ffmem.names.label_files import SUFFIXES
from ffmem.store.label_rows import NewLabel, Score
from tests.names.conftest import gated_index

HOSTILE = [
    "=cmd|' /C calc'!A0", "'=1+1", "-2+3", "@SUM(A1)", "\t=1", "a\r\nb\rc\nd", 'say "hi", now;', "NUL\0NUL", "\u202eRTL\u2066",
    "👩\u200d👧", "line\u2028sep\x85", "<script>alert(1)</script>", "\ufeffBOM", "\x1b[31mred", " spaced ", "", "null",
    "[]", "{}",
]  # fmt: skip
TEXTS = st.sampled_from(HOSTILE) | st.text(max_size=20)
JSON = st.recursive(
    TEXTS | st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)
CELLS = [CellId(layer, index) for layer in (0, 1) for index in range(4)]
LABELS = st.builds(
    NewLabel,
    st.sampled_from(CELLS), st.sampled_from([1, -1]), st.sampled_from(["human", "lm", "rule", "import"]), TEXTS, TEXTS,
    st.dictionaries(TEXTS, JSON, max_size=3), TEXTS, st.none(), TEXTS, st.lists(TEXTS, max_size=3).map(tuple),
    st.sampled_from(["", "A", "C"]),
)  # fmt: skip
SCORES = st.lists(
    st.builds(Score, TEXTS, *[st.floats(0, 1)] * 3, st.integers(0, 99), st.just(0), TEXTS, TEXTS), max_size=2
)


def fresh(index: Index) -> Index:
    """The same index without labels."""
    for path in index.folder.glob("labels.*"):
        path.unlink()
    return open_index(index.folder)


def said(index: Index) -> list[tuple[Any, ...]]:
    found = []
    for one in index.names.all_labels():
        scores = index.names.scores_of(one.id)[one.id]
        run = None if one.run is None else index.names.runs()[one.run]
        found.append(
            (*(getattr(one, name) for name in one.__dataclass_fields__ if name not in ("id", "run")), scores, run)
        )
    return sorted(found, key=lambda row: json.dumps(row, sort_keys=True, default=str))


@pytest.mark.parametrize("suffix", SUFFIXES)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(LABELS, SCORES), min_size=1, max_size=4), st.sampled_from(HOSTILE[:10]))
def test_what_is_exported_is_imported_again(
    tmp_path_factory: pytest.TempPathFactory, suffix: str, labels: list[tuple[NewLabel, list[Score]]], by: str
) -> None:
    tmp_path = tmp_path_factory.mktemp("x")
    index = gated_index(tmp_path / "index")
    numbers = index.names.add([label for label, _ in labels], [scores for _, scores in labels])
    index.names.reject(numbers[-1], by)
    before = said(index)
    file = tmp_path / f"labels{suffix}"
    assert export_labels(index, file).n_labels == len(before)
    again = fresh(index)
    found = import_labels(again, [file])
    assert said(again) == before and found.n_added == len(before)
    assert import_labels(again, [file]) == LabelsRead(len(before), 0, len(before), 0)
    second = tmp_path / f"second{suffix}"
    export_labels(again, second)
    assert second.read_bytes() == file.read_bytes()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_ten_megabytes_come_back(index: Index, tmp_path: Path, suffix: str) -> None:
    text = "=\"wa'ter\0\n" * 1_000_000
    index.names.add([NewLabel(CELLS[0], 1, "import", text, author="a")])
    export_labels(index, tmp_path / f"labels{suffix}")
    again = fresh(index)
    import_labels(again, [tmp_path / f"labels{suffix}"])
    assert [one.text for one in again.names.all_labels()] == [text]


def test_runs_come_along_once(index: Index, tmp_path: Path) -> None:
    run = index.names.add_run({"model": "m", "seed": 1})
    index.names.add([NewLabel(cell, 1, "lm", "x", run=run, author="m") for cell in CELLS[:2]])
    export_labels(index, tmp_path / "labels.jsonl")
    again = fresh(index)
    import_labels(again, [tmp_path / "labels.jsonl"])
    assert list(again.names.runs().values()) == [{"model": "m", "seed": 1}]
    assert {one.run for one in again.names.all_labels()} == {1}


def test_what_spreadsheets_and_others_see(index: Index, tmp_path: Path) -> None:
    index.names.add(
        [NewLabel(CELLS[1], 1, "human", "=1+1", author="@a", note="-n"), NewLabel(CELLS[0], -1, "human", "plain")]
    )
    for suffix in SUFFIXES:
        export_labels(index, tmp_path / f"l{suffix}")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "l.csv").read_text("utf-8-sig"), newline="")))
    assert [(row["cell"], row["sign"], row["text"], row["author"], row["note"]) for row in rows] == [
        ("L0.0", "-1", "plain", "", ""), ("L0.1", "1", "'=1+1", "'@a", "'-n"),
    ]  # fmt: skip
    assert not [
        value for row in rows for name, value in row.items() if value[:1] in "=+-@\t\r" and value and name != "sign"
    ]
    lines = [json.loads(line) for line in (tmp_path / "l.jsonl").read_text().split("\n")[:-1]]
    assert [line["text"] for line in lines] == ["plain", "=1+1"] and list(lines[0]) == sorted(lines[0])
    assert pq.read_table(tmp_path / "l.parquet").column("text").to_pylist() == ["plain", "=1+1"]
    with pytest.raises(InputError, match="already exists"):
        export_labels(index, tmp_path / "l.csv")


def test_a_file_made_by_hand(index: Index, tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("Cell;text;tags;sign\nL0.1;water, and rivers;wet, cold;\nL1.2;dry;;-1\n")
    assert import_labels(index, [tmp_path / "mine.csv"]).n_added == 2
    found = [(str(one.cell), one.sign, one.source, one.text, one.tags) for one in index.names.all_labels()]
    assert found == [("L0.1", 1, "human", "water, and rivers", ("wet", "cold")), ("L1.2", -1, "human", "dry", ())]


def other_index(index: Index, folder: Path, **identity: Any) -> Index:
    shutil.copytree(index.folder, folder, ignore=shutil.ignore_patterns("labels.*"))
    manifest = json.loads((folder / "manifest.json").read_text())
    for name, values in identity.items():
        manifest["identity"][name] |= values
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return open_index(folder)


def test_labels_of_another_index_are_refused(index: Index, tmp_path: Path) -> None:
    index.names.add([NewLabel(CELLS[0], 1, "human", "water"), NewLabel(CELLS[0], 1, "rule", "'water'", grade="A")])
    files = [tmp_path / f"l{suffix}" for suffix in SUFFIXES]
    for number, file in enumerate(files):
        export_labels(index, file)
        text = other_index(index, tmp_path / f"text{number}", corpus={"sha256": "ee"})
        with pytest.raises(InputError, match=r"labels of another index.*add --remap"):
            import_labels(text, [file])
        assert import_labels(text, [file], remap=True) == LabelsRead(2, 1, 0, 1)
        assert [one.text for one in text.names.all_labels()] == ["water"]
        model = other_index(index, tmp_path / f"model{number}", model={"weights_sha256": "ff"})
        with pytest.raises(InputError, match="labels of another model"):
            import_labels(model, [file], remap=True)
        assert not model.names.path.exists()


def test_neuronpedia_there_and_back(index: Index, tmp_path: Path) -> None:
    names = index.names
    names.add(
        [
            NewLabel(CELLS[1], -1, "lm", "rivers", author="gpt-x", note="seen"),
            NewLabel(CELLS[2], 1, "human", "=1", author="ann"),
            NewLabel(CELLS[3], 1, "human", ""),
        ],
        [[Score("detection", 0.8, 0.7, 0.9, 30, 0, "judge", "valid")]],
    )
    names.reject(names.add([NewLabel(CELLS[0], 1, "rule", "rejected")])[0], "a")
    assert export_neuronpedia(index, tmp_path / "n.json", model_id="gpt2-small").n_labels == 2
    rows = json.loads((tmp_path / "n.json").read_text())
    assert {name: rows[0][name] for name in rows[0] if name != "scores"} == {
        "modelId": "gpt2-small", "layer": "0-mlp", "index": "1", "description": "rivers", "typeName": "ffmem_lm",
        "explanationModelName": "gpt-x", "notes": "sign -1; seen", "authorId": "",
    }  # fmt: skip
    (score,) = rows[0]["scores"]
    assert (score["value"], score["explanationScoreTypeName"]) == (0.8, "detection")
    assert score["explanationScoreModelName"] == "judge" and json.loads(score["jsonDetails"])["n"] == 30
    again = fresh(index)
    import_labels(again, [tmp_path / "n.json"])
    found = [(str(one.cell), one.sign, one.source, one.text, one.author, one.note) for one in again.names.all_labels()]
    assert found == [("L0.1", -1, "import", "rivers", "gpt-x", "seen"), ("L0.2", 1, "import", "=1", "ann", "")]
    assert again.names.scores_of(1) == {1: []}  # what others measured is told, not believed
    name = again.names.name(CELLS[1], -1)
    assert name is not None and name.is_guess and again.names.shown(CELLS[1], -1) is None


def test_explanations_of_openai(index: Index, tmp_path: Path) -> None:
    def scored(text: str, score: float | None) -> dict[str, Any]:
        return {"dataclass_name": "ScoredExplanation", "explanation": text,
                "scored_simulation": {"ev_correlation_score": score}}  # fmt: skip

    line = {
        "dataclass_name": "NeuronSimulationResults",
        "neuron_id": {"dataclass_name": "NeuronId", "layer_index": 1, "neuron_index": 2},
        "scored_explanations": [scored(" rivers and lakes", 0.31), scored("words", None), scored("water", 0.12)],
    }
    (tmp_path / "2.jsonl").write_text(json.dumps(line) + "\n")
    import_labels(index, [tmp_path / "2.jsonl"])
    (label,) = index.names.all_labels()
    assert (str(label.cell), label.text, label.author) == ("L1.2", "rivers and lakes", "openai")
    assert [one.text for one in index.names.labels_of(CellId(1, 2))] == ["words", "water", "rivers and lakes"]


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("l.txt", b"", "ends in '.txt'"),
        ("l.json", b"[1]", "'1' is no label"),
        ("l.json", b'"x"', "neither a list"),
        ("l.json", b"{", "cannot be read as labels"),
        ("l.json", b'[{"cell": "L0.0", "text": 5}]', "the text of L0.0 is '5'"),
        ("l.json", b'[{"cell": "L0.0", "text": "x", "mood": "y"}]', "a column 'mood'"),
        ("l.json", b'[{"text": "x"}]', "cell is missing"),
        ("l.jsonl", b'{"cell": "L0.0", "text": "x", "tags": [1]}', "the tags of L0.0"),
        ("l.json", b'[{"cell": "x", "text": "x"}]', "a label of 'x'"),
        ("l.json", b'[{"cell": "L9.0", "text": "x"}]', "L9.0 does not exist"),
        ("l.json", b'[{"cell": "L0.0", "text": "x", "scores": [{"measure": "f1"}]}]', "cannot be read"),
        ("l.json", b'[{"cell": "L0.0", "text": "x", "source": "me"}]', "source of a label is 'me'"),
        ("l.json", b'[{"layer": "x", "index": "0", "description": "x"}]', "has no number"),
        ("l.csv", b"cell,text\nL0.0,a,b", "3 values for 2 columns"),
        ("l.csv", b"cell,text,text\n", "twice"),
        ("l.csv", b"cell,text\nL0.0,\xff", "not UTF-8"),
        ("l.csv", b"cell,text,sign\nL0.0,x,one", "cannot be read as labels"),
        ("l.parquet", b"PAR1", "l.parquet"),
    ],
)
def test_a_wrong_file_is_refused_whole(index: Index, tmp_path: Path, name: str, content: bytes, problem: str) -> None:
    (tmp_path / name).write_bytes(content)
    (tmp_path / "good.csv").write_text("cell,text\nL0.0,water\n")
    with pytest.raises(InputError, match=problem):
        import_labels(index, [tmp_path / "good.csv", tmp_path / name])
    assert list(index.names.all_labels()) == []
    with pytest.raises(InputError, match="cannot be read"):
        import_labels(index, [tmp_path / "missing.csv"])
