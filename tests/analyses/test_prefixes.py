"""Random prefixes, and the passes that reach them, against each sentence alone."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from ffmem import Index, load_model
from ffmem.analyses.prefixes import continued_prefixes, passes, random_prefixes, rows_of

SENTENCES = [np.array(ids) for ids in ([20, 21, 22], [23], [24, 25, 26, 27, 28], [], [29, 30])]
IDS = np.array([7, 8, 9, 10, 11])


def test_each_sentence_is_drawn_before_one_is_drawn_again() -> None:
    four = random_prefixes(SENTENCES, IDS, 4, seed=1)
    assert sorted(four.sentence_ids[four.sentence].tolist()) == [7, 8, 9, 11]  # one is empty
    for n in (6, 11, 50):  # 11 prefixes there are
        drawn = random_prefixes(SENTENCES, IDS, n, seed=1)
        pairs = list(zip(drawn.sentence_ids[drawn.sentence].tolist(), drawn.position.tolist(), strict=True))
        assert len(drawn) == len(set(pairs)) == min(n, 11) and pairs == sorted(pairs)
        for number, (sentence_id, position) in enumerate(pairs):
            assert drawn.tokens(number).tolist() == SENTENCES[sentence_id - 7][: position + 1].tolist()
    assert len(random_prefixes([], np.empty(0, np.int64), 3, seed=0)) == 0


@pytest.mark.parametrize("variant", ["llama", "bert", "t5"])
def test_passes_reach_the_states_that_a_sentence_has_alone(variant: str, tiny_folder: Callable[[str], Path]) -> None:
    model = load_model(tiny_folder(variant))
    drawn = random_prefixes(SENTENCES, IDS, 6, seed=2)
    before, after = model.special_tokens("auto")
    reached = set()
    for batch in passes(model, drawn.sentences, "auto", batch_tokens=16):
        assert batch.token_ids.numel() <= 16
        some, rows, columns = rows_of(drawn, batch)
        with torch.inference_mode():
            states = model.forward(batch.token_ids, batch.attention_mask)
            for number, row, column in zip(some.tolist(), rows, columns, strict=True):
                sentence = drawn.sentences[drawn.sentence[number]].tolist()
                alone = model.forward(torch.tensor([[*before, *sentence, *after]]))
                assert torch.allclose(states[row, column], alone[0, len(before) + drawn.position[number]], atol=1e-5)
                reached.add(number)
    assert reached == set(range(6))


def test_each_continued_prefix_has_the_token_that_follows_it(index_of: Callable[[str], Index]) -> None:
    """As the sentences themselves say; of 10,000 that are asked for there are all but the last tokens of sentences."""
    text = index_of("gpt2").text
    first, end = text.n_sentences, text.n_all_sentences
    sentences = {number: text.sentence(number) for number in range(first, end)}
    lengths = [len(one.token_ids) for one in sentences.values()]
    for n in (5, 10_000):
        found = continued_prefixes(text, first, end, n, seed=1)
        prefixes = found.prefixes
        assert len(prefixes) == len(found.following) == min(n, sum(lengths) - len(lengths))
        for number, following in enumerate(found.following.tolist()):
            sentence = sentences[int(prefixes.sentence_ids[prefixes.sentence[number]])]
            position = int(prefixes.position[number])
            assert sentence.token_ids[: position + 2].tolist() == [*prefixes.tokens(number).tolist(), following]
            assert prefixes.document[prefixes.sentence[number]] == sentence.document_id
