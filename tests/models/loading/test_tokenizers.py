"""Tokenizers without a tokenizer.json are held to the program they come from; tokens without a row are refused."""

import base64
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from ffmem import IndexOptions, InputError, RunOptions, build_index, load_model
from ffmem.models.samples import TEXTS
from tests.conftest import TEXT

Folder = Callable[[str], Path]


@pytest.fixture
def copy(tiny_folder: Folder, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_folder("llama"), tmp_path / "llama"))


def without_tokenizer(folder: Path) -> Path:
    for file in folder.glob("tokenizer*"):
        file.unlink()
    return folder


def pieces(file: Path, n_pieces: int = 120, **more: Any) -> None:
    """Train a model of SentencePiece."""
    import sentencepiece

    lines = [line for line in (TEXT * 3).replace("!", "!\n").splitlines() if line.strip()]
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_prefix=str(file.with_suffix("")), vocab_size=n_pieces, minloglevel=2,
        hard_vocab_limit=False, **more,
    )  # fmt: skip
    (file.with_suffix(".model")).rename(file)
    file.with_suffix(".vocab").unlink()


# SentencePiece


def test_sentencepiece_alone(copy: Path) -> None:
    import sentencepiece

    without_tokenizer(copy)
    settings = {"model_type": "bpe", "byte_fallback": True, "n_pieces": 380, "normalization_rule_name": "identity"}
    pieces(copy / "tokenizer.model", **settings, remove_extra_whitespaces=False)
    model = load_model(copy)
    processor = sentencepiece.SentencePieceProcessor()
    processor.load(str(copy / "tokenizer.model"))
    for text in TEXTS:
        assert model.tokenizer(text, add_special_tokens=False).input_ids == processor.encode(text), text


def test_sentencepiece_of_t5(tiny_folder: Folder, tmp_path: Path) -> None:
    import sentencepiece

    folder = without_tokenizer(Path(shutil.copytree(tiny_folder("t5"), tmp_path / "t5")))
    pieces(folder / "spiece.model", model_type="unigram", pad_id=0, eos_id=1, unk_id=2, bos_id=-1)
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "T5Tokenizer", "extra_ids": 0}))
    model = load_model(folder)
    processor = sentencepiece.SentencePieceProcessor()
    processor.load(str(folder / "spiece.model"))
    for text in TEXTS:
        assert model.tokenizer(text).input_ids == [*processor.encode(text), 1], text


def test_a_model_of_sentencepiece_that_cannot_be_proved(copy: Path) -> None:
    without_tokenizer(copy)
    (copy / "tokenizer.model").write_bytes(b"no model")
    with pytest.raises(InputError, match=r"tokenizer of .*(cannot be read|is not a SentencePiece model)"):
        load_model(copy)


def test_without_sentencepiece(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    without_tokenizer(copy)
    (copy / "tokenizer.model").write_bytes(b"x")
    monkeypatch.setitem(sys.modules, "sentencepiece", None)
    with pytest.raises(InputError, match=r"its tokenizer in tokenizer\.model alone.*pip install -e '\.\[tokenizers\]'"):
        load_model(copy)


# Others


def test_byte_level_without_a_tokenizer_json(tiny_folder: Folder, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_folder("gpt2"), tmp_path / "gpt2"))
    before = load_model(folder).tokenizer
    found = json.loads((folder / "tokenizer.json").read_text())["model"]
    without_tokenizer(folder)
    (folder / "vocab.json").write_text(json.dumps(found["vocab"]))
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in found["merges"]]
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "GPT2Tokenizer", "unk_token": "<s>"}))
    after = load_model(folder).tokenizer
    for text in TEXTS:
        assert after(text, add_special_tokens=False).input_ids == before(text, add_special_tokens=False).input_ids


@pytest.mark.parametrize("lower", [True, False])
def test_words_without_a_tokenizer_json(lower: bool, tiny_folder: Folder, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_folder("bert"), tmp_path / "bert"))
    vocabulary = load_model(folder).tokenizer.get_vocab()
    without_tokenizer(folder)
    (folder / "vocab.txt").write_text("\n".join(sorted(vocabulary, key=vocabulary.__getitem__)) + "\n")
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "BertTokenizer", "do_lower_case": lower})
    )
    model = load_model(folder)
    ids = model.tokenizer("The lazy dog").input_ids
    assert ids[0] == vocabulary["[CLS]"] and ids[-1] == vocabulary["[SEP]"]
    assert (vocabulary["the"] in ids) == lower


def test_tekken_alone(copy: Path) -> None:
    import tiktoken

    without_tokenizer(copy)
    words = [bytes([number]) for number in range(256)] + [b"th", b"the", b" the", b"er", b"in", b"an", b"on"]
    special = [
        {"rank": n, "token_str": text, "is_control": True} for n, text in enumerate(("<unk>", "<s>", "</s>", "<pad>"))
    ]
    pattern = r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    config = {"pattern": pattern, "num_vocab_tokens": len(words), "default_vocab_size": len(words) + 4,
              "default_num_special_tokens": 4, "version": "v3"}  # fmt: skip
    vocab = [
        {"rank": n, "token_bytes": base64.b64encode(word).decode(), "token_str": None} for n, word in enumerate(words)
    ]
    (copy / "tekken.json").write_text(json.dumps({"config": config, "vocab": vocab, "special_tokens": special}))
    expected = tiktoken.Encoding(
        "t", pat_str=pattern, mergeable_ranks={w: n for n, w in enumerate(words)}, special_tokens={}
    )
    model = load_model(copy)
    for text in TEXTS:
        assert model.tokenizer(text, add_special_tokens=False).input_ids == [4 + n for n in expected.encode(text)]


# Sizes


def test_a_token_beyond_the_embedding_is_refused_when_a_text_has_it(copy: Path, tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(copy)
    n_rows = len(tokenizer)
    tokenizer.add_tokens(["zebrafish"])
    tokenizer.save_pretrained(copy)
    options, run = IndexOptions(top=2, promoted=3, holdout=0), RunOptions(workers=0)
    (tmp_path / "a.txt").write_text("the lazy dog. The old village and the silver engines.")
    build_index(copy, tmp_path / "a.txt", tmp_path / "well", options=options, run=run)
    (tmp_path / "b.txt").write_text("the lazy dog. The old zebrafish and the silver engines.")
    with pytest.raises(InputError) as raised:
        build_index(copy, tmp_path / "b.txt", tmp_path / "index", options=options, run=run)
    assert raised.value.got == (
        f"the token 'zebrafish' of the text has the id {n_rows:,}, and the embedding of llama {n_rows:,} rows "
        f"(its tokenizer knows {n_rows + 1:,} tokens)"
    )
    model = load_model(copy)
    with pytest.raises(InputError, match="zebrafish"):
        model.forward(torch.tensor([model.tokenizer("a zebrafish").input_ids]))


def test_the_tokenizer_of_another_model(copy: Path) -> None:
    config = LlamaConfig(
        vocab_size=50, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2
    )
    LlamaForCausalLM(config).save_pretrained(copy)
    with pytest.raises(InputError, match=r"the tokenizer of llama has \d+ tokens, .* and the embedding 50 rows"):
        load_model(copy)
