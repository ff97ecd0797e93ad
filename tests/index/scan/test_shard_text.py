"""Tokens of a shard against lists of them, and batches of model input against plain transformers, sentence by sentence."""

import mmap
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import ffmem
from ffmem import IndexOptions
from ffmem.index.scan.batches import Shard
from ffmem.index.scan.shard_text import ShardText, Tokens, read_tokens
from tests.index.scan.hand_made import SENTENCES, SHARDS, STARTS, WHOLE, gpt2_coefficients, write_tokens

lists = st.lists(st.lists(st.integers(0, 70_000), min_size=1, max_size=6), min_size=1, max_size=12)


@settings(deadline=None)
@given(sentences=lists, first=st.integers(0, 5), begin=st.integers(0, 2**33), data=st.data())
def test_a_part_has_the_tokens_of_its_sentences_and_no_others(
    sentences: list[list[int]], first: int, begin: int, data: st.DataObject
) -> None:
    """Also a part of a part, as a worker of another machine has it; token indices go on from what stands before."""
    starts = (begin + np.cumsum([0, *map(len, sentences)])).astype(np.uint64)
    context = np.array([len(one) - 1 for one in sentences], dtype=np.uint32) if data.draw(st.booleans()) else None
    tokens = Tokens(first, starts, np.concatenate([np.array(one, dtype=np.uint32) for one in sentences]), context)
    low, end = 0, len(sentences)
    for _ in range(2):
        low = data.draw(st.integers(low, end - 1))
        end = data.draw(st.integers(low + 1, end))
        own = sentences[low:end]
        part = tokens.of(Shard(0, first + low, first + end, sum(map(len, own))))
        copy = part.copied()
        for one in (part, copy):
            assert one.first_sentence == first + low and one.token_id.tolist() == [
                token for ids in own for token in ids
            ]
            for number, ids in enumerate(own, start=first + low):
                assert one.ids(number).tolist() == ids
                assert one.start(number) == int(starts[number - first])
                assert one.n_context(number) == (0 if context is None else len(ids) - 1)
        assert np.shares_memory(part.token_id, tokens.token_id) and not np.shares_memory(copy.token_id, tokens.token_id)
        tokens = part


def test_the_tokens_of_a_folder_are_mapped_not_read(tmp_path: Path) -> None:
    tokens = read_tokens(write_tokens(tmp_path, context=[0, 1, 0, 0, 3, 0, 0, 0]) / "text")
    base = tokens.token_id
    while isinstance(base, np.ndarray) and base.base is not None:
        base = base.base
    assert isinstance(base, mmap.mmap)
    assert [tuple(tokens.ids(number).tolist()) for number in range(len(SENTENCES))] == list(SENTENCES)
    assert [tokens.n_context(number) for number in range(len(SENTENCES))] == [0, 1, 0, 0, 3, 0, 0, 0]


@pytest.fixture(scope="module")
def gpt2(tiny_folder: Callable[[str], Path]) -> "ffmem.models.transformer.Transformer":
    return ffmem.load_model(tiny_folder("gpt2"))


@pytest.fixture
def text(tmp_path: Path, gpt2: "ffmem.models.transformer.Transformer") -> Callable[..., ShardText]:
    def make(context: list[int] | None = None, **options: object) -> ShardText:
        chosen = {"batch_tokens": 32, "bos": "no", **options}
        return ShardText(read_tokens(write_tokens(tmp_path, context) / "text"), gpt2, IndexOptions(**chosen))  # type: ignore[arg-type]

    return make


def test_coefficients_are_those_of_each_sentence_alone(
    text: Callable[..., ShardText], tiny_folder: Callable[[str], Path]
) -> None:
    expected, made, seen = gpt2_coefficients(tiny_folder("gpt2")), text(), []
    for shard in SHARDS:
        for batch in made.batches(shard):
            assert {*batch.sentence_ids} <= {*range(shard.first_sentence, shard.end_sentence)}
            for sentence_id, layers in zip(batch.sentence_ids, made.coefficients(batch), strict=True):
                seen.append(sentence_id)
                for layer, found in enumerate(layers):
                    assert found.shape == expected[sentence_id][layer].shape
                    np.testing.assert_allclose(found, expected[sentence_id][layer], rtol=1e-4, atol=1e-6)
    assert sorted(seen) == list(range(len(SENTENCES)))


@pytest.mark.parametrize("bos", ["no", "yes"])
def test_rows_are_padded_on_the_right_and_the_mask_says_where(text: Callable[..., ShardText], bos: str) -> None:
    made = text(bos=bos, batch_tokens=1000)
    prefix = [0] if bos == "yes" else []
    assert [batch.sentence_ids for batch in made.batches(SHARDS[0])] == [(0, 1), (2,)]
    for batch in made.batches(WHOLE):
        ids, mask = made.inputs(batch)
        assert ids.shape == mask.shape == (len(batch.sentence_ids), made.width(batch))
        for row, sentence_id in enumerate(batch.sentence_ids):
            own = [*prefix, *SENTENCES[sentence_id]]
            assert ids[row, : len(own)].tolist() == own
            assert mask[row].tolist() == [1] * len(own) + [0] * (made.width(batch) - len(own))


@pytest.mark.parametrize(("skip", "bos"), [(0, "no"), (0, "yes"), (2, "yes"), (9, "no")])
def test_places_name_the_token_of_each_position_that_competes(
    text: Callable[..., ShardText], skip: int, bos: str
) -> None:
    made, n_prefix = text(bos=bos, skip_first=skip, batch_tokens=1000), int(bos == "yes")
    for batch in made.batches(WHOLE):
        places, (ids, _) = made.places(batch), made.inputs(batch)
        for row, sentence_id in enumerate(batch.sentence_ids):
            n = max(len(SENTENCES[sentence_id]) - skip, 0)
            assert max(int(places.lengths[row]), 0) == n
            for competing in range(n):
                token = int(places.tokens[row, competing])
                assert token == STARTS[sentence_id] + skip + competing
                at = places.first_position + competing
                assert at == n_prefix + skip + competing
                assert int(ids[row, at]) == SENTENCES[sentence_id][skip + competing]


def test_sentences_of_other_context_share_no_batch_and_the_larger_of_both_is_skipped(
    text: Callable[..., ShardText],
) -> None:
    context = [0, 1, 0, 1, 3, 1, 0, 0]
    made = text(context, skip_first=1, batch_tokens=1000)
    assert [made.first_competing(number) for number in range(8)] == [max(1, n) for n in context]
    for batch in made.batches(WHOLE):
        (own,) = {context[number] for number in batch.sentence_ids}
        assert made.places(batch).first_position == max(1, own)


def test_a_smaller_budget_than_the_options_puts_sentences_that_shared_a_batch_apart(
    text: Callable[..., ShardText],
) -> None:
    made = text(batch_tokens=6)
    assert [batch.sentence_ids for batch in made.batches(SHARDS[1])] == [(4,), (3, 5)]
    assert [batch.sentence_ids for batch in made.batches(SHARDS[1], 5)] == [(4,), (3,), (5,)]


def test_a_model_whose_coefficients_padding_would_change_is_given_equal_lengths(
    tmp_path: Path, tiny_folder: Callable[[str], Path]
) -> None:
    model = ffmem.load_model(tiny_folder("gpt2"))
    tokens = read_tokens(write_tokens(tmp_path) / "text")
    for rows, n_lengths in (("equal-length", 1), ("alone", 1)):
        model.adopt(ffmem.models.base.Batching(causal=True, rows=rows))  # type: ignore[arg-type]
        made = ShardText(tokens, model, IndexOptions(bos="no"))
        for batch in made.batches(WHOLE):
            assert len({len(SENTENCES[number]) for number in batch.sentence_ids}) == n_lengths
            assert rows == "equal-length" or len(batch.sentence_ids) == 1
    assert torch.equal(made.inputs(batch)[1], torch.ones_like(made.inputs(batch)[1]))
