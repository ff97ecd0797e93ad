"""Data sets: a folder read with the library, as the hub's would be; nothing is downloaded."""

import json
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ffmem import extras
from ffmem.corpus.documents import Document
from ffmem.corpus.registry import open_corpus
from ffmem.errors import InputError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    root = tmp_path / "set"
    root.mkdir()
    for split, n in (("train", 3), ("test", 2)):
        rows = [{"text": f"{split} {i}.", "body": f"Body {i}.", "id": f"{split}-{i}", "n": i} for i in range(n)]
        (root / f"{split}.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    return root


def test_rows_of_a_split(folder: Path):
    train = [
        Document(f"train-{i}", f"train {i}.", {"body": f"Body {i}.", "id": f"train-{i}", "n": i}) for i in range(3)
    ]
    assert list(open_corpus(f"hf:{folder}")) == train
    assert list(open_corpus(f"hf:{folder}:default:train")) == train
    assert [document.text for document in open_corpus(f"hf:{folder}::test")] == ["test 0.", "test 1."]


def test_the_field_may_be_chosen_in_two_ways(folder: Path):
    for corpus in (open_corpus(f"hf:{folder}:::body"), open_corpus(f"hf:{folder}", field="body")):
        assert [document.text for document in corpus] == ["Body 0.", "Body 1.", "Body 2."]
        assert corpus.identity()["field"] == "body"


def test_columns_of_bytes_are_left_out(tmp_path: Path):
    (tmp_path / "set").mkdir()
    pq.write_table(pa.table({"text": ["One."], "image": [b"\xff\xd8"]}), tmp_path / "set" / "train.parquet")
    assert list(open_corpus(f"hf:{tmp_path / 'set'}")) == [Document("row 1", "One.", {})]


def test_identity_of_a_folder_is_its_rows(folder: Path, tmp_path: Path):
    name = f"hf:{folder}:default:train"
    first = open_corpus(name).identity()
    assert first == open_corpus(name).identity()
    del first["sha256"]
    assert first == {
        "kind": "hub", "name": name, "dataset": str(folder), "config": "default", "split": "train", "field": "text",
    }  # fmt: skip
    before = open_corpus(name).identity()["sha256"]
    (folder / "train.jsonl").touch()  # the time of a file is not its content
    assert open_corpus(name).identity()["sha256"] == before
    (folder / "train.jsonl").write_text('{"text": "Other.", "id": "a"}')
    assert open_corpus(name).identity()["sha256"] != before


@pytest.mark.parametrize("how", ["changed", "removed"])
def test_a_folder_that_changes_after_its_identity_was_told_is_refused(folder: Path, how: str):
    corpus = open_corpus(f"hf:{folder}")
    corpus.check_unchanged()  # nothing was told yet
    corpus.identity()
    (folder / "test.jsonl").write_text("")  # of another split
    corpus.check_unchanged()
    if how == "removed":
        (folder / "train.jsonl").unlink()
    else:
        with (folder / "train.jsonl").open("a") as file:
            file.write('\n{"text": "One more.", "body": "", "id": "4", "n": 4}')
    with pytest.raises(InputError, match=r"train\.jsonl was changed, or removed, while it was read"):
        corpus.check_unchanged()


def test_identity_of_a_hub_dataset_is_its_commit(folder: Path):
    corpus = open_corpus(f"hf:{folder}")
    commit = "0123456789abcdef0123456789abcdef01234567"
    files = SimpleNamespace(origin_metadata=[("some/set", commit), ("some/set", commit)])
    corpus._builder = SimpleNamespace(config=SimpleNamespace(data_files={"train": files}))
    identity = corpus.identity()
    assert identity["revision"] == commit
    assert "sha256" not in identity


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("{}:nothing", "BuilderConfig 'nothing' not found. Available: ['default']"),
        ("{}::valid", "Bad split: valid. Available splits: ['train', 'test']"),
        ("no-such-owner/no-such-set", "Couldn't reach 'no-such-owner/no-such-set' on the Hub (OfflineModeIsEnabled)"),
    ],
)
def test_what_cannot_be_had(folder: Path, name: str, why: str, monkeypatch: pytest.MonkeyPatch):
    import datasets

    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    name = f"hf:{name.format(folder)}"
    with pytest.raises(InputError) as error:
        list(open_corpus(name))
    assert str(error.value) == (
        f"the data set {name} cannot be read: {why}. "
        "Expected hf:NAME[:CONFIG][:SPLIT][:FIELD], a data set on the Hugging Face hub or a folder of files. "
        "Check name, config and split; without a network, fetch its files elsewhere and give their folder: hf:FOLDER."
    )


def test_a_row_without_text(folder: Path):
    with pytest.raises(
        InputError, match=r"row 1 of hf:.* has no text in its field 'n'\. .* other fields: body, id, text"
    ):
        list(open_corpus(f"hf:{folder}", field="n"))


def test_a_damaged_file(folder: Path):
    (folder / "train.jsonl").write_text('{"text": "One."}\n{"text": ')
    with pytest.raises(InputError, match=r"the data set hf:.* cannot be read.*: .*Expected hf:NAME"):
        list(open_corpus(f"hf:{folder}"))


@pytest.mark.parametrize("name", ["hf:", "hf::x", "hf:a:b:c:d:e"])
def test_a_name_that_names_nothing(name: str):
    with pytest.raises(
        InputError, match=r"does not name a data set\. Expected hf:NAME\[:CONFIG\]\[:SPLIT\]\[:FIELD\]\. For"
    ):
        open_corpus(name)


def test_a_missing_package(folder: Path, monkeypatch: pytest.MonkeyPatch):
    def missing(name: str) -> None:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(extras, "import_module", missing)
    with pytest.raises(InputError, match=r"cannot be read: a package that it needs is not installed\. .*\[datasets\]"):
        open_corpus(f"hf:{folder}").identity()


def test_ids_of_a_csv_file_stay_as_they_are_written(tmp_path: Path):
    (tmp_path / "x.csv").write_text("text,id\na,007\nNA,1\nc,\n")
    found = [(document.name, document.text, document.metadata) for document in open_corpus(f"hf:{tmp_path}")]
    assert found == [("007", "a", {"id": "007"}), ("1", "NA", {"id": "1"}), ("row 3", "c", {"id": ""})]


def test_numbers_that_the_library_rounds_are_refused(tmp_path: Path):
    (tmp_path / "x.jsonl").write_text('{"text": "a", "id": 18446744073709551615}\n')
    with pytest.raises(
        InputError, match=r"row 1 of .* in its field 'id', a number that its reader has rounded\. .*jsonl'"
    ):
        list(open_corpus(f"hf:{tmp_path}"))
