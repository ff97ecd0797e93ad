"""`ffmem audit`, as it is typed."""

import json
from pathlib import Path

import pytest

from ffmem import InputError
from ffmem.studies.results import open_results
from tests.cli.typed import typed

pytest.importorskip("altair", reason="needs the extra report")


def corpus(path: Path, middle: str) -> Path:
    lines = [f"the door {'is ' * (n % 5)}{middle} {'red blue green' if n % 2 else 'green open'}" for n in range(12)]
    path.write_text("".join(json.dumps({"text": f"{line} the {'is ' * n}"}) + "\n" for n, line in enumerate(lines)))
    return path


def test_an_audit_from_its_command_to_its_page(
    planted_memory_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train = corpus(tmp_path / "train.jsonl", "one two three four five six")
    new = corpus(tmp_path / "new.jsonl", "six five two one four three")
    command = [
        "audit", planted_memory_folder, "--train", train, "--held-out", new, "--out", tmp_path / "audit", "--prefix", 2,
        "--suffix", 3, "--passages", 1, "--injections", 0, "--no-controls", "--quiet",
    ]  # fmt: skip
    typed(*command)
    shown = capsys.readouterr().out
    assert (tmp_path / "audit" / "report.html").is_file() and "The page: " in shown
    typed(*command, "--json")
    told = json.loads(capsys.readouterr().out)
    area = next(one for one in told["numbers"] if one["quantity"] == "area under the curve, loss")
    assert told["study"] == "carlini2021" and area["ours"] > 0.9
    assert open_results(tmp_path / "audit").study == "carlini2021"
    page = (tmp_path / "audit" / "report.html").read_text()
    assert "verdict on one document" in page


def test_an_audit_without_a_training_text_says_what_to_write(planted_memory_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="0 training texts are named"):
        typed("audit", planted_memory_folder, "--out", tmp_path / "audit", "--quiet")
    with pytest.raises(InputError, match="no folder is given for the results"):
        typed("audit", planted_memory_folder, "--train", "topics", "--quiet")
