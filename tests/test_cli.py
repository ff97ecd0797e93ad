"""The command line, as a person uses it."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ffmem import Index
from tests.fixtures.programs import ffmem


def test_index_shows_progress_and_a_summary_and_the_reading_verbs_work(
    tiny_folder: Callable[[str], Path], corpus: Path, tmp_path: Path
) -> None:
    out = tmp_path / "i"
    command = ("index", tiny_folder("llama"), corpus, "--out", out, "--top", 5, "--workers", 1, "--holdout", 0)
    shown, progress = ffmem(*command)
    assert "tokens/s" in shown and "Try next:" in shown and f"ffmem cell {out}" in shown
    assert shown.count("\n  promotes") == 3
    assert "reading the corpus" in progress and "writing the index" in progress
    again, progress = ffmem(*command)
    assert "reading the corpus" not in progress and "Try next:" in again

    shown, _ = ffmem("info", out)
    assert "llama" in shown and "certificate" in shown
    found = json.loads(ffmem("info", out, "--json")[0])
    assert found["counts"]["n_sentences"] > 100 and found["identity"]["options"]["top"] == 5

    found = json.loads(ffmem("cell", out, "L1.3", "--json")[0])
    assert found["cell"] == "L1.3" and (found["layer"], found["index"]) == (1, 3)
    assert {"statistics", "promoted", "suppressed", "projection"} <= set(found)
    for trigger in found["triggers"]:
        assert trigger["sign"] * trigger["coefficient"] > 0
        position, tokens = trigger["position"], trigger["tokens"]
        assert trigger["next_token"] == (tokens[position + 1] if position + 1 < len(tokens) else None)
        assert "".join(tokens) == trigger["text"]
        assert trigger["document"]["name"].startswith("paragraph")
    by_sign = {sign: [t for t in found["triggers"] if t["sign"] == sign] for sign in (1, -1)}
    for triggers in by_sign.values():
        assert [t["rank"] for t in triggers] == list(range(5))
        assert [abs(t["coefficient"]) for t in triggers] == sorted(
            (abs(t["coefficient"]) for t in triggers), reverse=True
        )
    assert "promotes" in ffmem("cell", out, "L1.3")[0]

    rows = json.loads(ffmem("cells", out, "--layer", 1, "--sort", "max", "--limit", 4, "--json")[0])
    assert [row["maximum"] for row in rows] == sorted((row["maximum"] for row in rows), reverse=True) and len(rows) == 4
    assert len(ffmem("cells", out, "--sort", "active")[0].splitlines()) == 21
    assert "everything is in order" in ffmem("verify", out, "--batches", 2)[0]


def test_errors_go_to_stderr_with_their_exit_code(index_of: Callable[[str], Index], tmp_path: Path) -> None:
    folder = index_of("gpt2").folder
    _, message = ffmem("cell", folder, "L99.0", expect=2)
    assert message.startswith("ffmem: cell L99.0 does not exist") and "Traceback" not in message
    assert "Traceback" in ffmem("cell", folder, "L99.0", "--debug", expect=2)[1]
    assert "there is no index in" in ffmem("info", tmp_path, expect=1)[1]
    refused = ffmem("cells", folder, "--sort", "beauty", expect=2)
    assert "beauty" in "".join(refused)
    assert "Unknown option" in ffmem("info", folder, "--bogus", expect=2)[1]


def test_questions_to_all_cells(index_of: Callable[[str], Index], tiny_folder: Callable[[str], Path]) -> None:
    folder = index_of("llama").folder
    found = json.loads(ffmem("search", folder, "silver", "--cells", "--limit", 3, "--json")[0])
    assert len(found["hits"]) == 3 < found["n_matches"] and found["hits"][0]["cells"] is not None
    assert "[silver]" in ffmem("search", folder, "silver")[0]
    assert "sentences searched match" in ffmem("search", folder, "s.l+ver$", "--regex", "--time-limit", 5)[0]
    assert "both --regex and --raw are given" in ffmem("search", folder, "x", "--regex", "--raw", expect=2)[1]
    assert "is not understood" in ffmem("search", folder, "x AND", "--raw", expect=2)[1]
    shown = ffmem("search", folder, "ilver ", "--literal")[0]
    assert "s[ilver ]" in shown and "looked for as they stand, within words too." in shown
    assert "sentences searched match, looked for as whole words" in ffmem("search", folder, "silver")[0]

    rows = json.loads(ffmem("promotes", folder, " the", "--model", tiny_folder("llama"), "--json")[0])["rows"]
    assert [row["logit"] for row in rows] == sorted((row["logit"] for row in rows), reverse=True)
    assert all(row["true_rank"] is not None for row in rows)
    assert "among the tokens that they suppress most" in ffmem("promotes", folder, " the", "--suppressed")[0]
    assert "is not one token" in ffmem("promotes", folder, "the river", expect=2)[1]

    command = ("find", folder, "--trigger", "silver", "--fires-on", " the", "--layer", "1:", "--limit", 2)
    rows = json.loads(ffmem(*command, "--json")[0])["rows"]
    assert len(rows) == 2 and all(t["tokens"][t["position"]] == " the" for row in rows for t in row["triggers"])
    assert "cells found" in ffmem(*command)[0]
    assert ffmem("similar", folder, "L1.5", "--by", "value", "--model", tiny_folder("llama"))[0].count("L") > 10
    assert len(json.loads(ffmem("similar", folder, "L1.5", "--limit", 4, "--json")[0])["rows"]) == 4
    assert "mean overlap of triggers: 1.0000" in ffmem("diff", folder, folder, "--layer", ":2")[0]
    assert "different shapes" in ffmem("diff", folder, index_of("gpt2").folder, expect=2)[1]


def test_verify_exits_with_1_on_damage(index_of: Callable[[str], Index], tmp_path: Path) -> None:
    import shutil

    shutil.copytree(index_of("gpt2").folder, tmp_path / "i")
    layer = tmp_path / "i" / "index" / "layers" / "L000.safetensors"
    data = bytearray(layer.read_bytes())
    data[-5] ^= 1
    layer.write_bytes(data)
    shown, _ = ffmem("verify", tmp_path / "i", "--files-only", expect=1)
    assert "WRONG: index/layers/L000.safetensors has changed" in shown


@pytest.mark.parametrize(
    "verb", ["index", "info", "cell", "cells", "verify", "search", "promotes", "find", "similar", "diff"]
)
def test_every_command_has_help(verb: str) -> None:
    shown, _ = ffmem(verb, "--help")
    assert verb in shown


def test_a_cell_is_shown_in_half_a_second_or_five_starts_of_python(index_of: Callable[[str], Index]) -> None:
    index = index_of("gpt2")
    shown, started = [], []
    for _ in range(5):  # both in turn, so that a busy machine slows both
        begin = time.monotonic()
        subprocess.run([sys.executable, "-c", "import numpy"], check=True)
        started.append(time.monotonic() - begin)
        begin = time.monotonic()
        subprocess.run([sys.executable, "-m", "ffmem", "cell", index.folder, "L0.0"], check=True, capture_output=True)
        shown.append(time.monotonic() - begin)
    assert min(shown) < max(0.5, 5 * min(started)), (shown, started)
    queries = []
    for i in range(20):
        begin = time.monotonic()
        index.cell(f"L0.{i}")
        queries.append(time.monotonic() - begin)
    assert sorted(queries)[10] < 0.01, queries
