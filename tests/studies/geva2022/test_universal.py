"""The chapter with another model: the same with its cells in another order, and the model untrained."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import ffmem
from ffmem import Index, InputError, load_model
from ffmem.studies.geva2022.universal import EXPERIMENT, UniversalResult
from ffmem.studies.report import report_of
from ffmem.studies.runner import findings_of
from tests.analyses.updates.test_universal import permuted
from tests.studies.geva2022.conftest import run


@pytest.fixture
def index(index_of: Callable[[str], Index], tmp_path: Path) -> Index:
    folder = shutil.copytree(index_of("llama").folder, tmp_path / "index", ignore=shutil.ignore_patterns("results"))
    return ffmem.open_index(folder)


def test_the_same_model_with_its_cells_in_another_order(
    index: Index, tiny_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    other = load_model(tiny_folder("llama"))
    orders = [permuted(other, layer) for layer in range(3)]
    shutil.copytree(tiny_folder("llama"), tmp_path / "other")
    other.module.save_pretrained(tmp_path / "other")
    results = run(index, other=str(tmp_path / "other"))
    found = findings_of(results).get(EXPERIMENT, UniversalResult)
    assert found.n_cells == 3 * 12 and found.other_sha256 == other.weights_hash()
    assert all(layer.best == pytest.approx(1, abs=1e-4) for layer in found.layers)
    assert found.universal.value * found.n_cells == len(found.matches) > 0
    for match in found.matches:
        layer, cell = match.cell.removeprefix("L").split(".")
        of_layer, of_cell = match.other.removeprefix("L").split(".")
        assert of_layer == layer and orders[int(layer)][int(of_cell)] == int(cell)
        assert match.correlation - match.random > 0.5
    report = report_of(results)
    assert report.sections[-1].name == "Universal cells" and not any("Universal" in one for one in report.left_out)


def test_an_untrained_model_shares_nothing(index: Index, tiny_folder: Callable[[str], Path]) -> None:
    results = run(index, other=f"untrained:{tiny_folder('llama')}")
    found = findings_of(results).get(EXPERIMENT, UniversalResult)
    assert found.universal.value == 0 and found.matches == ()
    (claim,) = (one for name, one in report_of(results).claims if name == "Universal cells")
    assert claim.test.effect == pytest.approx(0.05)


def test_a_model_that_reads_other_tokens_is_refused(index: Index, tiny_folder: Callable[[str], Path]) -> None:
    with pytest.raises(InputError, match="which reads a text as the same tokens"):
        run(index, other=str(tiny_folder("bert")))
