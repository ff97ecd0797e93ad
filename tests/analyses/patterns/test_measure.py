"""Patterns of an index against plain loops over lists of tokens; planted ones, and none where there is none."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import ffmem
from ffmem import Index, IndexOptions, InputError, RunOptions
from ffmem.analyses.patterns.control import control
from ffmem.analyses.patterns.detect import Triggers, shared_values
from ffmem.analyses.patterns.kinds import CLASS_OF, Features
from ffmem.analyses.patterns.lexical import SHAPES, Shapes
from ffmem.analyses.patterns.measure import measure_patterns
from ffmem.analyses.patterns.results import Found
from ffmem.analyses.patterns.semantic import topics
from ffmem.analyses.patterns.summary import LABELS
from ffmem.analyses.patterns.tokens import Tokens
from tests.analyses.patterns.slow import LENGTHS, Prefix, chance, given_words, n_counted, prefixes_of, shared
from tests.conftest import write_corpus


@pytest.fixture(scope="module")
def topics_index(tiny_folder: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Index:
    """A tiny model over a part of the corpus whose documents have topics."""
    options = IndexOptions(top=25, max_tokens=60_000, promoted=5)
    out = tmp_path_factory.mktemp("topics") / "index"
    return ffmem.build_index(tiny_folder("gpt2"), "topics", out, options=options, run=RunOptions(workers=0))


@pytest.fixture(scope="module")
def features(topics_index: Index) -> Features:
    tokens = Tokens.of(topics_index)
    return Features(tokens, Shapes.of_vocabulary(topics_index.text.vocabulary), topics(topics_index, tokens, 3))


def units_of(index: Index, place: int, field: str = "topic") -> list[list[Prefix]]:
    found = []
    for row in range(index.cells.layers[place].n_cells):
        triggers = index.cell(index.cells.cell_id(place, row)).triggers
        for sign in (1, -1)[: index.n_signs]:
            some = [t for t in triggers if t.sign == sign][:25]
            found.append([prefixes_of(index, t.sentence_id, field)[t.position] for t in some])
    return found


def value_of(index: Index, one: Found, row: int) -> object:
    """What a row's number stands for."""
    if one.kind in LENGTHS:
        end = int(one.example[row]) + 1
        return tuple(index.text.token_id[end - LENGTHS[one.kind] : end].tolist())
    value = int(one.value[row])
    if one.kind == "topic":
        labels = index.text.document_labels()
        return labels and labels.names[value]
    return SHAPES[value] if one.kind == "shape" else value


def assert_equals_loops(index: Index, semantic: str) -> int:
    """All fields of all candidates, thresholds and labels; gives the number of patterns."""
    found = measure_patterns(index, semantic=semantic)
    everything = [one for i in range(index.text.n_sentences) for one in prefixes_of(index, i)]
    units = [units_of(index, place) for place in range(index.n_layers)]
    n_accepted = 0
    for number, limits in enumerate(found.controls):
        frequency, n_possible = chance(limits.kind, everything)
        assert n_possible == limits.n_possible
        best, expected = [], []
        for place, layer_units in enumerate(units):
            rows = {}
            for unit, triggers in enumerate(layer_units):
                n = n_counted(limits.kind, triggers)
                of_unit = [1.0]
                for value, sharing in shared(limits.kind, triggers).items():
                    f = frequency[value]
                    k = n_counted(limits.kind, [triggers[i] for i in sharing])
                    p = sum(math.comb(n, i) * f**i * (1 - f) ** (n - i) for i in range(k, n + 1))
                    p = max([p, *given_words(limits.kind, value, triggers, k, f, everything)])
                    rows[unit, value] = (sharing, k, f, p, min(1.0, p * n_possible))
                    of_unit.append(rows[unit, value][-1])
                if n >= 3:
                    best.append(min(of_unit))
            expected.append((place, rows))
        ordered = sorted(best)
        passing = [p for i, p in enumerate(ordered, 1) if p <= 0.05 * i / len(ordered)]
        threshold = max(passing, default=-1.0)
        assert limits.n_units == len(best) and limits.threshold == pytest.approx(threshold, rel=1e-9)
        for place, rows in expected:
            one = found.found[place][number]
            got = {}
            for row in range(len(one.unit)):
                sharing = [i for i in range(25) if one.triggers[row] >> i & 1]
                numbers = tuple(column[row] for column in (one.n, one.frequency, one.p, one.p_in_unit))
                got[int(one.unit[row]), value_of(index, one, row)] = (sharing, *numbers)
                assert one.accepted[row] == (one.p_in_unit[row] <= limits.threshold)
            assert got.keys() == rows.keys() and len(got) == len(one.unit)
            for key, (sharing, *numbers) in rows.items():
                assert got[key][0] == sharing and got[key][1:] == pytest.approx(numbers, rel=1e-9)
            n_accepted += int(one.accepted.sum())
    for place, layer_units in enumerate(units):
        assert_summary(found, place, layer_units)
    return n_accepted


def assert_summary(found, place: int, units: list[list[Prefix]]) -> None:
    layer = found.layers[place]
    labels, n_patterns = [], []
    for unit, triggers in enumerate(units):
        sets: dict[bool, set[int]] = {False: set(), True: set()}
        for one in found.found[place]:
            rows = one.accepted & (one.unit == unit)
            sets[CLASS_OF[one.kind] == "semantic"] |= set(one.triggers[rows].tolist())
        n_patterns.append(len(sets[False]) + len(sets[True]))
        seen = set()
        for number, trigger in enumerate(triggers):
            if trigger.ids not in seen:
                shallow, semantic = (any(one >> number & 1 for one in sets[key]) for key in (False, True))
                names = {(True, True): "shallow+semantic", (True, False): "shallow", (False, True): "semantic"}
                labels.append(names.get((shallow, semantic), "not-covered"))
            seen.add(trigger.ids)
    fired = [n for n, triggers in zip(n_patterns, units, strict=True) if triggers]
    assert layer.n_units == len(fired) and layer.n_triggers == len(labels)
    for name in LABELS:
        assert layer.labels[name].value == pytest.approx(labels.count(name) / len(labels))
    assert layer.coverage.value == pytest.approx(1 - layer.labels["not-covered"].value)
    n_semantic = labels.count("semantic") + labels.count("shallow+semantic")
    assert layer.semantic.value == pytest.approx(n_semantic / len(labels))
    assert layer.semantic.low <= layer.semantic.value <= layer.semantic.high
    assert layer.coverage.low <= layer.coverage.value <= layer.coverage.high
    assert layer.patterns_per_unit.value == pytest.approx(np.mean(fired))
    assert layer.units_with_pattern.value == pytest.approx(np.mean(np.array(fired) > 0))


@pytest.mark.parametrize("family", ["gpt2", "llama", "bert", "mixtral"])
def test_equals_plain_loops(family: str, index_of: Callable[[str], Index]) -> None:
    assert assert_equals_loops(index_of(family), "none") > 20


def test_equals_plain_loops_with_topics(topics_index: Index) -> None:
    assert assert_equals_loops(topics_index, "auto") > 20


def test_equals_plain_loops_where_sentences_repeat(tiny_folder: Callable[[str], Path], tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "words.txt", 30)
    options = IndexOptions(top=12, duplicates="keep", per_sentence="all")
    index = ffmem.build_index(tiny_folder("opt"), corpus, tmp_path / "i", options=options, run=RunOptions(workers=0))
    n_repeats = sum(len(unit) - len({one.ids for one in unit}) for unit in units_of(index, 0))
    assert n_repeats > 50
    assert assert_equals_loops(index, "none") > 0


def layer_of(features: Features, units: np.ndarray) -> dict[str, Found]:
    """Candidates of each kind, with these units as the only layer; the last, random units are the first two of them."""
    triggers = [Triggers.of(features.tokens, ends) for ends in (units, units[:2])]
    return {
        kind: control(features, kind, triggers, [shared_values(features, kind, some) for some in triggers])[0][0]
        for kind in features.kinds
    }


def units_with(features: Features, kind: str, number: int, n_units: int, rng: np.random.Generator) -> np.ndarray:
    """Units of 25 random prefixes each that have a value."""
    able = np.concatenate([ends[features.number(kind, ends) == number] for ends in features.tokens.blocks()])
    return np.stack([rng.choice(able, 25, replace=False) for _ in range(n_units)])


def accepted_in(one: Found, unit: int) -> dict[int, int]:
    rows = one.accepted & (one.unit == unit)
    return dict(zip(one.value[rows].tolist(), one.n[rows].tolist(), strict=True))


def test_planted_patterns_are_found_and_no_others(features: Features) -> None:
    rng = np.random.default_rng(5)
    assert features.meaning is not None and features.meaning.kind == "topic"
    of_topic = list(range(0, len(features.meaning.names), 3))
    counts = np.bincount(np.concatenate([features.number("token", ends) for ends in features.tokens.blocks()]))
    of_token = [int(i) for i in np.flatnonzero((counts > 60) & (counts < counts.sum() / 50))[:10]]
    planted = [units_with(features, "topic", number, 1, rng) for number in of_topic]
    planted += [units_with(features, "token", number, 1, rng) for number in of_token]
    random = features.tokens.random(300 * 25, rng).reshape(-1, 25)
    found = layer_of(features, np.concatenate([*planted, random]))
    n_of = Triggers.of(features.tokens, np.concatenate(planted)).n
    for unit, number in enumerate(of_topic):
        assert accepted_in(found["topic"], unit) == {number: n_of[unit]}
    for unit, number in enumerate(of_token, len(of_topic)):
        assert accepted_in(found["token"], unit)[number] == n_of[unit]
    for kind, n_true in (("topic", len(of_topic)), ("token", len(of_token))):
        units = np.unique(found[kind].unit[found[kind].accepted])
        n_false = int((units >= len(planted)).sum())
        assert n_false <= 0.1 * n_true, kind  # 5 % on average


def test_random_prefixes_have_no_pattern(features: Features) -> None:
    rng = np.random.default_rng(6)
    n_claims = 0
    for _ in range(20):
        found = layer_of(features, features.tokens.random(100 * 25, rng).reshape(-1, 25))
        assert len(np.unique(found["shape"].unit)) == 100  # three of 25 share something always
        n_claims += sum(bool(one.accepted.any()) for one in found.values())
    assert n_claims <= 0.05 * 20 * len(found) + 3 * math.sqrt(
        0.05 * 20 * len(found)
    )  # no unit has any: each kind errs in 5 %


def test_the_chance_rate_is_told(topics_index: Index) -> None:
    found = measure_patterns(topics_index)
    rates = {one.kind: one for one in found.chance}
    assert list(rates) == [*(one.kind for one in found.controls), "any"]
    assert rates["shape"].before.value == rates["any"].before.value == 1 and rates["token"].before.value > 0.5
    assert all(one.after.value <= 0.05 for one in found.chance if one.kind != "any")
    assert rates["any"].after.value <= 0.15 and rates["any"].after.n == 400
    again = measure_patterns(topics_index)
    assert again.chance == found.chance and again.layers == found.layers


def test_patterns_in_words(topics_index: Index) -> None:
    seen: list[int] = []
    found = measure_patterns(topics_index, on_layer=seen.append)
    assert seen == list(range(topics_index.n_layers))
    every = [one for place in range(topics_index.n_layers) for one in found.accepted(topics_index, place)]
    for one in every:
        triggers = [t for t in topics_index.cell(one.cell).triggers if t.sign == one.sign]
        for rank in one.triggers:
            before = "".join(triggers[rank].tokens[: triggers[rank].position + 1])
            if one.kind == "token" or one.kind.startswith("final"):
                assert before.endswith(one.text.removeprefix('ends with "')[:-1])
            elif one.kind in ("2-gram", "3-gram"):
                assert one.text.removeprefix('contains "')[:-1] in before
            elif one.kind == "topic":
                assert one.text == f"topic {triggers[rank].document.metadata['topic']}"
            elif one.kind == "position":
                assert one.text == f"ends at position {triggers[rank].position} of its sentence"
        assert json.loads(json.dumps(one.to_json()))["auc"] is None
    assert {one.kind for one in every} >= {"token", "final-2-gram", "2-gram", "position", "shape"}
    cell = every[0].cell
    assert set(found.of_unit(topics_index, cell)) == {one for one in every if one.cell == cell}
    assert set(found.of_unit(topics_index, cell, rejected=True)) > set(found.of_unit(topics_index, cell))


def test_labels_that_are_not_there(index_of: Callable[[str], Index]) -> None:
    index = index_of("gpt2")
    with pytest.raises(InputError) as raised:
        measure_patterns(index, semantic="topic")
    assert str(raised.value) == (
        f"the documents of {index.folder} have no labels. Expected one of these fields in the metadata of every document: "
        "topic, label, category. Give semantic='cluster' for clusters of the words before a trigger."
    )
