"""Tokenizers trained on a few lines."""

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from tests.fixtures.tokenizers import word_pieces

_LINES = ["the quick brown fox jumps over the lazy dog", "A soldier writes letters. The river is silver!"] * 3


def byte_level(add_prefix_space: bool = False) -> Tokenizer:
    """Byte-level BPE that has met ASCII only: every other character becomes one token a byte."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=add_prefix_space)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=300, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(_LINES, trainer)
    return tokenizer


def word_piece() -> Tokenizer:
    """Lower-casing WordPiece, which strips accents and knows no CJK."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.model = models.WordPiece(word_pieces(tokenizer, _LINES, 120, ["[UNK]"]), unk_token="[UNK]")
    return tokenizer


def token_bytes(tokenizer: Tokenizer) -> list[bytes]:
    """The bytes of each token of a byte-level vocabulary, by GPT-2's table of bytes that print."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    table = {chr(byte): byte for byte in printable} | {chr(256 + i): byte for i, byte in enumerate(others)}
    strings = [tokenizer.id_to_token(number) for number in range(tokenizer.get_vocab_size())]
    return [bytes(table[c] for c in string) for string in strings]
