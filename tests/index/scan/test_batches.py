"""Shards and batches are a pure function of lengths and options."""

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ffmem.index.scan.batches import MAX_WASTE, Shard, ShardPlanner, plan_batches, plan_shards

lengths_lists = st.lists(st.integers(1, 300), min_size=1, max_size=200)


@given(lengths_lists, st.integers(1, 2000))
def test_shards_cover_every_sentence_once_in_order(lengths: list[int], shard_tokens: int) -> None:
    starts = np.concatenate(([0], np.cumsum(lengths))).astype(np.uint64)
    shards = plan_shards(starts, [len(lengths)], shard_tokens)
    assert [i for shard in shards for i in range(shard.first_sentence, shard.end_sentence)] == list(range(len(lengths)))
    assert [shard.shard_id for shard in shards] == list(range(len(shards)))
    for shard in shards:
        own = lengths[shard.first_sentence : shard.end_sentence]
        assert shard.n_tokens == sum(own)
        assert sum(own[:-1]) < shard_tokens
        assert sum(own) >= shard_tokens or shard is shards[-1]


@given(st.data(), st.lists(lengths_lists, min_size=1, max_size=3), st.integers(1, 2000))
def test_shards_of_sentences_that_come_bit_by_bit_are_those_of_all(
    data: st.DataObject, corpora: list[list[int]], shard_tokens: int
) -> None:
    """Each is told as soon as it is full, wherever the bits end; after a base, numbers go on from there."""
    starts = np.cumsum([0, *(length for lengths in corpora for length in lengths)]).astype(np.uint64)
    expected = plan_shards(starts, list(map(len, corpora)), shard_tokens)
    planner, found, n_full = ShardPlanner(shard_tokens, 7, 50), list[Shard](), 0
    for lengths in corpora:
        left = list(lengths)
        while left:
            n = data.draw(st.integers(1, len(left)))
            found += planner.add(np.array(left[:n]))
            left = left[n:]
            n_tokens = sum(lengths[: len(lengths) - len(left)])
            assert n_tokens - sum(shard.n_tokens for shard in found[n_full:]) < shard_tokens
        found += planner.end_corpus()
        n_full = len(found)
    moved = [Shard(one.shard_id - 7, one.first_sentence - 50, one.end_sentence - 50, one.n_tokens) for one in found]
    assert moved == expected


def test_held_out_sentences_are_in_no_shard() -> None:
    starts = np.array([0, 5, 9, 20, 30], dtype=np.uint64)
    assert plan_shards(starts, [2], 100) == [Shard(0, 0, 2, 9)]


@given(lengths_lists, st.integers(0, 2), st.integers(50, 2000), st.sampled_from([0, 7, 300]))
def test_batches_hold_each_sentence_once_with_little_padding(
    lengths: list[int], n_special: int, batch_tokens: int, price: int
) -> None:
    shard = Shard(0, 10, 10 + len(lengths), sum(lengths))
    batches = list(plan_batches(shard, np.array(lengths), n_special, batch_tokens, None, price))
    assert sorted(i for batch in batches for i in batch.sentence_ids) == list(range(10, 10 + len(lengths)))
    all_padded = all_used = 0
    for batch in batches:
        rows = [run.length for run in batch.runs for _ in range(run.start, run.stop)]
        assert rows == [lengths[i - 10] for i in batch.sentence_ids]
        assert batch.max_length == max(rows) and batch.n_tokens == sum(rows)
        padded, used = len(rows) * (max(rows) + n_special), sum(rows) + n_special * len(rows)
        assert len(rows) == 1 or padded <= batch_tokens
        assert price or padded - used <= MAX_WASTE * padded
        all_padded, all_used = all_padded + padded, all_used + used
    assert all_padded - all_used <= MAX_WASTE * all_padded


@settings(deadline=None)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=9), st.integers(0, 60))
def test_where_a_batch_has_a_price_no_other_batches_are_cheaper(lengths: list[int], price: int) -> None:
    """Against all ways to cut the sentences, longest first, into batches; what pads too much is tried at half the price."""
    n, widths = len(lengths), sorted((length + 1 for length in lengths), reverse=True)

    def cut(ends: tuple[int, ...]) -> list[tuple[int, int]]:
        return list(itertools.pairwise((0, *ends, n)))

    def padded(ends: tuple[int, ...]) -> int:
        return sum((stop - start) * widths[start] for start, stop in cut(ends))

    ways = [ends for k in range(n) for ends in itertools.combinations(range(1, n), k)]
    batches = list(plan_batches(Shard(0, 0, n, sum(lengths)), np.array(lengths), 1, 10_000, None, max(price, 1)))
    found = sum(len(batch.sentence_ids) * (batch.max_length + 1) for batch in batches)
    prices = [max(price, 1) >> k for k in range(8)]
    for tried in prices:
        best = min(padded(ends) + tried * len(cut(ends)) for ends in ways)
        if found + tried * len(batches) == best:
            break  # what was found is best at this price
        # at every price before, the cheapest ways that the search may have met pad too much
        cheapest = [ends for ends in ways if padded(ends) + tried * len(cut(ends)) == best]
        assert any(padded(ends) - sum(widths) > MAX_WASTE * padded(ends) for ends in cheapest)
    else:
        raise AssertionError("the batches are best at no price")


def test_a_price_makes_few_batches_of_a_small_shard_and_pads_less_than_a_tenth() -> None:
    """Lengths of real text, about: log-normal, 20 tokens; batches of a GPU."""
    lengths = np.clip(np.random.default_rng(0).lognormal(2.9, 0.5, 800), 2, 120).astype(np.int64)
    shard = Shard(0, 0, len(lengths), int(lengths.sum()))
    priced = list(plan_batches(shard, lengths, 1, 65_536, None, 1024))
    plain = list(plan_batches(shard, lengths, 1, 65_536))
    assert len(priced) < 0.75 * len(plain)
    padded = sum(len(batch.sentence_ids) * (batch.max_length + 1) for batch in priced)
    assert 0 < padded - lengths.sum() - len(lengths) <= MAX_WASTE * padded


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(1, 40), max_size=12), min_size=1, max_size=5), st.integers(1, 100))
def test_a_shard_ends_with_its_corpus_and_a_corpus_without_sentences_has_none(
    corpora: list[list[int]], shard_tokens: int
) -> None:
    """By a loop over sentences: a shard ends where it is full, or where its corpus ends."""
    expected: list[Shard] = []
    sentence = 0
    for lengths in corpora:
        first, n_tokens = sentence, 0
        for number, length in enumerate(lengths):
            sentence, n_tokens = sentence + 1, n_tokens + length
            if n_tokens >= shard_tokens or number == len(lengths) - 1:
                expected.append(Shard(len(expected), first, sentence, n_tokens))
                first, n_tokens = sentence, 0
    starts = np.cumsum([0, *(length for lengths in corpora for length in lengths), 7]).astype(np.uint64)  # one held out
    assert plan_shards(starts, list(map(len, corpora)), shard_tokens) == expected


@settings(deadline=None)
@given(st.data(), lengths_lists)
def test_sentences_with_other_context_or_that_may_not_be_padded_share_no_batch(
    data: st.DataObject, lengths: list[int]
) -> None:
    rows = data.draw(st.sampled_from(["padded", "equal-length", "alone"]))
    context = np.array([data.draw(st.integers(0, 2)) if i < 20 else i % 3 for i in range(len(lengths))])
    shard, sizes = Shard(0, 5, 5 + len(lengths), sum(lengths)), np.array(lengths)
    batches = list(plan_batches(shard, sizes, 1, 600, context, 0, rows))
    assert sorted(i for batch in batches for i in batch.sentence_ids) == list(range(5, 5 + len(lengths)))
    for batch in batches:
        places = [i - 5 for i in batch.sentence_ids]
        assert len({context[place] for place in places}) == 1
        assert rows != "alone" or len(places) == 1
        assert rows != "equal-length" or len({lengths[place] for place in places}) == 1
        assert [lengths[place] for place in places] == sorted((lengths[place] for place in places), reverse=True)


@settings(deadline=None)
@given(lengths_lists, st.integers(1, 700))
def test_a_batch_takes_all_that_fits(lengths: list[int], batch_tokens: int) -> None:
    """The next sentence would have made it too large, or put too much padding into it."""
    batches = list(plan_batches(Shard(0, 0, len(lengths), sum(lengths)), np.array(lengths), 2, batch_tokens))
    for batch, following in itertools.pairwise(batches):
        n, width = len(batch.sentence_ids) + 1, batch.max_length + 2
        padding = n * width - batch.n_tokens - following.max_length - 2 * n
        assert n * width > batch_tokens or padding > MAX_WASTE * n * width
