"""The index that benchmarks are run on is a sound one."""

import importlib.util
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from ffmem.index.verify import verify_index
from ffmem.server.app import make_app
from ffmem.server.explorer import Explorer

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "synthetic_index.py"


@pytest.mark.parametrize("gated", [False, True])
def test_a_synthetic_index_is_sound_and_can_be_browsed(tmp_path: Path, gated: bool) -> None:
    spec = importlib.util.spec_from_file_location("synthetic_index", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    index = module.write_synthetic_index(tmp_path / "i", n_layers=2, n_cells=16, n_sentences=500, top=5, gated=gated)
    assert verify_index(index, with_model=False).problems == ()
    client = TestClient(make_app(Explorer(index)), base_url="http://localhost")
    for path in ("/", "/cells", "/cells/L1.3", "/sentences/7"):
        assert client.get(path).status_code == 200
