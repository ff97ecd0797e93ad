"""Promotes, find, similar and diff against loops over cells."""

import math
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import ffmem
from ffmem import Cell, Index, IndexOptions, InputError, StoreError
from ffmem.index.verify import load_indexed_model
from ffmem.json_values import json_text, to_json
from ffmem.queries import diff, find, promotes, similar
from ffmem.queries.names import places, token_id
from ffmem.queries.overlap import rank_biased_overlap
from tests.conftest import IN_PROCESS, write_corpus

FAMILIES = ("gpt2", "llama")


def every_cell(index: Index) -> Iterator[Cell]:
    for place, layer in enumerate(index.cells.layers):
        for row in range(layer.n_cells):
            yield index.cell(index.cells.cell_id(place, row))


def some_promoted(index: Index) -> str:
    """A token that several cells promote, and no other token has its text."""
    texts = [one.token for cell in every_cell(index) for one in cell.promoted]
    return max(sorted(set(texts)), key=lambda text: texts.count(text) if len(index.text.token_ids_of(text)) == 1 else 0)


# Names


def test_a_token_must_be_exactly_one(index_of: Callable[[str], Index]) -> None:
    index = index_of("gpt2")
    assert index.text.token_strings([token_id(index, " the")]) == (" the",)
    assert token_id(index, "id:17") == 17
    with pytest.raises(InputError) as error:
        token_id(index, " the river")
    pieces = index.text.token_strings(index.text.tokenize(" the river"))
    assert "".join(pieces) == " the river" and len(pieces) > 1
    told = " ".join(f"⟨{piece}⟩" for piece in pieces)
    assert str(error.value) == (
        f"' the river' is not one token: the model's tokenizer makes {told} of it. Expected exactly one of the "
        f"{len(index.text.vocabulary)} tokens of the vocabulary, with its spaces or as the tokenizer writes it. "
        f"Write {pieces[0]!r}."
    )


def test_an_index_tokenizes_as_its_model_does(
    index_of: Callable[[str], Index], tiny_folder: Callable[[str], Path]
) -> None:
    for family in ("llama", "bert"):
        tokenizer = ffmem.load_model(tiny_folder(family)).tokenizer
        text = "The silver river, naïve 日本"
        assert index_of(family).text.tokenize(text) == tokenizer(text, add_special_tokens=False).input_ids


def test_layers_are_named_by_place_range_or_name(index_of: Callable[[str], Index]) -> None:
    index = index_of("t5")
    for text, expected in {
        "1": [1], "L1": None, "dec.L0": [3], "4:": [4, 5], ":2": [0, 1], "1:4": [1, 2, 3], "dec.L0:": [3, 4, 5],
        ":dec.L0": [0, 1, 2], "6": None, "7:": None, "3:3": None, "5:2": None, "-1": None, "": None, "6:": None,
    }.items():  # fmt: skip
        if expected is None:
            with pytest.raises(InputError):
                places(index, text)
        else:
            assert list(places(index, text)) == expected
    assert list(places(index, None)) == list(range(6)) == list(places(index, ":"))
    with pytest.raises(InputError) as error:
        places(index, "5:2")
    assert str(error.value) == (
        "the layers 5:2 are none. Expected a range within 0:6, whose end is left out. Write --layer 0:6."
    )


# Promotes


@pytest.mark.parametrize("suppressed", [False, True])
@pytest.mark.parametrize("family", FAMILIES)
def test_promotes_equals_a_loop_over_all_cells(family: str, suppressed: bool, index_of: Callable[[str], Index]) -> None:
    index = index_of(family)
    token = some_promoted(index)
    expected = []
    for cell in every_cell(index):
        stored = cell.suppressed if suppressed else cell.promoted
        for rank, one in enumerate(stored):
            if one.token == token:
                score = one.logit if suppressed else -one.logit
                expected.append((rank, score, index.cells.place(cell.cell), str(cell.cell)))
    expected.sort()
    found = promotes(index, token, suppressed=suppressed, limit=10_000)
    assert [str(row.cell) for row in found.rows] == [name for *_, name in expected] and len(expected) > 2
    assert [row.rank for row in found.rows] == [rank for rank, *_ in expected] and found.n_cells == len(expected)
    first = promotes(index, token, suppressed=suppressed, layer="1:", limit=2).rows
    assert [str(r.cell) for r in first] == [name for *_, (place, _), name in expected if place >= 1][:2]


@pytest.mark.parametrize("family", ["gpt2", "llama", "gemma2", "t5"])
def test_promotes_with_the_model_knows_every_value(
    family: str, index_of: Callable[[str], Index], tiny_folder: Callable[[str], Path]
) -> None:
    index = index_of(family)
    model = load_indexed_model(index, str(tiny_folder(family)))
    number = token_id(index, " the")
    for suppressed in (False, True):
        found = promotes(index, " the", suppressed=suppressed, limit=30, model=model).rows
        scores = [
            (model.value_rows(place) @ model.projection_matrix(index.manifest["layer_projections"][place]).T).numpy()
            for place in range(index.n_layers)
        ]
        sign = -1 if suppressed else 1
        own = np.concatenate([one[:, number] for one in scores]) * sign
        assert [row.logit * sign for row in found] == pytest.approx(np.sort(own)[::-1][:30].tolist(), abs=1e-5)
        for row in found:
            place, at = index.cells.place(row.cell)
            order = np.lexsort((np.arange(scores[place].shape[1]), -sign * scores[place][at]))
            assert row.true_rank == order.tolist().index(number)
            assert row.rank == (row.true_rank if row.true_rank < 10 else None)


def test_another_model_is_refused(index_of: Callable[[str], Index], tiny_folder: Callable[[str], Path]) -> None:
    with pytest.raises(InputError, match=r"has other weights than the one that .* was built from"):
        load_indexed_model(index_of("gpt2"), str(tiny_folder("llama")))


# Find


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("few", [0, 2000])
def test_find_equals_a_loop_over_all_triggers(
    family: str, few: int, index_of: Callable[[str], Index], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With both ways of looking triggers up."""
    monkeypatch.setattr(sys.modules["ffmem.queries.find"], "_FEW", few)  # the function hides the module
    index = index_of(family)
    token = some_promoted(index)
    asked = [
        {"trigger": "silver"},
        {"trigger": "/[Ss]ilver.* the/", "layer": "1:"},
        {"fires_on": " the"},
        {"trigger": "silver", "next_token": " the"},
        {"promotes": token},
        {"promotes": token, "trigger": "the"},
        {"promotes": token, "fires_on": " the", "max_active": 0.5, "min_active": 0.2},
        {"min_active": 0.55},
    ]
    n_found = 0
    for conditions in asked:
        found = find(index, limit=10_000, n_triggers=100, **conditions)  # type: ignore[arg-type]
        expected = dict(matching(index, **conditions))
        assert {(str(row.cell), row.sign): [one.rank for one in row.triggers] for row in found.rows} == expected
        assert found.n_found == len(expected)
        assert [row.n_triggers for row in found.rows] == [len(row.triggers) for row in found.rows]
        n_found += len(expected) > 0
    assert n_found >= 6


def matching(
    index: Index,
    trigger: str | None = None,
    fires_on: str | None = None,
    next_token: str | None = None,
    promotes: str | None = None,
    layer: str | None = None,
    min_active: float = 0,
    max_active: float = 1,
) -> Iterator[tuple[tuple[str, int], list[int]]]:
    for cell in every_cell(index):
        if layer is not None and index.cells.place(cell.cell)[0] < int(layer[:-1]):
            continue
        for sign in (1, -1)[: index.n_signs]:
            about_triggers = trigger or fires_on or next_token
            words = {"/[Ss]ilver.* the/": ("ilver", " the")}.get(trigger or "", (trigger or "",))
            ranks = [
                one.rank
                for one in cell.triggers
                if about_triggers and one.sign == sign and fires_on in (None, one.tokens[one.position])
                and next_token in (None, one.next_token)
                and all(word in (one.text.lower() if len(words) == 1 else one.text) for word in words)
                and (len(words) == 1 or one.text.find("ilver") < one.text.rfind(" the"))
                and (len(words) > 1 or not trigger or trigger in one.text.lower().strip(".").split())
            ]  # fmt: skip
            tokens = [one.token for one in (cell.promoted if sign == 1 else cell.suppressed)]
            active = min_active <= cell.statistics.active_fraction <= max_active
            if (ranks or not about_triggers) and (promotes is None or promotes in tokens) and active:
                yield (str(cell.cell), sign), ranks


def test_find_sorts_and_wants_a_condition(index_of: Callable[[str], Index]) -> None:
    index = index_of("gpt2")
    rows = find(index, trigger="the", sort="triggers", limit=50).rows
    assert [row.n_triggers for row in rows] == sorted((row.n_triggers for row in rows), reverse=True)
    rows = find(index, trigger="the", sort="active", limit=50).rows
    assert [row.active_fraction for row in rows] == sorted((row.active_fraction for row in rows), reverse=True)
    token = some_promoted(index)
    by_rank = [(row.rank, -(row.logit or 0)) for row in find(index, promotes=token).rows]
    assert by_rank == sorted(by_rank) and len(by_rank) > 2
    with pytest.raises(InputError, match="there is no condition to find cells by"):
        find(index, layer="1")


# Similar


@pytest.mark.parametrize("family", FAMILIES)
def test_similar_by_triggers_is_weighted_jaccard(family: str, index_of: Callable[[str], Index]) -> None:
    index = index_of(family)

    def weights(cell: Cell) -> dict[int, float]:
        largest = max((abs(one.coefficient) for one in cell.triggers), default=1.0)
        found: dict[int, float] = {}
        for one in cell.triggers:
            found[one.sentence_id] = max(found.get(one.sentence_id, 0), abs(one.coefficient) / largest)
        return found

    own = weights(index["L1.5"])
    expected = {}
    for cell in every_cell(index):
        theirs = weights(cell)
        union = set(own) | set(theirs)
        low, high = (sum(f(own.get(s, 0), theirs.get(s, 0)) for s in union) for f in (min, max))
        if low and str(cell.cell) != "L1.5":
            expected[str(cell.cell)] = low / high
    rows = similar(index, "L1.5", limit=10_000).rows
    assert {str(row.cell): row.similarity for row in rows} == pytest.approx(expected) and len(expected) > 5
    assert [row.similarity for row in rows] == sorted((row.similarity for row in rows), reverse=True)


@pytest.mark.parametrize("family", FAMILIES)
def test_similar_by_promoted_tokens_is_rank_biased_overlap(family: str, index_of: Callable[[str], Index]) -> None:
    index = index_of(family)
    own = np.array([[one.token_id for one in index["L2.7"].promoted]])
    expected = {}
    for cell in every_cell(index):
        ends = (cell.promoted, cell.suppressed)[: index.n_signs]
        best = max(rank_biased_overlap(own, np.array([[one.token_id for one in end]]))[0] for end in ends)
        if best and str(cell.cell) != "L2.7":
            expected[str(cell.cell)] = float(best)
    rows = similar(index, "L2.7", by="promoted", limit=10_000).rows
    assert {str(row.cell): row.similarity for row in rows} == pytest.approx(expected) and len(expected) > 5


def test_similar_by_vectors_minds_what_may_change_sign(
    index_of: Callable[[str], Index], tiny_folder: Callable[[str], Path]
) -> None:
    import torch

    index, model = index_of("llama"), ffmem.load_model(tiny_folder("llama"))
    vectors = {"gate-key": model.gate_keys, "up-key": model.up_keys, "value": model.values}
    for by, read in vectors.items():
        rows = similar(index, "L0.3", by=by, model=model, limit=10_000).rows  # type: ignore[arg-type]
        assert len(rows) == index.n_cells - 1
        for row in rows[:20]:
            place, at = index.cells.place(row.cell)
            cosine = torch.cosine_similarity(read(0)[3], read(place)[at], dim=0).item()
            assert row.similarity == pytest.approx(abs(cosine) if by != "gate-key" else cosine, abs=1e-5)
    with pytest.raises(InputError, match=r"--by key is|--by is 'key'. Expected one of: triggers, promoted, gate-key"):
        similar(index, "L0.3", by="key", model=model)
    with pytest.raises(InputError, match="compares vectors, which an index does not hold"):
        similar(index, "L0.3", by="value")


# Diff


def test_an_index_does_not_differ_from_itself(index_of: Callable[[str], Index]) -> None:
    for family in FAMILIES:
        found = diff(index_of(family), index_of(family), limit=1000)
        assert found.compared == "triggers" and found.mean_overlap == pytest.approx(1)
        assert all(row.active_difference == row.mean_difference == 0 for row in found.rows)
        assert all(row.promoted_overlap == pytest.approx(1) for row in found.rows)


def test_two_models_over_one_corpus(index_of: Callable[[str], Index]) -> None:
    left, right = index_of("gpt2"), index_of("gpt_neox")
    found = diff(left, right, limit=10_000)
    assert found.compared == "triggers" and len(found.rows) == left.n_cells
    overlaps = [row.trigger_overlap for row in found.rows]
    assert overlaps == sorted(overlaps) and found.mean_overlap == pytest.approx(sum(overlaps) / len(overlaps))
    for row in found.rows[::20]:
        cells = [one.cell(row.cell) for one in (left, right)]
        lists = [[(t.sentence_id, t.position) for t in cell.triggers] for cell in cells]
        numbers = {pair: i for i, pair in enumerate({*lists[0], *lists[1]})}
        ids = [np.array([[numbers[pair] for pair in one] + [-1] * (7 - len(one))]) for one in lists]
        assert row.trigger_overlap == pytest.approx(rank_biased_overlap(*ids)[0])
        (p1, m1, v1), (p2, m2, v2) = (
            (s.active_fraction, s.mean, s.mean_square - s.mean**2) for s in (cell.statistics for cell in cells)
        )
        pooled = math.sqrt((p1 * (1 - p1) + p2 * (1 - p2)) / 2)
        assert row.active_difference == pytest.approx((p2 - p1) / pooled if p1 != p2 else 0)
        assert row.mean_difference == pytest.approx((m2 - m1) / math.sqrt((v1 + v2) / 2))
        assert row.active_fractions == pytest.approx((p1, p2)) and row.means == pytest.approx((m1, m2))
    by_mean = [abs(row.mean_difference) for row in diff(left, right, by="mean", layer="1").rows]
    assert by_mean == sorted(by_mean, reverse=True)


def test_one_model_over_two_corpora_is_compared_by_what_it_fires_on(
    index_of: Callable[[str], Index], tiny_folder: Callable[[str], Path], small_options: IndexOptions, tmp_path: Path
) -> None:
    other = write_corpus(tmp_path / "other.txt", 100, seed=1)
    left = index_of("gpt2")
    right = ffmem.build_index(tiny_folder("gpt2"), other, tmp_path / "i", options=small_options, run=IN_PROCESS)
    found = diff(left, right, limit=10_000)
    assert found.compared == "firing tokens" and all(row.promoted_overlap == pytest.approx(1) for row in found.rows)
    for row in found.rows[::20]:
        lists = []
        for index in (left, right):
            place, at = index.cells.place(row.cell)
            tokens = index.text.token_id[index.layer(place).trigger_token[at, 0]].tolist()
            lists.append(list(dict.fromkeys(tokens)))
        ids = [np.array([one + [-1] * (7 - len(one))]) for one in lists]
        assert row.trigger_overlap == pytest.approx(rank_biased_overlap(*ids)[0])


def test_models_of_other_shapes_are_refused(index_of: Callable[[str], Index]) -> None:
    with pytest.raises(InputError, match=r"models of different shapes: .* 3 layers of 48 cells; .* 3 enc layers"):
        diff(index_of("gpt2"), index_of("t5"))


def test_an_index_without_a_full_text_table_says_so(index_of: Callable[[str], Index], tmp_path: Path) -> None:
    import shutil
    import sqlite3

    from ffmem.store.text import TextReader

    shutil.copytree(index_of("gpt2").folder / "index", tmp_path / "index")
    with sqlite3.connect(tmp_path / "index" / "text.sqlite") as text:
        text.execute("DROP TABLE sentences_fts")
    text.close()
    with pytest.raises(StoreError, match="has no full-text table"):
        TextReader(tmp_path / "index").matching("river")


@pytest.mark.parametrize("family", ["llama", "mixtral", "t5"])
def test_answers_are_json_and_show_themselves(family: str, index_of: Callable[[str], Index]) -> None:
    import json

    from ffmem import queries, render

    index = index_of(family)
    first = str(index.cells.cell_id(0, 0))
    answers = [
        (queries.search(index, "silver", with_cells=True), render.search),
        (queries.promotes(index, some_promoted(index)), render.promoting),
        (queries.find(index, trigger="silver"), render.found),
        (queries.similar(index, first), render.similar),
        (queries.diff(index, index), render.diff),
    ]
    for answer, to_text in answers:
        assert json.loads(json_text(answer)) == to_json(answer)
        assert "<table>" in answer._repr_html_() and len(to_text(answer).splitlines()) > 2  # type: ignore[operator]


def test_layers_where_no_cell_shares_a_trigger_are_passed_over(studied_index: Index) -> None:
    """The index of ReLU cells has such a layer for some cell."""
    for place, layer in enumerate(studied_index.cells.layers):
        for row in range(layer.n_cells):
            rows = similar(studied_index, str(studied_index.cells.cell_id(place, row)), limit=10_000).rows
            if len({str(one.cell).split(".")[0] for one in rows}) < studied_index.n_layers:
                return
    pytest.fail("every cell shares triggers with cells of every layer, so this test says nothing")
