"""The cells of the summary against their rules, counted from the triggers that a user sees."""

import json
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ffmem import Cell, Index, IndexOptions, RunOptions, build_index, open_index
from ffmem.cell import Trigger
from ffmem.queries import Highlight, highlights
from ffmem.queries.highlights import _n_distinct, _n_most_common

KINDS = {kind: [f"{kind}{n}" for n in range(9)] for kind in ("law", "sea", "tea", "war")}


@pytest.fixture(scope="module")
def index_with(tiny_folder: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Index]:
    """Builds an index over documents of four kinds, with a field of the given name that says which."""

    def build(field: str) -> Index:
        rng = random.Random(0)
        work = tmp_path_factory.mktemp("labelled")
        lines = []
        for number in range(120):
            kind = rng.choice(sorted(KINDS))
            words = [*KINDS[kind], "the", "of", "a"]
            text = " ".join(" ".join(rng.choices(words, k=rng.randint(3, 9))) + "." for _ in range(3))
            lines.append(json.dumps({"text": text, field: kind, "number": number}))
        (work / "corpus.jsonl").write_text("\n".join(lines))
        options = IndexOptions(top=12, holdout=0.1)
        out = work / "index"
        build_index(tiny_folder("llama"), work / "corpus.jsonl", out, options=options, run=RunOptions(workers=0))
        return open_index(out)

    return build


def firing_token(trigger: Trigger) -> str:
    return trigger.tokens[trigger.position]


def first_ten(cell: Cell) -> list[Trigger]:
    return [trigger for trigger in cell.triggers if trigger.sign == 1][:10]


def eligible(index: Index, place: int) -> list[Cell]:
    """Cells of one of three layers with ten triggers of which the first fires on a word."""
    assert index.n_layers == 3  # so that a third is a layer
    found = [index.cell(index.cells.cell_id(place, row)) for row in range(index.cells.layers[place].n_cells)]
    return [
        cell for cell in found if len(first_ten(cell)) == 10 and any(map(str.isalpha, firing_token(cell.triggers[0])))
    ]


def best(index: Index, place: int, score: Callable[[list[Trigger]], tuple[int, int]]) -> str:
    return str(max(eligible(index, place), key=lambda cell: score(first_ten(cell))).cell)  # the first of equals


def n_most_common(items: list[str]) -> int:
    return Counter(items).most_common(1)[0][1]


def test_documents_with_a_label_give_a_cell_of_one_label(index_with: Callable[[str], Index]) -> None:
    index = index_with("topic")

    def score(triggers: list[Trigger]) -> tuple[int, int]:
        label = n_most_common([str(one.document.metadata["topic"]) for one in triggers])
        n_places = len({one.document.document_id for one in triggers}) + len({one.sentence_id for one in triggers})
        return label + len(set(map(firing_token, triggers))), n_places

    chosen = highlights(index)[1]
    assert str(chosen.cell.cell) == best(index, 1, score)
    triggers = first_ten(chosen.cell)
    labels = Counter(str(one.document.metadata["topic"]) for one in triggers)
    label, n = max(labels.items(), key=lambda item: item[1])
    n_tokens = len(set(map(firing_token, triggers)))
    assert labels[label] == n and chosen.why in {
        f"of its first 10 triggers, which fire on {n_tokens} different tokens, {n} have the topic {one!r}"
        for one in labels
        if labels[one] == n
    }


def test_without_labels_it_is_told_how_many_documents_there_are(index_with: Callable[[str], Index]) -> None:
    index = index_with("subject")

    def score(triggers: list[Trigger]) -> tuple[int, int]:
        documents = [str(one.document.document_id) for one in triggers]
        n_places = len(set(documents)) + len({one.sentence_id for one in triggers})
        return n_most_common(documents) + len(set(map(firing_token, triggers))), n_places

    chosen = highlights(index)[1]
    triggers = first_ten(chosen.cell)
    n_tokens, n_documents = len(set(map(firing_token, triggers))), len({one.document.document_id for one in triggers})
    assert n_documents > 1
    assert chosen.why == f"its first 10 triggers fire on {n_tokens} different tokens, in {n_documents} documents"
    assert str(chosen.cell.cell) == best(index, 1, score)


def test_the_cells_of_one_token_and_of_agreement(index_with: Callable[[str], Index]) -> None:
    index = index_with("category")
    chosen: list[Highlight] = highlights(index)
    same = best(
        index, 0, lambda ten: (n_most_common([*map(firing_token, ten)]), len({one.document.document_id for one in ten}))
    )
    assert str(chosen[0].cell.cell) == same
    triggers = first_ten(chosen[0].cell)
    n_same, n_documents = (
        n_most_common([*map(firing_token, triggers)]),
        len({one.document.document_id for one in triggers}),
    )
    of_ten = "all of its first 10" if n_same == 10 else f"{n_same} of its first 10"
    assert chosen[0].why == f"{of_ten} triggers fire on one and the same token, in {n_documents} documents"

    def agreement(cell: Cell) -> tuple[int, int]:
        promoted = {one.token_id for one in cell.promoted[:10]}
        following = [
            int(index.text.sentence(one.sentence_id).token_ids[one.position + 1])
            if one.position + 1 < len(one.tokens)
            else -1
            for one in first_ten(cell)
        ]
        return sum(token in promoted for token in following), len(set(following))

    assert str(chosen[2].cell.cell) == str(max(eligible(index, 2), key=agreement).cell)
    n_agreeing, _ = agreement(chosen[2].cell)
    of_ten = "all of its first 10" if n_agreeing == 10 else f"{n_agreeing} of its first 10"
    assert chosen[2].why == (f"{of_ten} triggers are followed by one of the 10 tokens that its value promotes most")
    assert "category" in chosen[1].why


def test_counts_of_rows_are_those_of_a_counter() -> None:
    rng = random.Random(2)
    for width in (1, 2, 10):
        rows = [[rng.choice([-1, 0, 3, 7, 2**40]) for _ in range(width)] for _ in range(300)]
        assert _n_distinct(np.array(rows)).tolist() == [len(set(row)) for row in rows]
        assert _n_most_common(np.array(rows)).tolist() == [n_most_common([*map(str, row)]) for row in rows]


def test_metadata_of_every_document(index_with: Callable[[str], Index]) -> None:
    index = index_with("label")
    n = index.manifest.counts.n_documents
    expected = [index.text.document(number).metadata for number in range(n)]
    assert index.text.metadata_field("label") == [one["label"] for one in expected]
    assert index.text.metadata_field("number") == [one["number"] for one in expected]
    assert index.text.metadata_field("nothing") == [None] * n


def test_a_dictionary_counts_with_the_third_that_its_layer_is_in(gated_dictionary_index: Index) -> None:
    """The middle one of three layers has two dictionaries beside it."""
    depths = [one.cell.cell.layer for one in highlights(gated_dictionary_index)]
    assert depths == [0, 1, 2]
