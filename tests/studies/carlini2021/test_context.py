"""What an audit is given: texts that overlap, are missing, or are of a model that predicts nothing."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import ffmem
from ffmem import InputError
from ffmem.index.text.writer import is_held_out
from ffmem.options import IndexOptions
from ffmem.studies.carlini2021.context import Audit, begin
from ffmem.studies.carlini2021.options import AuditOptions
from ffmem.studies.study import Subject
from tests.studies.carlini2021.conftest import SMALL, Run, write


def audit(model: Path, folder: Path, **options: object) -> Audit:
    subject = Subject(lambda: ffmem.load_model(model), folder)
    return begin(subject, AuditOptions(**(SMALL | options)), lambda _: None)  # type: ignore[arg-type]


def test_by_default_new_is_what_an_index_holds_out(planted_memory_folder: Path, tmp_path: Path) -> None:
    texts = [f"the door is {'open ' * (n % 7)}{'one ' * (n // 7)}two" for n in range(400)]
    found = audit(planted_memory_folder, tmp_path / "a", train=write(tmp_path / "t.jsonl", texts), documents=1000)
    new = {text for text in texts if is_held_out(text, IndexOptions())}
    assert {one.text for one in found.others} == new and len(new) > 10
    assert {one.text for one in found.members} == set(texts) - new
    assert found.counts["the"] == len(texts) - len(new)


def test_an_audit_is_the_same_wherever_its_files_lie(
    planted_memory_folder: Path, audit_files: Path, tmp_path: Path
) -> None:
    names = {"train": "train.jsonl", "held_out": "new.jsonl", "planted": "planted.json"}
    first = audit(
        planted_memory_folder, tmp_path / "a", **{name: str(audit_files / file) for name, file in names.items()}
    )
    truth = json.loads((audit_files / "planted.json").read_text())
    (tmp_path / "p.json").write_text(json.dumps(truth, indent=3))
    moved = {name: str(audit_files / file) for name, file in names.items()} | {"planted": str(tmp_path / "p.json")}
    assert audit(planted_memory_folder, tmp_path / "a", **moved).results.key == first.results.key
    with pytest.raises(InputError, match="holds results of something else"):
        audit(planted_memory_folder, tmp_path / "a", **moved, seed=1)


def test_what_is_missing_is_asked_for(planted_memory_folder: Path, audit_files: Path, tmp_path: Path) -> None:
    train, few = str(audit_files / "train.jsonl"), write(tmp_path / "few.jsonl", ["the door"] * 3)
    known = write(
        tmp_path / "known.jsonl", [json.loads(line)["text"] for line in Path(train).read_text().splitlines()[:20]]
    )
    for options, why in (
        (
            {"train": train, "held_out": known},
            "0 documents of the text that is new: of 20, 20 stand word for word in the tr",
        ),
        ({}, "0 training texts are named"),
        ({"train": train, "held_out": train}, "names the same corpus as --train"),
        ({"train": train, "held_out": few}, "there are 3 documents of the text that is new"),
        ({"train": few}, "there are . documents of the training text"),
    ):
        with pytest.raises(InputError, match=why):
            audit(planted_memory_folder, tmp_path / "b", **options)


def test_a_model_that_predicts_no_next_token_is_refused(
    run_audit: Run, tiny_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    for family in ("bert", "t5"):
        with pytest.raises(InputError, match="is not a causal language model"):
            run_audit(tmp_path / family, model=tiny_folder(family))


def test_a_reference_model_must_have_the_same_tokens(
    run_audit: Run, tiny_folder: Callable[[str], Path], planted_memory_folder: Path, tmp_path: Path
) -> None:
    less = {"passages": 0, "injections": 0, "planted": None}
    with pytest.raises(InputError, match="have different tokenizers"):
        run_audit(tmp_path / "other", reference_model=str(tiny_folder("gpt2")), **less)
    results = run_audit(tmp_path / "same", reference_model=str(planted_memory_folder), **less)
    arrays = results.load_arrays("membership")
    assert abs(arrays["loss - reference model"]).max() < 1e-6  # of itself
