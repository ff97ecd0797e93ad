"""What the page says of another model's maps, against the rows beside it."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import ffmem
from ffmem import Index, InputError
from ffmem.analyses.diagnostics.maps import LayerMaps
from ffmem.studies.results import Results
from ffmem.studies.runner import findings_of
from ffmem.studies.wiegreffe2019.variance import EXPERIMENT, VarianceResult, _counterparts
from tests.studies.wiegreffe2019.conftest import SMALL, run


def test_the_numbers_of_the_page_are_those_of_the_rows(diagnosed: Results) -> None:
    found, rows = findings_of(diagnosed).get(EXPERIMENT, VarianceResult), diagnosed.load_arrays(EXPERIMENT)
    (other,) = found.others
    assert other.name.startswith("untrained:") and 0 <= other.same_head <= 1
    for series, estimate in other.means.items():
        assert estimate.value == pytest.approx(rows[f"0.{series}"].mean()) and estimate.value > 0
    assert EXPERIMENT not in findings_of(diagnosed).controls["untrained"].values


def test_one_sentence_is_too_little_to_match_heads_on(labelled_index: Index, tmp_path: Path) -> None:
    model = labelled_index.manifest.identity.model.source
    index = ffmem.open_index(shutil.copytree(labelled_index.folder, tmp_path / "index"))
    with pytest.raises(InputError, match=r"--positions 4 are of 1 sentence of held-out text.*Write --positions 1500"):
        run(index, replace(SMALL, positions=4, layer_positions=4, other=(f"untrained:{model}",)), controls=False)


def test_the_nearest_other_head_is_never_the_same() -> None:
    generator = torch.Generator().manual_seed(0)
    weights = torch.rand(3, 5, 5, generator=generator).tril()
    weights[2] = weights[0] + 0.01 * weights[1]  # 0 and 2 are nearly alike
    weights = weights / weights.sum(-1, keepdim=True)
    maps = {"L0": LayerMaps(weights, torch.ones(3, 5))}
    assert _counterparts([maps], [maps])["L0"].tolist() == [0, 1, 2]
    found = _counterparts([maps], [maps], but_itself=True)["L0"].tolist()
    assert found[0] == 2 and found[2] == 0 and found[1] != 1
