"""Tokenizers without a tokenizer.json are held to the program they come from; tokens without a row are refused."""

import base64
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from ffmem import IndexOptions, InputError, ModelError, RunOptions, build_index, load_model
from ffmem.models.samples import TEXTS
from tests.conftest import TEXT, tiny_model
from tests.models.test_registry import change_config, change_weights

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


# Marian


@pytest.fixture
def marian(tmp_path: Path) -> Path:
    """A model as the hub has OPUS-MT: two models of pieces, and a vocabulary in an order of its own."""
    import sentencepiece

    folder = tmp_path / "opus"
    folder.mkdir()
    pieces(folder / "source.spm", model_type="unigram", n_pieces=130)
    pieces(folder / "target.spm", model_type="unigram", n_pieces=90, normalization_rule_name="nfkc")
    known = {}
    for name in ("source", "target"):
        processor = sentencepiece.SentencePieceProcessor()
        processor.load(str(folder / f"{name}.spm"))
        known[name] = [processor.id_to_piece(number) for number in range(len(processor))]
    ordered = [
        "</s>",
        "<unk>",
        *sorted({*known["source"], *known["target"], "▁Haus", "xx"} - {"<s>", "</s>", "<unk>"}, reverse=True),
    ]
    missing = next(piece for piece in reversed(known["source"]) if len(piece) == 1 and piece in "😀語")
    ordered.remove(missing)
    ordered += [">>fra<<", "<pad>"]
    (folder / "vocab.json").write_text(json.dumps({token: number for number, token in enumerate(ordered)}))
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "MarianTokenizer", "source_lang": "en"})
    )
    module: Any = tiny_model("marian", len(ordered))
    module.save_pretrained(folder)
    change_config(folder, pad_token_id=len(ordered) - 1, decoder_start_token_id=len(ordered) - 1)
    (folder / "missing").write_text(missing)
    return folder


@pytest.mark.filterwarnings("ignore:Recommended. pip install sacremoses")  # until transformers does without
def test_marian_as_the_hub_has_it(marian: Path) -> None:
    slow = AutoTokenizer.from_pretrained(marian)
    assert type(slow).__name__ == "MarianTokenizer"
    model, missing = load_model(marian), (marian / "missing").read_text()
    texts = [
        *TEXTS,
        "naïve old village",
        "<unk> </s>",
        "Haus xx Haus",
        ">>fra<< the old village",
        ">>fra<<the",
        "the >>fra<< old",
        "  the   silver engines ",
    ]
    for text in texts:
        if missing not in text:
            assert model.tokenizer(text).input_ids == slow(text).input_ids, text
    names = [token.decode() for token in model.vocabulary]
    assert " Haus" in names and "xx" in names and not any("\ue000" in name for name in names)
    assert model.special_tokens("auto")[1] == (0,)
    offsets = model.tokenizer("the old village", return_offsets_mapping=True).offset_mapping
    assert "".join("the old village"[start:end] for start, end in offsets) == "the old village"


def test_a_piece_that_marian_has_no_id_for(marian: Path, tmp_path: Path) -> None:
    missing = (marian / "missing").read_text()
    (tmp_path / "a.txt").write_text(f"the old {missing} village. The silver engines.")
    options = IndexOptions(top=2, promoted=3, holdout=0)
    with pytest.raises(InputError, match=rf"the token '{missing}' of the text has the id") as raised:
        build_index(marian, tmp_path / "a.txt", tmp_path / "index", options=options, run=RunOptions(workers=0))
    assert "rows" in raised.value.got


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


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_row_of_the_unembedding_that_is_not_finite(value: float, copy: Path) -> None:
    change_weights(copy, lambda weights: weights["lm_head.weight"][17].fill_(value))
    with pytest.raises(
        ModelError, match=r"1 of \d+ rows of the unembedding of llama .* the first of them for token 17 \('"
    ):
        load_model(copy)


def test_rows_that_cancel_are_finite(copy: Path) -> None:
    change_weights(copy, lambda weights: weights["lm_head.weight"][17].copy_(torch.full((32,), 3e38)))
    assert load_file(copy / "model.safetensors")["lm_head.weight"][17].isfinite().all()
    load_model(copy)
