"""Marian's tokenizer as one fast tokenizer, against the slow one of transformers that holds its two models."""

import json
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from ffmem import IndexOptions, InputError, RunOptions, build_index, load_model
from ffmem.models.loading.marian_tokenizer import from_marian
from ffmem.models.samples import TEXTS
from ffmem.models.vocabulary import UNREACHABLE
from tests.conftest import tiny_model
from tests.models.loading.test_tokenizers import pieces
from tests.models.test_registry import change_config


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


def test_a_text_comes_back_from_its_ids(marian: Path) -> None:
    tokenizer = from_marian(marian, marian)
    for text in ("the old village", "Soldiers, teachers and musicians!", "silver engines"):
        ids = tokenizer(text).input_ids
        assert ids[-1] == tokenizer.eos_token_id and tokenizer.decode(ids[:-1]) == text


def test_a_word_of_the_target_alone_is_spelled_and_not_taken_whole(marian: Path) -> None:
    """The vocabulary is of both languages; a source text may use what the source model may choose."""
    tokenizer = from_marian(marian, marian)
    vocabulary = json.loads((marian / "vocab.json").read_text())
    assert vocabulary["▁Haus"] not in tokenizer("Haus").input_ids
    assert tokenizer.convert_ids_to_tokens(vocabulary["▁Haus"]) == UNREACHABLE + "▁Haus"
    assert {tokenizer.convert_ids_to_tokens(number) for number in (0, 1)} == {"</s>", "<unk>"}


@pytest.mark.parametrize("kind", ["bpe", "bytes", "a gap"])
def test_what_is_no_unigram_model_with_a_whole_vocabulary_is_refused(kind: str, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"model_type": "bpe" if kind == "bpe" else "unigram"}
    if kind == "bytes":
        settings |= {"byte_fallback": True, "n_pieces": 380}
    pieces(tmp_path / "source.spm", **settings)
    vocabulary = {"</s>": 0, "<unk>": 1, "▁the": 2 if kind != "a gap" else 3, "<pad>": 3 if kind != "a gap" else 4}
    (tmp_path / "vocab.json").write_text(json.dumps(vocabulary))
    with pytest.raises(InputError, match=r"is not a unigram model with a vocabulary that counts from 0.*OPUS-MT"):
        from_marian(tmp_path, tmp_path)
