"""Sentences that share a pass are held to what each has alone, and share one only where the proof says that they may."""

from collections.abc import Callable
from dataclasses import astuple
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from ffmem import Index, load_model
from ffmem.errors import ModelError
from ffmem.index import identity_batches
from ffmem.index.certificate import certify
from ffmem.index.identity_batches import _groups, draw_sentences, measure_on_sentences
from ffmem.index.scan.shard_text import ShardText, read_tokens
from ffmem.index.text.head import head_of
from ffmem.models.base import Batching
from ffmem.models.identities import Identities, measure_identities
from ffmem.models.transformer import Transformer
from ffmem.store.paths import StorePaths

Folder = Callable[[str], Path]
Indexed = Callable[[str], Index]
ROUNDING, FAULT = 1e-5, 1e-3


def flat(found: Identities) -> np.ndarray:
    """All errors of a measurement in a row; -1 where there is none."""
    values = [one for part in astuple(found) for one in (part if isinstance(part, tuple) else (part,))]
    return np.array([-1.0 if one is None else one for one in values])


def text_of(index: Index, model: Transformer) -> tuple[ShardText, np.ndarray]:
    text = ShardText(read_tokens(StorePaths(index.folder).index), model, index.manifest.options, "cpu")
    return text, np.diff(index.text.sentence_start.astype(np.int64))


def test_short_sentences_are_drawn_where_there_are_enough() -> None:
    lengths = np.array([1, 5, 70, 30, 6, 7, 8, 9, 10, 11, 12, 13, 40])
    short = [1, 4, 5, 6, 7, 8, 9, 10, 11]
    drawn = draw_sentences(lengths, 20, 0)
    assert len(drawn) == len(set(drawn)) == 8 and set(drawn) < set(short) and drawn == sorted(drawn)
    assert draw_sentences(lengths, 20, 0) == drawn != draw_sentences(lengths, 20, 1)
    assert {number for seed in range(40) for number in draw_sentences(lengths, 20, seed)} == set(short)
    assert draw_sentences(lengths, 7, 0) == [1, 4, 5, 6, 7, 8, 9, 10], "the shortest, where too few are short"
    assert draw_sentences(lengths, 64, 0) != [2], "70 tokens are taken only where all are so long"
    assert draw_sentences(np.array([1, 70]), 20, 0) == [0, 1] and draw_sentences(np.array([9, 1]), 20, 0) == [0]


@pytest.mark.parametrize(
    ("rows", "most", "expected"),
    [
        ("padded", 1000, [(0, 5), (5, 7)]),  # the sixth would make 44 positions of padding
        ("padded", 60, [(0, 3), (3, 7)]),
        ("padded", 1, [(number, number + 1) for number in range(7)]),
        ("equal-length", 1000, [(0, 1), (1, 3), (3, 4), (4, 6), (6, 7)]),
        ("equal-length", 14, [(0, 1), (1, 2), (2, 3), (3, 4), (4, 6), (6, 7)]),
        ("alone", 1000, [(number, number + 1) for number in range(7)]),
    ],
)
def test_groups(rows: str, most: int, expected: list[tuple[int, int]]) -> None:
    assert list(_groups([20, 18, 18, 12, 4, 4, 2], most, rows)) == expected  # type: ignore[arg-type]
    assert list(_groups([], most, rows)) == []  # type: ignore[arg-type]


@pytest.mark.parametrize("variant", ["gemma2", "bert", "t5"])
def test_a_pass_of_several_finds_what_passes_of_one_find(
    variant: str, index_of: Indexed, tiny_folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    index, model = index_of(variant), load_model(tiny_folder(variant))
    text, lengths = text_of(index, model)
    drawn = draw_sentences(lengths, 64, 0)
    together = [flat(one) for one in measure_on_sentences(model, text, drawn, lengths)]
    assert model.batching.rows == "padded" and len(together) < len(drawn)
    monkeypatch.setattr(identity_batches, "_NUMBERS", 0)
    alone = [flat(one) for one in measure_on_sentences(model, text, drawn, lengths)]
    assert len(alone) == len(drawn)
    together, alone = np.max(together, 0), np.max(alone, 0)
    assert ((together < 0) == (alone < 0)).all() and max(together.max(), alone.max()) < ROUNDING


def test_a_fault_in_one_sentence_is_not_hidden_by_another_that_is_larger(tiny_folder: Folder) -> None:
    """States of one sentence are a million times as large; the fault of the other is small beside them, not beside its own."""
    model = load_model(tiny_folder("gpt2"), proved=False)
    with torch.no_grad():
        model.module.transformer.wte.weight[5] *= 1e6
    ids = torch.tensor([[5, 5, 5, 5], [7, 8, 9, 10]])

    def spoil(_: object, __: object, output: object) -> object:
        states = output if isinstance(output, torch.Tensor) else output[0]  # type: ignore[index]
        states[1:] += 0.01 * states[-1].abs().max()
        return output

    model.layer(1).module.register_forward_hook(spoil)
    found = measure_identities(model, ids).residual_errors
    assert found[0] < ROUNDING < FAULT < found[1]
    assert measure_identities(model, ids[:1]).residual_errors[1] < ROUNDING


def test_padding_is_no_position(tiny_folder: Folder) -> None:
    model = load_model(tiny_folder("bert"))
    ids, mask = torch.tensor([[7, 8, 9, 10, 11], [7, 8, 9, 1, 1]]), torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])

    def spoil(_: object, __: object, output: torch.Tensor) -> torch.Tensor:
        return output + (1 - mask)[..., None]

    model.layer(1).output_module.register_forward_hook(spoil)
    assert flat(measure_identities(model, ids, mask)).max() < ROUNDING
    assert measure_identities(model, ids, torch.ones_like(mask)).ff_sum_errors[1] > FAULT


@pytest.mark.parametrize("layer", [0, 1])
def test_a_model_that_is_broken_on_one_length_is_refused_though_sentences_share_passes(
    layer: int, index_of: Indexed, tiny_folder: Folder
) -> None:
    """What it is there changes later coefficients: so sentences share no pass with padding, and the length is run as it is."""
    index, model = index_of("gpt2"), load_model(tiny_folder("gpt2"))
    text, lengths = text_of(index, model)
    drawn = draw_sentences(lengths, 64, index.manifest.options.seed)
    width = max(text.width(one) for one in _single(lengths, drawn))

    def spoil(_: object, __: object, output: torch.Tensor) -> torch.Tensor:
        return output + 0.5 if output.shape[1] == width else output

    model.layer(layer).output_module.register_forward_hook(spoil)
    tokens = read_tokens(StorePaths(index.folder).index)
    with pytest.raises(ModelError, match=rf"an identity fails in .*: ff_sum_errors of layer {layer} is"):
        certify(model, head_of(index.text, False), tokens, index.manifest.options)


def _single(lengths: np.ndarray, drawn: list[int]) -> list[identity_batches.Batch]:
    return [identity_batches.Batch((one,), (identity_batches.Run(0, 1, int(lengths[one])),)) for one in drawn]


@pytest.mark.parametrize("rows", ["padded", "equal-length", "alone"])
def test_sentences_share_a_pass_as_the_proof_says(rows: str, index_of: Indexed, tiny_folder: Folder) -> None:
    index, model = index_of("gpt2"), load_model(tiny_folder("gpt2"))
    text, lengths = text_of(index, model)
    model.adopt(Batching(True, rows))  # type: ignore[arg-type]
    shapes: list[tuple[int, ...]] = []
    model.module.transformer.wte.register_forward_hook(lambda _, inputs, __: shapes.append(tuple(inputs[0].shape)))
    sentences = _of_lengths(lengths)
    assert len(measure_on_sentences(model, text, sentences, lengths)) == len(shapes) // 2
    assert sum(rows for rows, _ in shapes) == 2 * len(sentences)
    own = sorted((int(lengths[one]) for one in sentences), reverse=True)
    expected = {
        "padded": [(4, own[0])],
        "equal-length": [(2, own[0]), (1, own[2]), (1, own[3])],
        "alone": [(1, n) for n in own],
    }
    assert shapes == [shape for shape in expected[rows] for _ in range(2)], "watched, then plain"


def _of_lengths(lengths: np.ndarray) -> list[int]:
    """Two sentences of a length, and two of others that are not much shorter."""
    order = np.argsort(-lengths, kind="stable").tolist()
    for first, second in pairwise(order):
        others = {int(lengths[one]): one for one in order if 2 <= lengths[one] < lengths[first]}
        near = sorted(others, reverse=True)[:2]
        if lengths[first] == lengths[second] and len(near) == 2 and 2 * lengths[first] - sum(near) <= 32:
            return [others[near[1]], first, others[near[0]], second]
    raise AssertionError("the corpus of the tests has no such sentences")
