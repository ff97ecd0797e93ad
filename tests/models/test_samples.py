"""Which texts a tokenizer or a model is tried on: those that its vocabulary has tokens for, the best known first."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from ffmem.models.samples import SENTENCES, TEXTS, sample_sentences
from tests.conftest import byte_level_tokenizer, word_piece_tokenizer


def of_characters(characters: str) -> PreTrainedTokenizerFast:
    """A token for each character, and [UNK] for all others."""
    words = {"[UNK]": 0} | {character: number for number, character in enumerate(dict.fromkeys(characters), 1)}
    backend = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    return PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="[UNK]")


def unknown_share(text: str, characters: str) -> float:
    return sum(character not in characters for character in text) / len(text)


@settings(max_examples=40, deadline=None)
@given(st.sets(st.sampled_from(sorted(set("".join(SENTENCES)))), min_size=1))
def test_those_come_that_can_be_spelled_and_the_best_known_first(known: set[str]) -> None:
    characters = "".join(sorted(known))
    found = sample_sentences(of_characters(characters))
    shares = [unknown_share(text, characters) for text in found]
    assert found and shares == sorted(shares)
    ours = {text for text in SENTENCES if unknown_share(text, characters) < 0.5}
    assert set(found) >= ours
    # what half of is unknown tells nothing of a model, and is left out where there is anything else
    assert all(share < 0.5 for share in shares)


def test_a_vocabulary_of_everything_takes_all_in_their_order() -> None:
    found = sample_sentences(byte_level_tokenizer(True))
    assert found[: len(SENTENCES)] == list(SENTENCES)
    assert len(found) > len(SENTENCES)  # and texts of its own tokens


def test_a_vocabulary_that_spells_none_of_ours_spells_texts_of_its_own() -> None:
    tokenizer = of_characters("ᚠᚢᚦᚨᚱᚲ")
    found = sample_sentences(tokenizer)
    assert found and not set(found) & set(SENTENCES)
    assert all(set(text) <= {*"ᚠᚢᚦᚨᚱᚲ "} for text in found)
    assert len({len(text) for text in found}) > 1 and found == sample_sentences(tokenizer)


def test_special_tokens_are_no_words_of_such_texts() -> None:
    tokenizer = word_piece_tokenizer()
    special = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}
    found = [text for text in sample_sentences(tokenizer) if text not in SENTENCES]
    assert found and not any(name in text for text in found for name in special)


def test_a_vocabulary_without_an_unknown_token_leaves_out_what_it_cannot_read() -> None:
    backend = Tokenizer(models.WordLevel({"N": 0, "o": 1, ".": 2}, unk_token="[UNK]"))  # which is not in it
    backend.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    found = sample_sentences(PreTrainedTokenizerFast(tokenizer_object=backend))
    assert "No." in found and all(set(text) <= {"N", "o", "."} for text in found)


@pytest.mark.parametrize("script", ["aA", "üß", "Пи", "語駅", "0", "\n\t", "😀", "ש", "ع", "\u0301", "()"])
def test_tokenizers_are_compared_on_every_script(script: str) -> None:
    """Whoever shortens the list drops what a normaliser may touch."""
    assert set(SENTENCES) <= set(TEXTS) and len(TEXTS) == len(set(TEXTS))
    assert all(any(character in text for text in TEXTS) for character in script)
