"""The split of variance against plain loops over positions, and of coefficients whose parts are known."""

import numpy as np
import pytest

from ffmem.analyses.meaning.variance import RIDGE, split_variance, standardised
from tests.analyses.meaning.made import Made, make_text, planted


@pytest.fixture(scope="module")
def made() -> Made:
    return make_text()


def plain_shrunk(values: list[float], groups: list[int]) -> dict[int, float]:
    """Group -> shrunk mean: the formulas of one-way analysis of variance, group by group."""
    members: dict[int, list[float]] = {}
    for value, group in zip(values, groups, strict=True):
        members.setdefault(group, []).append(value)
    n, g, mean = len(values), len(members), sum(values) / len(values)
    within = sum((x - sum(some) / len(some)) ** 2 for some in members.values() for x in some) / (n - g)
    between = sum(len(some) * (sum(some) / len(some) - mean) ** 2 for some in members.values()) / (g - 1)
    n0 = (n - sum(len(some) ** 2 for some in members.values()) / n) / (g - 1)
    variance = (between - within) / n0
    strength = min(max(within / variance, 1e-3), 1e9) if variance > 0 else 1e9
    return {group: sum(some) / (len(some) + strength) for group, some in members.items()}


def plain_split(c: np.ndarray, made: Made) -> dict[str, float]:
    """Sums of squares over all left-out documents after each step."""
    sample = made.sample
    n, found = len(c), dict.fromkeys(("mean", "token", "2-gram", "3-gram", "position", "words", "topic"), 0.0)
    own = [sample.sentences[s][: p + 1].tolist() for s, p in zip(sample.sentence, sample.place, strict=True)]
    classes = [0, 1, 2, 3, 4, 4, 5, 5, 5, 6, 6, 6]
    levels = {
        "token": [tuple(one[-1:]) for one in own],
        "2-gram": [(len(one) > 1, *one[-2:]) for one in own],
        "3-gram": [(min(len(one), 3), *one[-3:]) for one in own],
        "position": [classes[len(one) - 1] for one in own],
    }
    for fold in range(5):
        fitted = [i for i in range(n) if sample.fold_of[sample.document[i]] != fold]
        out = [i for i in range(n) if sample.fold_of[sample.document[i]] == fold]
        mean = sum(c[i] for i in fitted) / len(fitted)
        left = {i: c[i] - mean for i in range(n)}
        found["mean"] += sum(left[i] ** 2 for i in out)
        for name, groups in levels.items():
            effects = plain_shrunk([left[i] for i in fitted], [groups[i] for i in fitted])
            left = {i: left[i] - effects.get(groups[i], 0.0) for i in range(n)}
            found[name] += sum(left[i] ** 2 for i in out)
        x = sample.earlier.astype(np.float64)
        square = sum(np.outer(x[i], x[i]) for i in fitted) + RIDGE * np.eye(x.shape[1])
        weights = np.linalg.inv(square) @ sum(x[i] * left[i] for i in fitted)
        found["words"] += sum((left[i] - x[i] @ weights) ** 2 for i in out)
        means = {
            d: np.mean([left[i] for i in fitted if sample.document[i] == d])
            for d in {sample.document[i] for i in fitted}
        }
        assert sample.label_of is not None
        effects = plain_shrunk(list(means.values()), [int(sample.label_of[d]) for d in means])
        found["topic"] += sum((left[i] - effects[int(sample.label_of[sample.document[i]])]) ** 2 for i in out)
    return found


@pytest.mark.parametrize("name", ["words", "topic", "random", "rare"])
def test_equals_plain_loops(made: Made, name: str) -> None:
    small = make_text(n_documents=20, n_sentences=2)
    c = standardised(planted(small)[name][:, None]) if name != "rare" else standardised(planted(small)["pair"][:, None])
    errors = split_variance(c, small.sample, small.sample.shuffled_earlier(0))
    assert errors.topic is not None
    got = {
        "mean": errors.mean, "words": errors.words, "topic": errors.topic,
        **{level: errors.levels[number] for number, level in enumerate(("token", "2-gram", "3-gram", "position"))},
    }  # fmt: skip
    expected = plain_split(c[:, 0].astype(np.float64), small)
    assert {key: float(value.sum()) for key, value in got.items()} == pytest.approx(expected, rel=2e-5)


def shares(made: Made, c: np.ndarray) -> dict[str, float]:
    errors = split_variance(standardised(c[:, None]), made.sample, made.sample.shuffled_earlier(0))
    assert errors.topic is not None and errors.shuffled_topic is not None
    total, position = errors.mean.sum(), errors.levels[3].sum()
    return {
        "token": 1 - errors.levels[0].sum() / total,
        "2-gram": (errors.levels[0].sum() - errors.levels[1].sum()) / total,
        "words": (position - errors.words.sum()) / total,
        "shuffled words": (position - errors.shuffled_words.sum()) / total,
        "topic": (position - errors.topic.sum()) / total,
        "shuffled topic": (position - errors.shuffled_topic.sum()) / total,
    }


def test_each_part_finds_what_was_planted_and_nothing_else(made: Made) -> None:
    found = {name: shares(made, c) for name, c in planted(made).items() if name not in ("silent", "rare")}
    assert found["words"]["token"] > 0.9 and abs(found["words"]["topic"]) < 0.002
    assert (
        found["topic"]["topic"] > 0.3
        and found["topic"]["words"] > 0.05
        and abs(found["topic"]["shuffled topic"]) < 0.02
    )
    assert abs(found["topic"]["shuffled words"]) < 0.01
    assert found["pair"]["2-gram"] > 0.3 and abs(found["pair"]["topic"]) < 0.005
    assert max(abs(value) for value in found["random"].values()) < 0.01


def test_silent_and_rare_units_have_numbers(made: Made) -> None:
    cells = planted(made)
    rows = standardised(np.stack([cells["silent"], cells["rare"]], axis=1))
    errors = split_variance(rows, made.sample, made.sample.shuffled_earlier(0))
    for one in (errors.mean, errors.levels, errors.words, errors.topic, errors.shuffled_topic):
        assert one is not None and np.isfinite(one).all()
    assert errors.mean[:, 0].sum() == 0 and errors.mean[:, 1].sum() > 0
    assert abs(rows).max() <= 20


def test_massive_coefficients_are_clipped() -> None:
    c = np.concatenate((np.zeros(10_000), [1e6]))[:, None]
    rows = standardised(c)
    assert rows.max() == 20 and rows[:-1, 0] == pytest.approx(-0.01, rel=1e-3)
