"""Pairs side by side: what is kept, and what is told of the rest."""

import json
from pathlib import Path

import pytest
import torch

from ffmem import InputError, load_model
from ffmem.analyses.circuit.pairs import align, read_pairs
from ffmem.analyses.circuit.tasks import Pair
from ffmem.models.transformer import Transformer
from tests.analyses.circuit.toy import chain, words_of


@pytest.fixture(scope="module")
def chained(tmp_path_factory: pytest.TempPathFactory) -> Transformer:
    return load_model(chain(tmp_path_factory.mktemp("chain")))


def pair(prompt: str, counterfactual: str, right: str = "sun", wrong: str = "moon", template: str = "one") -> Pair:
    return Pair(template, prompt, counterfactual, right, wrong)


def test_only_what_the_model_gets_right_is_kept_and_all_is_counted(chained: Transformer) -> None:
    found = align(
        chained,
        [
            pair("blue red", "blue dog"),
            pair("cat red", "cat dog"),
            pair("blue dog", "blue red"),  # it does not say "sun"
            pair("red", "blue dog"),  # of unequal length
            pair("red", "dog"),  # of another length than the others
            pair("old old red", "old old sea", template="two"),
        ],
    )
    assert (found.n, found.n_unequal, found.n_wrong) == (6, 2, 1) and found.share_right == 0.75
    assert found.n_by_template == {"one": (3, 2), "two": (1, 1)}
    one, two = found.groups
    assert [x.prompt for x in one.pairs] == ["blue red", "cat red"] and two.ids.shape == (1, 3)
    vocabulary = chained.tokenizer.get_vocab()
    with torch.no_grad():
        logits = chained.module(one.ids).logits[:, -1].double()
    expected = (logits[:, vocabulary["sun"]] - logits[:, vocabulary["moon"]]).tolist()
    assert one.whole.tolist() == pytest.approx(expected, abs=1e-6) and min(expected) > 0
    assert one[:1].ids.tolist() == one.ids[:1].tolist() and len(one[:1]) == 1


def test_a_file_of_pairs(tmp_path: Path) -> None:
    path = tmp_path / "own.jsonl"
    line = {"prompt": "a", "counterfactual": "b", "right": "c", "wrong": "d"}
    path.write_text(json.dumps(line) + "\n\n" + json.dumps(line | {"template": "t"}) + "\n")
    assert read_pairs(path) == [Pair("own", "a", "b", "c", "d"), Pair("t", "a", "b", "c", "d")]
    for text, told in (
        ("", "has no pairs"),
        ("{}", "line 1 of"),
        ("[1]", "line 1 of"),
        ("x", "line 1 of"),
        (json.dumps(line | {"right": 3}), "a value is no text"),
        (json.dumps(line | {"prompt": ""}), "a value is no text"),
    ):
        path.write_text(text)
        with pytest.raises(InputError, match=told):
            read_pairs(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="cannot be read"):
        read_pairs(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_pairs(tmp_path / "nowhere")


def test_a_model_that_gets_nothing_right_has_no_groups(tmp_path: Path) -> None:
    model = load_model(words_of(tmp_path))
    pairs = [Pair("t", "The boy", "The boys", right, wrong) for right, wrong in ((" is", " are"), (" are", " is"))]
    found = align(model, pairs)
    assert found.n_wrong == 1 and len(found.groups) == 1  # one of the two is the other way about
    assert align(model, []).groups == ()
