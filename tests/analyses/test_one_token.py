"""A token is found by its text, by the tokenizer's own spelling and by its id, for every kind of tokenizer; nothing else is."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

import ffmem
from ffmem import Index, InputError
from ffmem.analyses.explain import explain
from ffmem.analyses.one_token import one_token
from ffmem.models.vocabulary import display, token_bytes
from ffmem.queries.names import token_id
from ffmem.queries.question import choose_token
from tests.conftest import TEXT, byte_level_tokenizer, word_piece_tokenizer

BYTES = [f"<0x{byte:02X}>" for byte in range(256)]


def sentence_piece_tokenizer() -> Any:
    """As of Llama 2: blanks are ▁, one is put before the text, and what is not known falls apart into bytes."""
    words = ["<unk>", "<s>", "</s>", *BYTES, "▁", "▁the", "the", "▁t", "A", "▁A", "▁Paris", "ing"]
    pieces = {piece: number for number, piece in enumerate([*words, *"thePrisng"])}
    merges = [("t", "h"), ("th", "e"), ("▁", "the"), ("▁", "t"), ("▁", "A")]
    pieces |= {"th": len(pieces)}
    tokenizer = Tokenizer(models.BPE(pieces, merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>", eos_token="</s>")


def suffix_tokenizer() -> Any:
    """As of GPT-1: a word's last piece ends with </w>."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.decoder = decoders.BPEDecoder(suffix="</w>")
    trainer = trainers.BpeTrainer(
        special_tokens=["<unk>"], end_of_word_suffix="</w>", vocab_size=200, show_progress=False
    )
    tokenizer.train_from_iterator([TEXT], trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>")


def word_tokenizer() -> Any:
    tokenizer = Tokenizer(models.WordLevel({"<unk>": 0, "the": 1, "train": 2}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>")


KINDS: dict[str, Callable[[], Any]] = {
    "bytes": lambda: byte_level_tokenizer(True),
    "word pieces": word_piece_tokenizer,
    "sentence pieces": sentence_piece_tokenizer,
    "suffixes": suffix_tokenizer,
    "words": word_tokenizer,
}


def model_of(kind: str) -> Any:
    """All of a model that names of tokens ask for."""
    tokenizer = KINDS[kind]()
    return SimpleNamespace(tokenizer=tokenizer, vocabulary=token_bytes(tokenizer))


@pytest.mark.parametrize("kind", KINDS)
def test_every_token_is_found_by_its_id_and_as_the_tokenizer_writes_it(kind: str) -> None:
    model = model_of(kind)
    texts = [display(token) for token in model.vocabulary]
    for number, piece in enumerate(model.tokenizer.convert_ids_to_tokens(list(range(len(texts))))):
        assert one_token(model, f"id:{number}") == number
        found = one_token(model, piece)
        # a spelling that is another token's text is that text: "Ã" is a letter before it is a byte
        assert (
            found == number
            or model.tokenizer(piece, add_special_tokens=False).input_ids == [found]
            or texts[found] == piece
        )


@pytest.mark.parametrize("kind", KINDS)
def test_a_text_that_is_no_token_is_refused(kind: str) -> None:
    model = model_of(kind)
    for text in ("", "two words of it", "韓国", "☃", "id:99999999", "▁no-such", "Ġno-such", "##no-such", "\udcff"):
        with pytest.raises(
            InputError, match="exactly one token of the vocabulary, as text or as the tokenizer writes it"
        ):
            one_token(model, text)


@pytest.mark.parametrize(
    ("kind", "text", "piece"),
    [
        ("sentence pieces", "▁the", "▁the"),
        ("sentence pieces", " the", "▁the"),
        ("sentence pieces", "the", "▁the"),
        ("sentence pieces", "ing", "ing"),
        ("sentence pieces", "<0x0A>", "<0x0A>"),
        ("sentence pieces", "\n", "<0x0A>"),
        ("sentence pieces", "<0x41>", "<0x41>"),
        ("sentence pieces", "</s>", "</s>"),
        ("bytes", "Ġthe", "Ġthe"),
        ("bytes", " the", "Ġthe"),
        ("word pieces", "##e", "##e"),
        ("word pieces", "THE", "the"),
        ("suffixes", "the</w>", "the</w>"),
        ("words", " train", "train"),
        ("words", "<unk>", "<unk>"),
    ],
)
def test_names_of_tokens(kind: str, text: str, piece: str) -> None:
    model = model_of(kind)
    assert one_token(model, text) == model.tokenizer.convert_tokens_to_ids(piece)


@pytest.mark.parametrize(
    ("kind", "text", "advice"),
    [
        ("bytes", "▁the", "Write ' the'"),
        ("words", "▁train", "Write 'train'"),
        ("words", "Ġtrain", "Write 'train'"),
        ("words", "##train", "Write 'train'"),
        ("words", "train</w>", "Write 'train'"),
        ("words", "railway", "turns it into the unknown token, '<unk>'.*Mind the space before a word"),
        ("bytes", " the the", "Mind the space before a word.*its first token alone is id:"),
    ],
)
def test_advice_names_a_token_that_there_is(kind: str, text: str, advice: str) -> None:
    with pytest.raises(InputError, match=advice):
        one_token(model_of(kind), text)


def test_verbs_take_tokens_as_the_tokenizer_writes_them(
    tiny_folder: Callable[[str], Any], index_of: Callable[[str], Index]
) -> None:
    model = ffmem.load_model(tiny_folder("gpt2"))
    assert explain(model, "the quick fox", target="Ġthe").target == " the"
    assert explain(model, "the quick fox", target=" the", against="id:9").against == display(model.vocabulary[9])
    index = index_of("gpt2")
    assert token_id(index, "Ġthe") == token_id(index, " the")
    assert choose_token(index, "Ġthe").token == "Ġthe"
    with pytest.raises(InputError, match="Write ' the'"):
        token_id(index, "▁the")
    pieces = index_of("bert")
    assert pieces.text.token_strings([token_id(pieces, "##e")]) == ("##e",)
