"""From tokens to words, for tokenizers with and without marks at the beginning of words."""

from collections.abc import Callable

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from ffmem.analyses.alignment.words import NO_WORD, columns_of, merge, merge_vectors, rows_of, text_of, word_of_tokens
from ffmem.errors import InputError
from tests.fixtures.tokenizers import word_pieces

SENTENCES = [
    "we do not believe that we should cherry-pick .",
    "the naïve café , (1,234.5) “quoted” !",
    "believe",
    ". . !",
    "日本語 😀 ▁ we",
]


def metaspace(scheme: str) -> Tokenizer:
    """As SentencePiece, with a marker before the first word ("always") or without ("never": add_dummy_prefix=0)."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme)
    return trained(tokenizer, trainers.BpeTrainer(vocab_size=50, special_tokens=["<unk>"], show_progress=False))


def byte_level(trim: bool, prefix: bool) -> Tokenizer:
    from tokenizers import processors

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix)
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=trim)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    return trained(tokenizer, trainers.BpeTrainer(vocab_size=270, initial_alphabet=alphabet, show_progress=False))


def word_piece() -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.model = models.WordPiece(word_pieces(tokenizer, SENTENCES[:2], 50, ["[UNK]"]), unk_token="[UNK]")
    return tokenizer


def word_level_marks() -> Tokenizer:
    """Cuts marks off, says nothing about spaces."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", continuing_subword_prefix="##"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer = trainers.BpeTrainer(
        vocab_size=50, special_tokens=["<unk>"], continuing_subword_prefix="##", show_progress=False
    )
    return trained(tokenizer, trainer)


def trained(tokenizer: Tokenizer, trainer: object) -> Tokenizer:
    tokenizer.train_from_iterator(SENTENCES[:2], trainer)
    return tokenizer


TOKENIZERS: dict[str, Callable[[], Tokenizer]] = {
    "SentencePiece": lambda: metaspace("always"),
    "SentencePiece without dummy prefix": lambda: metaspace("never"),
    "byte-level": lambda: byte_level(True, False),
    "byte-level, offsets with the space": lambda: byte_level(False, False),
    "byte-level with a space before": lambda: byte_level(True, True),
    "WordPiece": word_piece,
    "words and marks": word_level_marks,
}


@pytest.mark.parametrize("name", TOKENIZERS)
def test_tokens_find_their_words(name: str) -> None:
    """Against what the first k words alone give: the tokens of word k are those that it adds."""
    tokenizer = TOKENIZERS[name]()
    for sentence in SENTENCES:
        words = sentence.split()
        encoded = tokenizer.encode(text_of(words))
        expected: list[int] = []
        for k in range(len(words)):
            expected += [k] * (len(tokenizer.encode(text_of(words[: k + 1])).ids) - len(expected))
        assert word_of_tokens(words, encoded.offsets).tolist() == expected
    assert len(tokenizer.encode(SENTENCES[0]).ids) > len(SENTENCES[0].split())  # the test can fail


def test_a_token_over_two_words_is_refused() -> None:
    assert word_of_tokens(["new", "york"], [(0, 4), (3, 8), (3, 4), (0, 0), (8, 8)]).tolist() == [0, 1, 1, 0, 1]
    with pytest.raises(InputError, match="one token for 'new york', which is more than one word"):
        word_of_tokens(["new", "york"], [(0, 8)])


def test_check_14_sums_over_source_and_means_over_target_tokens() -> None:
    rng = np.random.default_rng(0)
    source, target = np.array([0, 0, 1, 2, 2, 2, NO_WORD]), np.array([0, 1, 1, 2])
    weights = rng.dirichlet(np.ones(7), size=(3, 4))  # heads, target tokens, source tokens
    columns, rows = columns_of(source, 3), rows_of(target, 3)
    merged = merge(weights, rows, columns)
    for head in range(3):  # one by one
        for word in range(3):
            for column in range(4):
                tokens = np.flatnonzero(source == column) if column < 3 else [6]
                sums = [sum(weights[head, row, token] for token in tokens) for row in np.flatnonzero(target == word)]
                assert merged[head, word, column] == pytest.approx(np.mean(sums))
    assert np.allclose(merged.sum(-1), 1.0)  # the rows of weights keep their sum

    vectors = rng.normal(size=(3, 7, 5))
    norms = np.linalg.norm(np.einsum("hij,hjd->ijd", weights, vectors), axis=-1)
    of_norms, of_vectors = merge(norms, rows, columns), merge_vectors(weights, vectors, rows, columns)
    assert (of_vectors <= of_norms + 1e-12).all() and (of_vectors < of_norms - 1e-3).any()  # the triangle inequality
    assert np.allclose(of_vectors[:, [1, 3]], of_norms[:, [1, 3]])  # words of one token: no difference
    assert not np.allclose(merge(norms, rows, columns).sum(-1), rows @ np.linalg.norm(
        np.einsum("hij,hjd->id", weights, vectors), axis=-1))  # fmt: skip
