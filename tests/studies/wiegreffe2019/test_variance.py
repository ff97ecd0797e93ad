"""What the page says of another model's maps, against the rows beside it."""

import pytest
import torch

from ffmem.studies.results import Results
from ffmem.studies.runner import findings_of
from ffmem.studies.wiegreffe2019.variance import EXPERIMENT, VarianceResult, _another


def test_the_numbers_of_the_page_are_those_of_the_rows(diagnosed: Results) -> None:
    found, rows = findings_of(diagnosed).get(EXPERIMENT, VarianceResult), diagnosed.load_arrays(EXPERIMENT)
    (other,) = found.others
    assert other.name.startswith("untrained:") and 0 <= other.same_head <= 1
    for series, estimate in other.means.items():
        assert estimate.value == pytest.approx(rows[f"0.{series}"].mean()) and estimate.value > 0
    assert EXPERIMENT not in findings_of(diagnosed).controls["untrained"].values


def test_another_head_is_never_the_same() -> None:
    for n in (2, 5):
        assert bool((_another(n, torch.Generator().manual_seed(n)) != torch.arange(n)).all())
