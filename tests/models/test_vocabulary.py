"""Tokens as bytes, against what the tokenizers themselves decode."""

import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from ffmem.models.vocabulary import display, is_byte_level, token_bytes
from tests.conftest import TEXT, byte_level_tokenizer, word_piece_tokenizer

METASPACE = "\N{LOWER ONE EIGHTH BLOCK}"
TEXTS = (TEXT, "😀👩‍👩‍👧 日本語\t\n\r\n é e\u0301 \u00a0\u00ad\x00\x7f", "don't  stop", "")


def wrapped(tokenizer: Tokenizer, **named: str) -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **named)


def sentence_piece_like(decoder: decoders.Decoder) -> PreTrainedTokenizerFast:
    """Words with their spaces, and bytes for all else: "▁" is a space, "<0xE2>" a byte."""
    words = [
        "<unk>",
        METASPACE,
        f"{METASPACE}the",
        "the",
        f"{METASPACE}caf",
        "é",
        *(f"<0x{byte:02X}>" for byte in range(256)),
    ]
    model = models.Unigram([(word, -float(number)) for number, word in enumerate(words)], unk_id=0, byte_fallback=True)
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always", split=False)
    tokenizer.decoder = decoder
    return wrapped(tokenizer, unk_token="<unk>")


SENTENCE_PIECE_DECODERS = {
    "metaspace": decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace()]),
    "llama": decoders.Sequence(
        [decoders.Replace(METASPACE, " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    ),
}


def test_byte_level_tokens_are_what_the_tokenizer_decodes() -> None:
    tokenizer = byte_level_tokenizer(bos_by_itself=False)
    found = token_bytes(tokenizer)
    assert len(found) == len(tokenizer) >= 256
    for number, token in enumerate(found):
        decoded = tokenizer.decode([number], clean_up_tokenization_spaces=False)
        assert token.decode(errors="replace") == decoded, number
    # single bytes, whole and parts of characters: the decoder shows the latter as U+FFFD only
    assert {bytes([byte]) for byte in range(256)} <= set(found)


@pytest.mark.parametrize("text", TEXTS)
def test_byte_level_tokens_joined_are_the_text(text: str) -> None:
    tokenizer = byte_level_tokenizer(bos_by_itself=True)
    found = token_bytes(tokenizer)
    numbers = tokenizer(text, add_special_tokens=False).input_ids
    assert b"".join(found[number] for number in numbers) == text.encode()


def test_a_character_split_over_byte_level_tokens() -> None:
    tokenizer = byte_level_tokenizer(bos_by_itself=False)
    found = token_bytes(tokenizer)
    parts = [found[number] for number in tokenizer("🦊", add_special_tokens=False).input_ids]
    assert len(parts) > 1 and b"".join(parts) == b"\xf0\x9f\xa6\x8a"
    with pytest.raises(UnicodeDecodeError):
        parts[0].decode()


def test_special_and_added_tokens_stand_as_they_are_written() -> None:
    tokenizer = byte_level_tokenizer(bos_by_itself=False)
    tokenizer.add_tokens(["two words", AddedToken("Ġliteral", special=False)])
    found = token_bytes(tokenizer)
    assert found[:2] == [b"<s>", b"<pad>"]
    assert found[-2:] == [b"two words", "Ġliteral".encode()]


def test_a_byte_level_vocabulary_may_hold_what_its_alphabet_does_not() -> None:
    tokenizer = Tokenizer(models.WordLevel({"a b": 0, "Ġa": 1, "<0xE2>": 2}, unk_token="a b"))
    tokenizer.decoder = decoders.ByteLevel()
    # only in SentencePiece-like vocabularies is <0xE2> a byte
    assert token_bytes(wrapped(tokenizer)) == [b"a b", b" a", b"<0xE2>"]


def test_word_piece_tokens_keep_their_marks() -> None:
    tokenizer = word_piece_tokenizer()
    found = token_bytes(tokenizer)
    by_number = {number: token for token, number in tokenizer.get_vocab().items()}
    assert found == [by_number[number].encode() for number in range(len(found))]
    assert any(token.startswith(b"##") for token in found) and found[2] == b"[CLS]"
    assert not is_byte_level(tokenizer)


@pytest.mark.parametrize("decoder", SENTENCE_PIECE_DECODERS.values(), ids=SENTENCE_PIECE_DECODERS)
def test_sentence_piece_like_tokens(decoder: decoders.Decoder) -> None:
    tokenizer = sentence_piece_like(decoder)
    found = token_bytes(tokenizer)
    assert found[:6] == [b"<unk>", b" ", b" the", b"the", b" caf", "é".encode()]
    assert found[6:] == [bytes([byte]) for byte in range(256)]
    text = "the café 😀\n"
    numbers = tokenizer(text, add_special_tokens=False).input_ids
    joined = b"".join(found[number] for number in numbers)
    assert joined == f" {text}".encode()  # the pre-tokenizer puts a space in front
    assert joined.decode()[1:] == tokenizer.decode(numbers, clean_up_tokenization_spaces=False)


def test_without_a_space_mark_in_the_decoder_the_character_is_itself() -> None:
    tokenizer = Tokenizer(models.WordLevel({f"{METASPACE}a": 0}, unk_token=f"{METASPACE}a"))
    assert token_bytes(wrapped(tokenizer)) == [f"{METASPACE}a".encode()]


def test_ids_without_a_token_are_named() -> None:
    tokenizer = Tokenizer(models.WordLevel({"a": 0, "b": 3}, unk_token="a"))
    assert token_bytes(wrapped(tokenizer)) == [b"a", b"<id 1>", b"<id 2>", b"b"]


def test_rows_of_the_model_beyond_the_tokenizer_are_named_too() -> None:
    tokenizer = Tokenizer(models.WordLevel({"a": 0, "b": 1}, unk_token="a"))
    assert token_bytes(wrapped(tokenizer), d_vocab=4) == [b"a", b"b", b"<id 2>", b"<id 3>"]
    assert token_bytes(wrapped(tokenizer), d_vocab=1) == [b"a", b"b"]


@pytest.mark.parametrize("by_itself", [True, False])
def test_is_byte_level(by_itself: bool) -> None:
    assert is_byte_level(byte_level_tokenizer(by_itself))
    assert not is_byte_level(sentence_piece_like(decoders.Metaspace()))


def test_display_shows_parts_of_characters_as_bytes() -> None:
    assert [display(token) for token in (b" the", "é".encode(), b"\xf0\x9f", b"a\xe2\x82")] == [
        " the",
        "é",
        r"\xf0\x9f",
        r"a\xe2\x82",
    ]
