"""Tokens: ids with the exact bytes that they stand for, and windows of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffmem.corpus.tokens import TokenizedSentence, tokenize, windows
from ffmem.errors import InputError
from tests.corpus.tiny_tokenizers import byte_level, token_bytes, word_piece

BPE, PREFIXED, WORDS = byte_level(), byte_level(add_prefix_space=True), word_piece()
BYTES = token_bytes(BPE)
TEXTS = st.text("the quick.\n é\u0301日語😀👩‍👧", min_size=1, max_size=40) | st.text(min_size=1, max_size=20)


def one(text: str, tokenizer=BPE, vocabulary: list[bytes] | None = BYTES) -> TokenizedSentence:
    (tokens,) = tokenize(tokenizer, [text], vocabulary)
    return tokens


def pieces(text: str, tokens: TokenizedSentence) -> list[bytes]:
    data = text.encode()
    return [data[start:end] for start, end in zip(tokens.starts.tolist(), tokens.ends.tolist(), strict=True)]


@given(TEXTS)
def test_byte_level_tokens_are_their_own_bytes(text: str):
    tokens = one(text)
    assert pieces(text, tokens) == [BYTES[token_id] for token_id in tokens.token_ids]
    assert b"".join(pieces(text, tokens)) == text.encode()


def test_an_emoji_split_over_tokens():
    assert pieces("the 😀", one("the 😀"))[-4:] == [b"\xf0", b"\x9f", b"\x98", b"\x80"]
    whole = pieces("the 😀", one("the 😀", vocabulary=None))[-4:]
    assert whole == ["😀".encode()] * 4  # without the vocabulary only characters are known


@pytest.mark.parametrize(("tokenizer", "vocabulary"), [(WORDS, None), (BPE, None), (PREFIXED, BYTES)])
@given(text=TEXTS.filter(lambda text: not text.startswith(" ")))
def test_otherwise_bytes_are_those_of_the_characters(tokenizer, vocabulary: np.ndarray | None, text: str):
    encoding = tokenizer.encode(text, add_special_tokens=False)
    tokens = one(text, tokenizer, vocabulary)
    places = [(len(text[:start].encode()), len(text[:end].encode())) for start, end in encoding.offsets]
    assert tokens.token_ids.tolist() == encoding.ids
    assert list(zip(tokens.starts.tolist(), tokens.ends.tolist(), strict=True)) == places


def test_characters_at_the_borders_of_one_to_four_bytes():
    text = "\x7f\x80\u07ff\u0800\uffff\U00010000\U0010ffff."
    assert list(dict.fromkeys(pieces(text, one(text, vocabulary=None)))) == [character.encode() for character in text]


def test_word_pieces_keep_the_text_as_it_was():
    assert pieces("Thé 日 FOX", one("Thé 日 FOX", WORDS, None)) == ["Thé".encode(), "日".encode(), b"FOX"]


def test_special_tokens_are_not_added_and_many_are_like_one():
    texts = ["the fox", "", "日本", " "]
    for text, tokens in zip(texts, tokenize(BPE, texts, BYTES), strict=True):
        alone = one(text)
        for name in ("token_ids", "starts", "ends"):
            array = getattr(tokens, name)
            assert array.dtype == np.uint32
            assert array.tolist() == getattr(alone, name).tolist()
    assert tokenize(BPE, [], BYTES) == []


@given(st.lists(TEXTS, max_size=6))
def test_one_sentence_does_not_change_the_offsets_of_another(texts: list[str]):
    """Those of which the vocabulary add up, which this tokenizer's do only before white space, beside those of which not."""
    for text, tokens in zip(texts, tokenize(PREFIXED, texts, BYTES), strict=True):
        alone = one(text, PREFIXED)
        assert tokens.token_ids.tolist() == alone.token_ids.tolist()
        assert (tokens.starts.tolist(), tokens.ends.tolist()) == (alone.starts.tolist(), alone.ends.tolist())


@given(text=TEXTS, max_tokens=st.integers(4, 9), vocabulary=st.sampled_from([BYTES, None]))
def test_windows_join_to_the_sentence(text: str, max_tokens: int, vocabulary: np.ndarray | None):
    tokens = one(text, vocabulary=vocabulary)
    cut = windows(text, tokens, max_tokens)
    assert "".join(window.text for window in cut) == text
    assert np.concatenate([window.tokens.token_ids for window in cut]).tolist() == tokens.token_ids.tolist()
    found, at = [], 0
    for window in cut:
        assert window.start_byte == at
        assert window.context == 0
        assert 1 <= len(window.tokens.token_ids) <= max_tokens
        found += pieces(window.text, window.tokens)
        at += len(window.text.encode())
    assert found == pieces(text, tokens)


def test_windows_are_as_long_as_they_may_be():
    tokens = one("zzzzzzzzzz")
    assert [len(window.tokens.token_ids) for window in windows("zzzzzzzzzz", tokens, 4)] == [4, 4, 2]


@pytest.mark.parametrize("vocabulary", [BYTES, None])
def test_windows_do_not_cut_characters(vocabulary: np.ndarray | None):
    text = "z😀😀z"
    cut = windows(text, one(text, vocabulary=vocabulary), 6)
    assert [window.text for window in cut] == ["z😀", "😀z"]


@pytest.mark.parametrize("vocabulary", [BYTES, None])
def test_a_character_that_does_not_fit(vocabulary: np.ndarray | None):
    with pytest.raises(InputError) as error:
        windows("z😀", one("z😀", vocabulary=vocabulary), 3)
    assert str(error.value) == (
        "a character at byte 1 of a sentence has more than 3 tokens. "
        "Expected inputs long enough to hold a whole character. Choose a larger --max-length, or larger windows."
    )


@given(text=TEXTS, size=st.integers(4, 12), stride=st.integers(1, 12), vocabulary=st.sampled_from([BYTES, None]))
def test_every_token_competes_in_one_window(text: str, size: int, stride: int, vocabulary: np.ndarray | None):
    stride = min(stride, size)
    tokens, data = one(text, vocabulary=vocabulary), text.encode()
    place = 0  # of the first token that has not competed yet
    starts = []
    for window in windows(text, tokens, size, stride):
        ids = window.tokens.token_ids.tolist()
        first = place - window.context
        starts.append(first)
        assert len(ids) <= size
        assert 0 <= window.context < len(ids)
        assert ids == tokens.token_ids[first : first + len(ids)].tolist()
        assert data[window.start_byte :].startswith(window.text.encode())
        whole = pieces(text, tokens)[first : first + len(ids)]
        assert pieces(window.text, window.tokens) == whole
        place = first + len(ids)
    assert place == len(tokens.token_ids)
    if text.isascii():  # no character is cut, so nothing moves a window
        assert starts == list(range(0, len(tokens.token_ids), stride))[: len(starts)]
        assert starts == [] or starts[-1] + size >= len(tokens.token_ids)


def test_windows_with_a_stride():
    cut = windows("zzzzzzzzzz", one("zzzzzzzzzz"), 4, 3)
    assert [(window.start_byte, len(window.text), window.context) for window in cut] == [
        (0, 4, 0),
        (3, 4, 1),
        (6, 4, 1),
    ]


def test_a_stride_within_a_character_begins_with_the_whole_character():
    text = "😀😀zz"  # 4 tokens each, then 2
    cut = windows(text, one(text), 6, 2)
    assert [(window.text, window.context) for window in cut] == [("😀", 0), ("😀zz", 0)]


class OwnOffsets:
    """A tokenizer of two tokens that says of itself where they stand."""

    def __init__(self, *offsets: tuple[int, int]) -> None:
        self.offsets, self.ids, self.tokens = list(offsets), [7, 8], ["ab", "c"]

    def encode_batch(self, texts: list[str], add_special_tokens: bool) -> list["OwnOffsets"]:
        assert not add_special_tokens
        return [self for _ in texts]


@pytest.mark.parametrize(
    ("offsets", "told"),
    [
        (((0, 2), (1, 4)), "its token 1, 'c', at characters 1 to 4 of 'abc'"),  # past the end
        (((2, 3), (0, 1)), "its token 1, 'c', at characters 0 to 1 of 'abc'"),  # back
        (((2, 1), (2, 3)), "its token 0, 'ab', at characters 2 to 1 of 'abc'"),
    ],
)
def test_offsets_that_cannot_be_are_refused(offsets: tuple[tuple[int, int], ...], told: str):
    with pytest.raises(InputError) as error:
        tokenize(OwnOffsets(*offsets), ["abc"], None)  # type: ignore[arg-type]
    assert error.value.got == f"the tokenizer places {told}"
    assert error.value.mend == "Use another tokenizer for this model: this one does not tell where its tokens are"


@pytest.mark.parametrize("offsets", [((0, 2), (2, 3)), ((0, 2), (1, 3)), ((0, 2), (0, 0)), ((0, 3), (0, 3))])
def test_tokens_may_overlap_and_one_may_stand_nowhere(offsets: tuple[tuple[int, int], ...]):
    (tokens,) = tokenize(OwnOffsets(*offsets), ["abc"], None)  # type: ignore[arg-type]
    assert tuple(zip(tokens.starts.tolist(), tokens.ends.tolist(), strict=True)) == offsets


@pytest.mark.parametrize("portion", [1, 5, 12, 10**6])
def test_how_many_go_to_the_tokenizer_at_a_time_changes_nothing(portion: int, monkeypatch: pytest.MonkeyPatch):
    texts = ["the fox", "", "日本語", "z", "a lazy dog. ", "😀"]
    monkeypatch.setattr("ffmem.corpus.tokens._PORTION", portion)
    for vocabulary in (BYTES, None):
        found = tokenize(BPE, texts, vocabulary)
        assert [tokens.token_ids.tolist() for tokens in found] == [BPE.encode(text).ids for text in texts]


def test_a_text_of_nothing_has_no_window_and_one_of_one_token_has_one():
    assert windows("", one(""), 4) == []
    (window,) = windows("z", one("z"), 1)
    assert (window.text, window.start_byte, window.context) == ("z", 0, 0)
