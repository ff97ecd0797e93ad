"""How probable answers are, against plain torch, token by token."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from ffmem import InputError, load_model
from ffmem.analyses.editing.asking import Asked, asked, batches, first_answers, joined, log_probabilities, most_probable
from ffmem.models.transformer import Transformer

PROMPT, ANSWERS = "the silver river of the", ("winter", "village morning", "quick brown fox")


def by_hand(model: Transformer, prompt: str, answer: str) -> float:
    """One pass for each token of the answer, each of what stands before it."""
    tokenizer = model.tokenizer
    before = tokenizer(prompt).input_ids
    whole = tokenizer(f"{prompt} {answer}").input_ids
    assert whole[: len(before)] == before
    total = 0.0
    for end in range(len(before), len(whole)):
        with torch.no_grad():
            logits = model.module(torch.tensor([whole[:end]])).logits[0, -1]
        total += float(logits.double().log_softmax(-1)[whole[end]])
    return total


@pytest.mark.parametrize("family", ["gpt2", "llama", "mixtral"])
def test_an_answer_of_several_tokens_has_the_product_of_theirs(family: str, tiny_folder: Callable[[str], Path]) -> None:
    """With a BOS (llama) and without; a batch of rows of different lengths."""
    model = load_model(tiny_folder(family))
    rows = [asked(model, PROMPT, answer) for answer in ANSWERS]
    found = log_probabilities(model, rows)
    expected = [by_hand(model, PROMPT, answer) for answer in ANSWERS]
    torch.testing.assert_close(found.double(), torch.tensor(expected, dtype=torch.float64), rtol=1e-4, atol=1e-4)
    assert len({len(row.ids) for row in rows}) > 1


def test_the_key_is_the_subjects_last_token_wherever_it_stands(tiny_folder: Callable[[str], Path]) -> None:
    model = load_model(tiny_folder("llama"))
    for before in ("", "while windows wait. "):
        row = asked(model, PROMPT, "winter", "silver river", before)
        text = model.tokenizer.decode(row.ids[: row.key + 1], skip_special_tokens=True)
        assert text == before + "the silver river"
    row = asked(model, PROMPT, "winter")
    assert model.tokenizer.decode(row.ids[: row.key + 1], skip_special_tokens=True) == PROMPT
    assert row.key == row.at[0]


def test_spaces_decide_nothing(tiny_folder: Callable[[str], Path]) -> None:
    model = load_model(tiny_folder("gpt2"))
    assert asked(model, f"{PROMPT} ", " winter ") == asked(model, PROMPT, "winter")
    assert joined("a", "b") == joined("a ", "b") == joined("a", " b") == "a b"


def test_a_masked_model_is_asked_under_its_mask(tiny_folder: Callable[[str], Path]) -> None:
    model = load_model(tiny_folder("bert"))
    prompt = "the silver [MASK] of the village"
    row = asked(model, prompt, "the")
    ids = model.tokenizer(prompt, return_tensors="pt").input_ids
    place = int((ids[0] == model.tokenizer.mask_token_id).nonzero())
    assert (row.at, row.key, list(row.ids)) == ((place,), place, ids[0].tolist())
    with torch.no_grad():
        expected = model.module(ids).logits[0, place].log_softmax(-1)
    found = float(log_probabilities(model, [row]))
    assert found == pytest.approx(float(expected[row.targets[0]]), abs=1e-4)
    assert most_probable(model, [prompt]) == [model.tokenizer.decode([int(expected.argmax())])]
    with pytest.raises(InputError, match="has 0 masks and the answer 'the' 1 tokens"):
        asked(model, "the silver river", "the")


def test_the_first_choice_is_that_of_a_plain_pass(tiny_folder: Callable[[str], Path]) -> None:
    model = load_model(tiny_folder("llama"))
    prompts = [PROMPT, "the quick"]
    with torch.no_grad():
        plain = [model.module(torch.tensor([model.tokenizer(one).input_ids])).logits[0, -1].argmax() for one in prompts]
    assert most_probable(model, prompts) == [model.tokenizer.decode([int(one)]) for one in plain]


def test_every_row_is_in_one_batch_and_those_of_other_lengths_stand_alone_where_they_must(
    tiny_folder: Callable[[str], Path],
) -> None:
    from ffmem.models.base import Batching

    model = load_model(tiny_folder("llama"))
    rows = [Asked(tuple(range(2, 2 + n)), (n - 1,), (3,), 0) for n in (3, 5, 3, 4, 5, 3)]
    for rows_of, lengths in (("padded", {6}), ("equal-length", {3, 1, 2}), ("alone", {1})):
        model.adopt(Batching(True, rows_of))  # type: ignore[arg-type]
        found = list(batches(model, rows))
        assert sorted(number for some, _, _ in found for number in some) == list(range(6))
        assert {len(some) for some, _, _ in found} == lengths
        for some, ids, _ in found:
            for number, row in zip(some, ids, strict=True):
                assert tuple(row[: len(rows[number].ids)].tolist()) == rows[number].ids


def test_a_text_over_the_context_is_refused(tiny_folder: Callable[[str], Path]) -> None:
    model = load_model(tiny_folder("gpt2"))
    with pytest.raises(InputError, match="Expected at most"):
        asked(model, "the silver " * 200, "winter")


def test_an_old_answer_is_the_most_probable_token_that_stands_by_itself(tiny_folder: Callable[[str], Path]) -> None:
    """Against a look at all tokens in order: text behind a space that is cut into that very token."""
    model = load_model(tiny_folder("llama"))
    with torch.no_grad():
        order = model.module(torch.tensor([model.tokenizer(PROMPT).input_ids])).logits[0, -1].argsort(descending=True)
    before = model.tokenizer(PROMPT).input_ids
    for token in order.tolist():
        text = model.tokenizer.decode([token]).strip()
        if text and model.tokenizer(f"{PROMPT} {text}").input_ids == [*before, token]:
            break
    assert first_answers(model, [PROMPT]) == [text]
