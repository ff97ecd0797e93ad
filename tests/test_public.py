"""Promises about importing."""

import subprocess
import sys
from collections.abc import Callable

import pytest

import ffmem


def test_the_public_names_are_these() -> None:
    assert ffmem.__all__ == sorted(ffmem.__all__)
    assert ffmem.__all__ == [
        "Cell",
        "CellId",
        "FfmemError",
        "Index",
        "IndexOptions",
        "InputError",
        "ModelError",
        "RunOptions",
        "StoreError",
        "__version__",
        "build_index",
        "load_model",
        "open_index",
        "to_json",
    ]
    for name in ffmem.__all__:
        assert getattr(ffmem, name) is not None


def loaded_after(code: str) -> set[str]:
    script = f"{code}\nimport sys; print(*sys.modules)"
    return set(
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    )


def test_reading_an_index_needs_no_torch() -> None:
    heavy = {"torch", "transformers", "altair", "tokenizers", "jaxtyping"}
    all_names = (
        "import ffmem.cli; [getattr(room, name) for room in (ffmem.queries, ffmem.render) for name in room.__all__]"
    )
    assert not heavy & loaded_after(f"import ffmem, ffmem.queries; {all_names}; ffmem.open_index")
    assert "torch" in loaded_after("import ffmem; ffmem.build_index")  # the test can fail


@pytest.mark.parametrize("typed", ["--help", "cell INDEX L0.0", "find INDEX --fires-on the", "promotes INDEX the"])
def test_a_command_that_reads_loads_no_model_library(typed: str, index_of: Callable[[str], ffmem.Index]) -> None:
    words = typed.replace("INDEX", str(index_of("gpt2").folder)).split()
    code = f"import sys, ffmem.cli\nsys.argv = ['ffmem', *{words}]\nsys.stdout = open('/dev/null', 'w')\n"
    code += (
        "try:\n    ffmem.cli.main()\nexcept SystemExit as stop:\n    assert not stop.code\nsys.stdout = sys.__stdout__"
    )
    loaded = loaded_after(code)
    assert not {"torch", "transformers", "altair"} & loaded
    assert "ffmem.cli.app" in loaded
