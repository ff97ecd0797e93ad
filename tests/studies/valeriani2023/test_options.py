import pytest

from ffmem import InputError
from ffmem.studies.valeriani2023.options import GeometryOptions


@pytest.mark.parametrize("points", [49, 2.5, True])
def test_too_few_points_are_refused(points: object) -> None:
    with pytest.raises(InputError, match=rf"--points is {points!r}. Expected a whole number of at least 50"):
        GeometryOptions(points=points)  # type: ignore[arg-type]


def test_more_points_than_pairs_can_be_held_of_are_refused() -> None:
    with pytest.raises(InputError, match=r"--points is 20,001\. Expected at most 20,000"):
        GeometryOptions(points=20_001)
    assert GeometryOptions(points=20_000).to_json() == {"points": 20_000, "seed": 0}
