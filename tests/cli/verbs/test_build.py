"""`ffmem index`, and the verbs that read what it makes, as a user runs them."""

import json
from collections.abc import Callable
from pathlib import Path

from tests.cli.conftest import start_ffmem
from tests.fixtures.programs import ffmem


def test_index_shows_progress_and_a_summary_and_the_reading_verbs_work(
    tiny_folder: Callable[[str], Path], corpus: Path, tmp_path: Path
) -> None:
    out = tmp_path / "i"
    command = ("index", tiny_folder("llama"), corpus, "--out", out, "--top", 5, "--workers", 1, "--holdout", 0)
    shown, progress = start_ffmem(*command)
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
