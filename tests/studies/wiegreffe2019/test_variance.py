"""What the page says of another model's maps, against the rows beside it."""

import pytest
import torch

from ffmem.analyses.diagnostics.maps import LayerMaps
from ffmem.studies.results import Results
from ffmem.studies.runner import findings_of
from ffmem.studies.wiegreffe2019.variance import EXPERIMENT, VarianceResult, _counterparts


def test_the_numbers_of_the_page_are_those_of_the_rows(diagnosed: Results) -> None:
    found, rows = findings_of(diagnosed).get(EXPERIMENT, VarianceResult), diagnosed.load_arrays(EXPERIMENT)
    (other,) = found.others
    assert other.name.startswith("untrained:") and 0 <= other.same_head <= 1
    for series, estimate in other.means.items():
        assert estimate.value == pytest.approx(rows[f"0.{series}"].mean()) and estimate.value > 0
    assert EXPERIMENT not in findings_of(diagnosed).controls["untrained"].values


def test_the_nearest_other_head_is_never_the_same() -> None:
    generator = torch.Generator().manual_seed(0)
    weights = torch.rand(3, 5, 5, generator=generator).tril()
    weights[2] = weights[0] + 0.01 * weights[1]  # 0 and 2 are nearly alike
    weights = weights / weights.sum(-1, keepdim=True)
    maps = {"L0": LayerMaps(weights, torch.ones(3, 5))}
    assert _counterparts([maps], [maps])["L0"].tolist() == [0, 1, 2]
    found = _counterparts([maps], [maps], but_itself=True)["L0"].tolist()
    assert found[0] == 2 and found[2] == 0 and found[1] != 1
