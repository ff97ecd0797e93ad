"""Cuts of long texts: the tokens are those of the whole, and where that cannot be shown there is no cut."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers

from ffmem.corpus import tokens
from ffmem.corpus.cuts import KNOWN_PATTERNS, cutter_of
from ffmem.corpus.tokens import SentenceTokenizer
from ffmem.errors import InputError
from tests.corpus.tiny_tokenizers import byte_level, token_bytes, word_piece

LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
PIECES = [
    "the fox",
    "日本，語",
    " ",
    "  ",
    "\n",
    "'s",
    "don't",
    "12",
    "3 456",
    "é",
    "e\u0301",
    "!",
    " ...",
    "a",
    "Z",
    "😀",
    "<s>",
]
TEXTS = st.lists(st.sampled_from(PIECES), min_size=1, max_size=60).map("".join)


def with_words(pattern: str) -> Tokenizer:
    """Byte-level BPE with another pattern of words."""
    tokenizer = byte_level()
    parts = [pre_tokenizers.Split(Regex(pattern), "isolated"), pre_tokenizers.ByteLevel(False, use_regex=False)]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(parts)
    return tokenizer


def merged(*more: str, prepend: bool = True) -> Tokenizer:
    """Pairs merged over the whole text, spaces as marks, as SentencePiece has it."""
    words = dict.fromkeys([*LETTERS, "▁", "!", "th", "the", "▁the", "fo", "fox", "▁fox", "▁▁", "<unk>", *more])
    merges = [("t", "h"), ("th", "e"), ("▁", "the"), ("f", "o"), ("fo", "x"), ("▁", "fox"), ("▁", "▁")]
    merges += [(one[:-1], one[-1]) for one in more]
    model = models.BPE({word: n for n, word in enumerate(words)}, merges, unk_token="<unk>", fuse_unk=True)
    tokenizer = Tokenizer(model)
    steps = [normalizers.Prepend("▁")] * prepend + [normalizers.Replace(" ", "▁")]
    tokenizer.normalizer = normalizers.Sequence(steps)
    return tokenizer


def word_level() -> Tokenizer:
    tokenizer = Tokenizer(models.WordLevel({"the": 0, "fox": 1, "?": 2}, unk_token="?"))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    return tokenizer


BPE = byte_level()
TOKENIZERS: dict[str, tuple[Tokenizer, list[bytes] | None]] = {
    "byte-level": (BPE, token_bytes(BPE)),
    "byte-level, a space before": (byte_level(add_prefix_space=True), token_bytes(BPE)),
    "word pieces": (word_piece(), None),
    "merged": (merged(), None),
    "merged, nothing before": (merged(prepend=False), None),
    "words": (word_level(), None),
    **{f"pattern {n}": (with_words(one), token_bytes(BPE)) for n, one in enumerate(sorted(KNOWN_PATTERNS))},
}


@pytest.mark.parametrize("name", TOKENIZERS)
@settings(deadline=None, max_examples=40)
@given(text=TEXTS, size=st.integers(1, 30))
def test_pieces_have_the_tokens_of_the_whole(name: str, text: str, size: int) -> None:
    tokenizer, vocabulary = TOKENIZERS[name]
    whole = SentenceTokenizer(tokenizer, vocabulary)([text])[0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tokens, "_PORTION", size)
        (pieced,) = SentenceTokenizer(tokenizer, vocabulary)([text])
    assert all(np.array_equal(one, other) for one, other in zip(whole, pieced, strict=True))
    cutter = cutter_of(tokenizer)
    assert cutter is not None
    assert "".join(cutter.cut(text, size)) == text


@pytest.mark.parametrize("name", TOKENIZERS)
def test_long_texts_are_cut(name: str) -> None:
    cutter = cutter_of(TOKENIZERS[name][0])
    assert cutter is not None
    pieces = cutter.cut("the fox runs, " * 20, 30)
    assert len(pieces) > 5 and max(map(len, pieces)) < 50
    assert all(piece[0] == " " for piece in pieces[1:])


def test_ideographs_are_cut_at_their_marks() -> None:
    cutter = cutter_of(BPE)
    assert cutter is not None
    assert cutter.cut("日本語，日本語。日", 2) == ["日本語", "，日本語", "。日"]
    assert cutter.cut("z" * 50, 2) == ["z" * 50]  # no such place


def test_a_text_that_normalizes_has_character_offsets_in_all_its_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = byte_level()
    tokenizer.normalizer = normalizers.NFC()
    text = "the 😀 fox " * 5 + "e\u0301 the fox"  # two characters become one near the end
    whole = SentenceTokenizer(tokenizer, token_bytes(tokenizer))([text])[0]
    monkeypatch.setattr(tokens, "_PORTION", 12)
    (pieced,) = SentenceTokenizer(tokenizer, token_bytes(tokenizer))([text])
    assert pieced.starts.tolist() == whole.starts.tolist() and pieced.ends.tolist() == whole.ends.tolist()
    places = list(zip(whole.starts.tolist(), whole.ends.tolist(), strict=True))
    assert places.count((4, 8)) == 4  # each token of the first face is at the whole face


def changed(**parts: Any) -> Tokenizer:
    tokenizer = byte_level()
    for name, part in parts.items():
        setattr(tokenizer, name, part)
    return tokenizer


def with_added(content: str, **how: bool) -> Tokenizer:
    tokenizer = byte_level()
    tokenizer.add_tokens([AddedToken(content, **how)])
    return tokenizer


def dropping() -> Tokenizer:
    made = json.loads(byte_level().to_str())
    made["model"]["dropout"] = 0.1
    return Tokenizer.from_str(json.dumps(made))


@pytest.mark.parametrize(
    "tokenizer",
    [
        changed(pre_tokenizer=pre_tokenizers.Split(Regex("the fox|."), "isolated")),
        changed(pre_tokenizer=pre_tokenizers.UnicodeScripts()),
        changed(pre_tokenizer=None),  # no marks, and letters before spaces
        changed(normalizer=normalizers.Strip()),
        changed(normalizer=normalizers.Replace("e f", "x")),
        changed(normalizer=normalizers.Replace(Regex("e f"), "x")),
        merged("e▁"),
        with_added("fox the"),
        with_added(" fox", single_word=True),
        with_added("fox", rstrip=True),
        with_added("fox", lstrip=True),
        dropping(),
    ],
    ids=str,
)
def test_what_cannot_be_shown_is_not_cut(tokenizer: Tokenizer) -> None:
    assert cutter_of(tokenizer) is None


def test_a_cut_that_changes_a_token_is_not_made() -> None:
    cutter = cutter_of(BPE)
    assert cutter is not None
    object.__setattr__(cutter, "rest", merged("e▁", "e▁f"))  # as if the argument had missed something
    assert cutter.cut("see fox the fox " * 9, 20) == ["see fox the fox " * 9]


def test_offsets_that_cannot_be_are_told_with_their_place_in_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer, text = word_piece(), "the fox " * 10

    def wrong(text: str, offsets: np.ndarray, names: list[str]) -> None:
        raise InputError(f"{len(names)} tokens of {len(text)} characters", "Expected others", "Mend it")

    monkeypatch.setattr(tokens, "_check_offsets", wrong)
    monkeypatch.setattr(tokens, "_PORTION", 12)
    with pytest.raises(InputError, match=f"of {len(text)} characters"):
        SentenceTokenizer(tokenizer, None)([text])
