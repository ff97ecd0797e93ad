"""What an index is, in words; and what was found when it was checked."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ffmem import Index, open_index
from ffmem.ids import LayerCells
from ffmem.index.verification.result import Verification
from ffmem.queries import Highlight
from ffmem.render.index import info, summary, verification
from tests.fixtures.made_index import Document, Layer, make_index

TEXT = [Document([["the", " old"], [" river"]]), Document([["x"]], held_out=True)]


@pytest.fixture
def changed(tmp_path: Path) -> Callable[..., Index]:
    """An index whose manifest has other values in an object of it."""
    folder = make_index(tmp_path / "i", TEXT, [Layer([[2, -1], [1, -1], [0, 3]])], gated=True).folder

    def change(**objects: dict[str, Any]) -> Index:
        manifest = json.loads((folder / "manifest.json").read_bytes())
        for name, values in objects.items():
            manifest[name] = values if isinstance(values, list) else manifest.get(name, {}) | values
        (folder / "manifest.json").write_text(json.dumps(manifest))
        return open_index(folder)

    return change


def line_of(shown: str, name: str) -> str:
    (line,) = [line for line in shown.split("\n") if line.strip().startswith(f"{name} ")]
    return line.strip()[len(name) :].strip()


def test_info_line_by_line(changed: Callable[..., Index]) -> None:
    errors = {"errors": {"ff_sum_errors": [1e-7, 3e-6], "residual_errors": [0.0, 2e-8]}}
    index = changed(certificate=errors, counts={"n_duplicates": 1234})
    shown = info(index)
    assert shown.split("\n")[0] == "model        made (gpt2, gelu, gated)"
    assert line_of(shown, "cells") == "2: 1 layers of 2 cells"
    assert line_of(shown, "corpus") == "made.txt (text)"
    assert line_of(shown, "documents") == "2, 1 of them held out"
    assert line_of(shown, "sentences") == "2 indexed, 1,234 repeats, 1 held out"
    assert line_of(shown, "tokens") == "3 indexed, 1 held out"
    assert line_of(shown, "options") == "top 3, promoted 2"
    assert line_of(shown, "certificate").startswith(
        "sum of coefficients x values + bias = output: 3.0e-06; residual + output: 2.0e-08"
    )
    assert line_of(shown, "proof").startswith("none: built by an earlier ffmem")
    assert line_of(shown, "bytes") == "written by hand" and "note" not in shown
    n_bytes = sum(path.stat().st_size for path in (index.folder / "index").rglob("*.s*"))
    assert line_of(shown, "size") == f"{n_bytes / 1e6:,.1f} MB, format 1, ffmem 0.1"


def test_how_the_model_was_held_to_its_own_call(changed: Callable[..., Index]) -> None:
    proof = {
        "batching": {"causal": True, "rows": "equal-length", "fresh": False}, "lengths": [9, 3, 12],
        "errors": {"padded": 1e-6, "cut": 2e-7}, "notes": ["one note"],
    }  # fmt: skip
    shown = info(changed(certificate={"proof": proof}))
    assert line_of(shown, "proof") == (
        "3 sentences of 3 to 12 tokens against the model's own call on each alone: padded 1.0e-06, cut 2.0e-07 "
        "(largest relative errors); run in batches of equal length"
    )
    assert line_of(shown, "note") == "one note"


def shard(number: int, n_tokens: int) -> dict[str, int]:
    return {"shard_id": number, "first_sentence": number, "end_sentence": number + 1, "n_tokens": n_tokens}


@pytest.mark.parametrize(
    ("change", "note"),
    [
        ({"counts": {"n_undecodable_bytes": 1234}}, "1,234 bytes could not be decoded and became U+FFFD"),
        (
            {"counts": {"n_long_sentences": 2, "n_windows": 5}},
            "2 sentences were longer than the context: cut into 5 windows",
        ),
        ({"counts": {"n_context_tokens": 7}}, "7 of the tokens are only context before a window's own"),
        ({"counts": {"n_sentences_shared": 3}}, "3 sentences are in more than one of the merged indexes"),
        ({"counts": {"n_documents_empty": 4}}, "4 documents had no sentence"),
        ({"counts": {"stopped_by": "max_tokens"}}, "the corpus was read up to --max-tokens"),
        (
            {"excluded_shards": [shard(0, 1500)]},
            "1 shard was left out: 1,500 tokens neither compete nor count (sentences 0 to 0)",
        ),
        (
            {"excluded_shards": [shard(0, 1500), shard(1, 20)]},
            "2 shards were left out: 1,520 tokens neither compete nor count (sentences 0 to 0, 1 to 1)",
        ),
    ],
)
def test_what_is_worth_a_note(changed: Callable[..., Index], change: dict[str, Any], note: str) -> None:
    index = changed(**change)
    for shown in (info(index), summary(index, [])):
        assert line_of(shown, "note").startswith(note)


@pytest.mark.parametrize(("n", "told"), [(0, ""), (1, "; read from 1 line"), (1234, "; read from 1,234 lines")])
def test_lines_that_were_read(changed: Callable[..., Index], n: int, told: str) -> None:
    assert line_of(info(changed(counts={"n_lines": n})), "documents") == f"2, 1 of them held out{told}"


def test_a_list_of_thousands_of_cells_is_cut(tmp_path: Path) -> None:
    layers = [Layer([[1.0]], LayerCells(3, 10))]
    index = make_index(tmp_path / "i", [Document([["a"]])], layers, top=1, kept={"L3": "4"})
    path = index.folder / "manifest.json"
    manifest = json.loads(path.read_bytes())
    manifest["identity"]["options"]["cells"] = ",".join(["L3.4"] * 50)
    path.write_text(json.dumps(manifest))
    shown = info(open_index(index.folder))
    assert line_of(shown, "cells") == "1 of 10: 1 of 10 cells in L3"
    assert line_of(shown, "options") == f"top 1, promoted 2, cells {','.join(['L3.4'] * 50)[:60]}…"


def test_a_summary_shows_cells_and_what_to_try(changed: Callable[..., Index], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    index = changed()
    shown = summary(index, [Highlight("it fires", index["L0.0"])]).split("\n")
    first = shown.index("L0.0: it fires")
    assert shown[1] == "made over made.txt"
    assert [line.split() for line in shown[first + 1 : first + 2]] == [["2.000", "[the]", "old"]]
    assert shown[first + 2] == "  promotes ⟨ old⟩ ⟨ river⟩"
    folder = index.folder
    assert shown[first + 4 :] == [
        "Try next:", f"  ffmem info {folder}", f"  ffmem cell {folder} L0.0", f"  ffmem cells {folder} --layer 0 --sort max",
        f"  ffmem verify {folder}",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("runs", "told"),
    [
        (None, "not recorded"),
        ([], "not recorded"),
        ([{"n_tokens": 9, "tokens_per_s": 1234.5}], "1,234 tokens/s"),
        ([{"n_tokens": 9}], "not recorded"),
        (
            [{"n_tokens": 9, "tokens_per_s": 50, "resumed": True}],
            "50 tokens/s, for the 9 tokens that were left to read",
        ),
        (
            [{"n_tokens": 9, "tokens_per_s": 50}, {"n_tokens": 0}],
            "nothing was left to read in this run; 50 tokens/s in a run before",
        ),
        ([{"n_tokens": 0}], "nothing was left to read in this run; that of earlier runs is not recorded"),
    ],
)
def test_the_speed_is_that_of_what_was_read(changed: Callable[..., Index], runs: Any, told: str) -> None:
    index = changed()
    if runs is not None:
        (index.folder / "run.json").write_text(json.dumps({"runs": runs}))
    assert line_of(summary(index, []), "speed") == told


def test_names_cannot_disturb_a_terminal(changed: Callable[..., Index]) -> None:
    identity = {
        "ffmem": "0.1", "model": {"name": "m\x1b[2J", "source": "", "revision": None, "weights_sha256": ""},
        "corpus": {"kind": "text", "name": "a\nb"}, "options": {"top": 3, "promoted": 2},
    }  # fmt: skip
    index = changed(identity=identity)
    assert info(index).startswith("model        m\\x1b[2J (gpt2") and "a b (text)" in info(index)
    assert "m\\x1b[2J over a b" in summary(index, [])


def test_what_was_checked() -> None:
    assert verification(Verification(4, 12)).split("\n") == ["4 files and 12 arrays checked", "everything is in order"]
    sound = Verification(4, 12, 1234, 5678, 0.0, True, 7, 1.5e-7)
    assert verification(sound).split("\n")[1:] == [
        "1,234 triggers and 5,678 sentence-cell pairs recomputed: the same bits",
        "7 sentences run alone by the model's own call on its tokenizer's own output: largest relative difference 1.5e-07",
        "everything is in order",
    ]
    wrong = Verification(4, 12, 1, 2, 3e-4, False, problems=("a\nb", "c"))
    shown = verification(wrong).split("\n")
    assert shown[1].endswith("largest relative difference 3.0e-04") and shown[3:] == ["WRONG: a b", "WRONG: c"]
