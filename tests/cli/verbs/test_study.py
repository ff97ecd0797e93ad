"""The paper's experiments from the command line, as a user runs them."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fixtures.programs import ffmem

pytest.importorskip("altair", reason="needs the extra report")
SMALL = (
    "--prefixes",
    20,
    "--edited-cells",
    2,
    "--edited-triggers",
    1,
    "--scored-cells",
    2,
    "--scored-positions",
    40,
    "--no-controls",
)


@pytest.mark.slow
def test_from_a_model_and_a_corpus_to_a_page_and_a_comparison(
    tiny_folder: Callable[[str], Path], corpus: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "i"
    shown, progress = ffmem("reproduce", tiny_folder("gpt2"), "topics", "--out", folder, "--max-tokens", 20_000, *SMALL)
    page = Path(shown.rpartition("The page: ")[2].strip())
    assert page.is_file() and page.parent.parent == folder / "results"
    assert "refinement: begins" in progress and "writing the index" in progress
    assert "Figure 11" in shown and "agreement rate, best layer" in shown
    again = json.loads(ffmem("reproduce", folder, *SMALL, "--json", "--quiet")[0])
    assert again["page"] == str(page) and len(again["studies"][0]["shapes"]) >= 10
    table = ffmem("compare", folder, page.parent, "--markdown")[0]
    assert table.startswith("|  | quantity | paper | gpt2") and table.count("Figure 4 |") >= 5
    _, wrong = ffmem("reproduce", tiny_folder("gpt2"), corpus, expect=2)
    assert "Expected --out FOLDER" in wrong
    for model in ("reference", tiny_folder("gpt2")):
        _, wrong = ffmem("reproduce", model, expect=2)
        assert f"{model} is not an index, and no corpus is given to build one from" in wrong
    ffmem(
        "index", tiny_folder("gpt2"), corpus, "--out", tmp_path / "all", "--holdout", 0, "--max-tokens", 2000, "--quiet"
    )
    _, wrong = ffmem("reproduce", tmp_path / "all", *SMALL, expect=2)
    assert "holds no held-out text" in wrong and "begins" not in wrong  # told before anything is computed
    ffmem("verify", folder, "--files-only")  # results lie beside an index and are none of its business
