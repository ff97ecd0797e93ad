"""Numbers of each layer at each moment, against plain means; and rows of their picture."""

import numpy as np
import pytest

from ffmem.analyses.intervals import Estimate
from ffmem.studies.results import Findings
from ffmem.studies.training.courses import (
    Course,
    Units,
    as_numbers,
    at_end,
    by_layer,
    chart,
    course_rows,
    courses,
    mean_of,
    median_moment,
    when,
)

UNITS = Units(np.array([0, 0, 1, 1, 1, 0]), np.array([3, 4, 3, 5, 6, 7]), ("L0", "L1", "L2"))
VALUES = np.array([[1, 2, 3, np.nan, 5, 6], [0, 1, 0, 1, 1, np.nan]], dtype=float)


def of(*steps: int | None) -> Findings:
    moments = [
        {"name": f"moment {number}" if step is None else f"step {step}", "step": step}
        for number, step in enumerate(steps)
    ]
    return Findings({"moments": moments}, folder=None, values={})  # type: ignore[arg-type]


def test_the_mean_of_each_layer_at_each_moment() -> None:
    found = courses({"a": VALUES, "b": VALUES[:1] * 10}, UNITS)
    assert [one.layer for one in found["a"]] == ["L0", "L1", "L2"]
    assert [one.value for one in found["a"][0].values] == [3, 0.5] and found["a"][0].values[1].n == 2
    assert [one.value for one in found["a"][1].values] == [4, pytest.approx(2 / 3)]
    assert found["a"][2].values == () == found["b"][2].values  # a layer without cells
    assert [one.value for one in found["b"][0].values] == [30]
    assert all(one.low <= one.value <= one.high for layer in found["a"] for one in layer.values)


def test_a_mean_over_layers_counts_each_layer_once() -> None:
    assert by_layer(VALUES[0], UNITS).ratios[:2].tolist() == [3, 4]
    assert mean_of(VALUES[0], UNITS).value == pytest.approx(3.5)


def test_moments_in_words() -> None:
    assert when(of(0, 10, 100), 2.0) == "step 100 (after step 10)" and when(of(None, None), 0) == "moment 0"
    assert median_moment(np.array([-1, 3, 1, 2, 2])) == 2 and np.isnan(median_moment(np.array([-1])))
    assert np.isnan(as_numbers(np.array([-1, 2]))).tolist() == [True, False]


def test_a_short_course_has_no_first_moments() -> None:
    one, none = Estimate(0.5, 0.4, 0.6, 9), Estimate(np.nan, np.nan, np.nan, 0)
    rows = list(course_rows([0, 10, 100], {"a": [Course("L0", (one, none, one))], "b": [Course("L0", (one, one))]}))
    assert [(row["series"], row["middle"]) for row in rows] == [("a", 0), ("a", 100), ("b", 10), ("b", 100)]
    assert rows[0] == {"panel": "L0", "middle": 0, "series": "a", "value": 0.5, "low": 0.4, "high": 0.6, "n": 9}


def test_the_axis_is_of_steps_where_all_are_known() -> None:
    series = {"a": [Course("L0", (Estimate(1, 1, 1, 1),) * 2)]}
    known, unknown = chart(of(0, 50), "x", "", series, "y"), chart(of(0, None), "x", "", series, "y")
    assert ([row["middle"] for row in known.rows], known.x_title) == ([0, 50], "step")
    assert ([row["middle"] for row in unknown.rows], unknown.x_title) == ([0, 1], "moment")
    assert at_end([Course("L0", (Estimate(1, 1, 1, 1), Estimate(3, 1, 1, 1)))], 0) == 1
