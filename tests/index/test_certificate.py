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


GOOD = {
    "ff_sum_errors": (0.0, 0.0), "residual_errors": (0.0, 0.0), "hook_error": 0.0, "logit_error": None,
    "key_errors": (0.0, None), "norm_errors": (None, 0.0),
}  # fmt: skip


@pytest.mark.parametrize(
    ("worst", "dtype", "message"),
    [
        ({"ff_sum_errors": (0.0, 2e-4)}, "float32", "an identity fails in model: ff_sum_errors of layer 1 is 0.0002. "),
        (
            {"residual_errors": (float("nan"), 0.0)},
            "float32",
            "residual_errors of layer 0 is nan. Expected at most 0.0001",
        ),
        ({"logit_error": 0.5}, "bfloat16", "logit_error is 0.5. Expected at most 0.1 in bfloat16. "),
        ({"hook_error": float("inf")}, "bfloat16", "hook_error is inf. "),
        (
            {"hook_error": float("inf")},
            "float16",
            "model overflows in float16: hook_error is inf. Expected numbers below 65,5",
        ),
    ],
)
def test_the_first_error_that_is_too_large_is_told(
    worst: dict[str, object], dtype: str, message: str, tiny_folder: Callable[[str], Path]
) -> None:
    model = ffmem.load_model(tiny_folder("gpt2"), proved=False)
    options = ffmem.IndexOptions(dtype=dtype)  # type: ignore[arg-type]
    certificate._check(GOOD | {"hook_error": certificate.TOLERANCE[dtype]}, model, options)  # as large as it may be
    with pytest.raises(ModelError) as told:
        certificate._check(GOOD | worst, model, options)
    assert message.replace("model", model.facts.name) in str(told.value)
