import numpy as np

from ffmem.analyses.intervals import Estimate, Uncertain
from ffmem.studies.gupta2021.shown import rows_by_k, told


def test_rows_stand_beside_each_other_without_k_of_0() -> None:
    some = [Estimate(2.0, 1.0, 3.0, 5), Estimate(1.0, 0.5, 1.5, 5)]
    rows = rows_by_k((0, 4), {"a": some, "b": some})
    assert [(row["series"], row["from"], row["value"], row["n"]) for row in rows] == [
        ("a", 4, 1.0, 5),
        ("b", 4, 1.0, 5),
    ]
    assert rows[0]["middle"] < 4 < rows[1]["middle"]


def test_an_interval_is_told_where_there_is_one() -> None:
    assert told(Uncertain(0.5, np.nan, 1, 3)) == "+0.5 nats"
    assert told(Uncertain(0.5, 0.0, 9, 3)) == "+0.5 nats (+0.5 to +0.5)"
