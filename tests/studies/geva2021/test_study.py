"""A whole study of tiny models: what it keeps, what it goes on from, what it writes."""

import csv
import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import ffmem
from ffmem import Index, InputError, StoreError
from ffmem.studies.charts import rows_of
from ffmem.studies.geva2021.experiments import Stage, refinement_of
from ffmem.studies.geva2021.figures import FIGURES, names_of
from ffmem.studies.geva2021.findings import Findings, findings
from ffmem.studies.geva2021.headlines import headlines, shapes
from ffmem.studies.geva2021.options import StudyOptions
from ffmem.studies.geva2021.report import write_report
from ffmem.studies.geva2021.run import reproduce
from ffmem.studies.results import open_results
from tests.conftest import SMALL_STUDY

pytest.importorskip("altair", reason="needs the extra report")
SMALL = StudyOptions(**SMALL_STUDY)


def hashes(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "costs.json"
    }


def copy_of(index: Index, folder: Path) -> Index:
    shutil.copytree(index.folder, folder, ignore=shutil.ignore_patterns("results"))
    return ffmem.open_index(folder)


@pytest.fixture(scope="module")
def studied(studied_index: Index) -> tuple[Index, Findings, Path]:
    results = open_results(studied_index.folder)
    return studied_index, findings(results, studied_index), write_report(results, studied_index)


def test_two_studies_agree_to_the_byte_and_a_stopped_one_goes_on(
    studied: tuple[Index, Findings, Path], tmp_path: Path
) -> None:
    index, _, page = studied
    other = copy_of(index, tmp_path / "elsewhere")

    class Stopped(Exception):  # noqa: N818 (stands for Ctrl-C, not for an error)
        pass

    seen: list[Stage] = []

    def stop_at(experiment: str) -> Callable[[Stage], None]:
        def listen(now: Stage) -> None:
            seen.append(now)
            if now.experiment == experiment and now.done == 1:
                raise Stopped

        return listen

    with pytest.raises(Stopped):
        reproduce(other, SMALL, progress=stop_at("modifications"))
    kept = {path.name for path in (other.folder / "results").glob("*/*.json")}
    assert "refinement.json" in kept and "modifications-layer-000.json" in kept and "modifications.json" not in kept
    seen.clear()
    results = reproduce(other, SMALL, progress=seen.append)
    assert [one for one in seen if one.experiment == "refinement"] == [Stage("refinement", 1, 1)]  # not done again
    write_report(results, other)
    assert hashes(results.folder) == hashes(page.parent)
    assert results.key == page.parent.name
    again = reproduce(other, StudyOptions(**{**SMALL.to_json(), "seed": 1}))
    assert again.key != results.key


def test_the_files_beside_the_page_hold_its_numbers(studied: tuple[Index, Findings, Path]) -> None:
    _, found, page = studied
    text = page.read_text("utf-8")
    specs = json.loads(text.split('id="charts">')[1].split("</script>")[0])
    assert list(specs) == sorted(names_of(found)) and len(specs) >= 14
    for name in specs:
        with (page.parent / "figures" / f"{name}.csv").open() as file:
            kept = list(csv.DictReader(file))
        rows = rows_of(FIGURES[name][1](found))
        assert [row["layer"] for row in kept if "layer" in row] == [str(row["layer"]) for row in rows if "layer" in row]
        assert (page.parent / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert b"<svg" in (page.parent / "figures" / f"{name}.svg").read_bytes()[:200]
        assert f'id="chart-{name}"' in text
    assert "http://" not in text.replace("http://www.w3.org/", "").split("<script>")[0]
    assert {one.item for one in headlines(found)} >= {"Figure 3", "Figure 4", "Figure 7", "Figure 11", "Table 2"}
    for one in headlines(found):
        assert one.quantity in text.replace("&#39;", "'") and one.text() in text
    assert len({(one.item, one.quantity) for one in headlines(found)}) == len(headlines(found))
    assert len(shapes(found)) >= 10


def test_findings_are_those_of_the_stored_arrays(studied: tuple[Index, Findings, Path]) -> None:
    index, found, page = studied
    arrays = refinement_of(open_results(page.parent).load_arrays("refinement"))
    layers = found.values["refinement"]["layers"]
    assert found.values["refinement"]["n_prefixes"] == len(arrays.n_active) == 30
    for place, layer in enumerate(layers):
        assert layer["residual_match"]["value"] == np.mean(arrays.residual_top[:, place] == arrays.prediction)
        assert layer["zero_agreement"]["value"] == np.mean(~arrays.active_agrees[:, place])
        assert sum(case["value"] for case in layer["cases"].values()) == pytest.approx(1)
    assert sum(found.values["refinement"]["saturation"]) == pytest.approx(1)
    assert len(layers) == index.n_layers
    cases = found.values["elimination-cases"]
    assert len(cases) == found.values["refinement"]["elimination"]["n"] <= 100
    for case in cases:
        (r, y, o), (r_new, y_new, o_new) = case["residual_token_scores"], case["output_token_scores"]
        assert r >= r_new and o_new >= o and case["change"] == pytest.approx(y - y_new)
        assert case["residual_token_ranks"][0] == 0 == case["output_token_ranks"][2]


def test_other_held_out_text_makes_another_study(studied: tuple[Index, Findings, Path], tmp_path: Path) -> None:
    index, _, page = studied
    (tmp_path / "new.txt").write_text(
        "The old village waits for winter.\n\nSoldiers write letters about silver rivers.\n"
    )
    options = StudyOptions(**{**SMALL.to_json(), "held_out": str(tmp_path / "new.txt")})
    results = reproduce(index, options)
    assert results.key != page.parent.name
    assert findings(results, index).values["refinement"]["n_sentences"] <= 2
    shutil.copy(tmp_path / "new.txt", tmp_path / "same.txt")
    shutil.rmtree(results.folder)


def test_a_model_without_next_token_gets_the_rest(index_of: Callable[[str], Index], tmp_path: Path) -> None:
    index = copy_of(index_of("bert"), tmp_path / "bert")
    results = reproduce(index, SMALL)
    found = findings(results, index)
    assert "parameters" in found.values and not any(name.startswith(("agreement", "refine")) for name in found.values)
    assert "does not predict the next token" in write_report(results, index).read_text()


@pytest.mark.parametrize("family", ["gpt2", "llama", "mixtral"])
def test_every_kind_of_cell_can_be_studied(family: str, index_of: Callable[[str], Index], tmp_path: Path) -> None:
    index = copy_of(index_of(family), tmp_path / family)
    found = findings(reproduce(index, SMALL), index)
    assert {"raw", "folded"} <= set(found.projections()) and found.projections()[0] == index.manifest.projection
    for one in headlines(found):
        assert one.text()
    for name in names_of(found):
        FIGURES[name][1](found).to_dict()


def test_what_is_wrong_with_results_is_said(studied: tuple[Index, Findings, Path], tmp_path: Path) -> None:
    index, _, page = studied
    with pytest.raises(InputError, match="has no results of a study"):
        open_results(tmp_path)
    other = copy_of(index, tmp_path / "two")
    for name in ("a", "b"):
        shutil.copytree(page.parent, other.folder / "results" / name)
    with pytest.raises(InputError, match="has 2 studies"):
        open_results(other.folder)
    (other.folder / "results" / "a" / "parameters.json").write_text("{")
    with pytest.raises(StoreError, match=r"parameters\.json is damaged"):
        open_results(other.folder / "results" / "a").load("parameters")
    shutil.copy(page.parent / "parameters.json", other.folder / "results" / "a")
    header = json.loads((other.folder / "results" / "a" / "study.json").read_text())
    (other.folder / "results" / "a" / "study.json").write_text(json.dumps(header | {"key": "0"}))
    with pytest.raises(StoreError, match="it is of the study"):
        open_results(other.folder / "results" / "a").load("parameters")


def test_options_are_checked() -> None:
    with pytest.raises(InputError, match="--prefixes is 0"):
        StudyOptions(prefixes=0)
