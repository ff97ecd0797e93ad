"""The certificate: the worst of several measurements, and what is refused."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import ffmem
from ffmem import Index
from ffmem.errors import ModelError
from ffmem.index import certificate
from ffmem.index.certificate import certify, sentences_of, worst_of
from ffmem.store.paths import StorePaths


def test_the_worst_of_several_is_elementwise_and_none_where_there_is_none() -> None:
    assert worst_of([{"a": 1.0, "b": (1.0, 5.0), "c": None}, {"a": 2.0, "b": (3.0, 2.0), "c": None}]) == {
        "a": 2.0,
        "b": [3.0, 5.0],
        "c": None,
    }


def test_sentences_are_those_of_the_store_and_the_proof_runs_the_longest(
    index_of: Callable[[str], Index], tiny_folder: Callable[[str], Path]
) -> None:
    index, model = index_of("gpt2"), ffmem.load_model(tiny_folder("gpt2"))
    folder, options = StorePaths(index.folder).index, index.manifest.options
    drawn = sentences_of(model, folder, [0, 2], options, cut=False)
    rows = [index.text.sentence(number) for number in (0, 2)]
    assert [one.text for one in drawn] == [row.text for row in rows]
    assert all(np.array_equal(one.token_ids, row.token_ids) for one, row in zip(drawn, rows, strict=True))
    measured = certify(model, folder, options, cut=False)
    assert measured["sentence_ids"] == sorted(measured["sentence_ids"]) and measured["n_sentences"] >= 1


def test_an_identity_that_does_not_hold_is_refused_with_its_number(
    index_of: Callable[[str], Index], tiny_folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    index, model = index_of("gpt2"), ffmem.load_model(tiny_folder("gpt2"))
    monkeypatch.setitem(certificate.TOLERANCE, "float32", -1.0)
    with pytest.raises(ModelError, match=r"an identity fails in .*Expected at most -1 in float32"):
        certify(model, StorePaths(index.folder).index, index.manifest.options, cut=False)
