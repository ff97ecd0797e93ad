"""The certificate: the worst of several measurements, and what is refused."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import ffmem
from ffmem import Index
from ffmem.errors import ModelError
from ffmem.index import certificate
from ffmem.index.certificate import certify, depends_on_length, sentences_of, worst_of
from ffmem.index.scan.shard_text import read_tokens
from ffmem.index.text.head import head_of
from ffmem.models.run_state import RunState
from ffmem.store.paths import StorePaths
from tests.fixtures.models import LONG_ROPE


def test_the_worst_of_several_is_elementwise_and_none_where_there_is_none() -> None:
    assert worst_of([{"a": 1.0, "b": (1.0, 5.0), "c": None}, {"a": 2.0, "b": (3.0, 2.0), "c": None}]) == {
        "a": 2.0,
        "b": [3.0, 5.0],
        "c": None,
    }


def test_what_is_not_a_number_is_the_worst_wherever_it_stands() -> None:
    """Of eight sentences perhaps one has a token whose row is not a number."""
    nan = float("nan")
    for measured in ([{"b": (0.0, nan)}, {"b": (1.0, 2.0)}], [{"b": (0.0, 2.0)}, {"b": (1.0, nan)}]):
        (worst,) = worst_of(measured).values()
        assert worst[0] == 1.0 and np.isnan(worst[1])


def test_sentences_are_those_of_the_store_and_the_proof_runs_the_longest(
    index_of: Callable[[str], Index], tiny_folder: Callable[[str], Path]
) -> None:
    index, model = index_of("gpt2"), ffmem.load_model(tiny_folder("gpt2"))
    folder, options = StorePaths(index.folder).index, index.manifest.options
    rows = [index.text.sentence(number) for number in (0, 2)]
    drawn = sentences_of(model, {row.id: (row.text, row.token_ids) for row in rows}, may_be_pieces=False)
    assert [one.text for one in drawn] == [row.text for row in rows]
    assert all(np.array_equal(one.token_ids, row.token_ids) for one, row in zip(drawn, rows, strict=True))
    measured = certify(model, head_of(index.text, False), read_tokens(folder), options)
    assert measured["sentence_ids"] == sorted(measured["sentence_ids"]) and measured["n_sentences"] >= 1


def test_an_identity_that_does_not_hold_is_refused_with_its_number(
    index_of: Callable[[str], Index], tiny_folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    index, model = index_of("gpt2"), ffmem.load_model(tiny_folder("gpt2"))
    monkeypatch.setitem(certificate.TOLERANCE, "float32", -1.0)
    tokens = read_tokens(StorePaths(index.folder).index)
    with pytest.raises(ModelError, match=r"an identity fails in .*Expected at most -1 in float32"):
        certify(model, head_of(index.text, False), tokens, index.manifest.options)


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


@pytest.mark.parametrize(
    ("variant", "changes", "longest", "depends"),
    [
        ("gpt2", {}, 2**31, False),  # no rotary positions: whatever the length
        ("llama", {}, 64, False),
        ("llama", {}, 2**17 + 1, True),  # too many to ask
        ("llama", {"rope_parameters": LONG_ROPE}, 64, True),
        ("llama", {"rope_parameters": LONG_ROPE}, 12, False),
        (
            "llama",
            {
                "rope_parameters": {"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 4.0},
                "max_position_embeddings": 16,
            },
            64,
            True,
        ),
    ],
)
def test_a_model_depends_on_length_if_its_first_rotations_do(
    configured: Callable[..., Path], variant: str, changes: dict[str, object], longest: int, depends: bool
) -> None:
    model = ffmem.load_model(configured(variant, **changes), proved=False)
    state = RunState(model.module)
    assert depends_on_length(model, longest) is depends
    assert not state.changed(), "asking leaves no trace"
