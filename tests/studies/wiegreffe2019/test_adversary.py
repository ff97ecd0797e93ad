"""What the page says of adversaries, against the rows beside it."""

import pytest

from ffmem.analyses.diagnostics.unlike import bin_of
from ffmem.studies.results import Results
from ffmem.studies.runner import findings_of
from ffmem.studies.wiegreffe2019.adversary import EXPERIMENT, AdversaryResult


def test_the_numbers_of_the_page_are_those_of_the_rows(diagnosed: Results) -> None:
    found, rows = findings_of(diagnosed).get(EXPERIMENT, AdversaryResult), diagnosed.load_arrays(EXPERIMENT)
    assert [one.sublayers for one in found.scopes] == [("L0", "L1", "L2"), ("L1",)] and found.n_texts == 2
    for number, one in enumerate(found.scopes):
        assert 0 < one.distance <= found.limit and 0 < one.chance_distance <= found.limit
        for series, estimate in one.means.items():
            values, bins = rows[f"{number}.{series}"], bin_of(rows[f"{number}.largest"])
            assert estimate.value == pytest.approx(values.mean())
            parts = [(each.value, each.n) for each in one.by_bin[series] if each.n]
            assert sum(n for _, n in parts) == len(values)
            assert [value for value, _ in parts] == pytest.approx(
                [values[bins == b].mean() for b in sorted(set(bins.tolist()))]
            )
