"""The texts that are read, and how often tokens are in the corpus."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ffmem import InputError, load_model
from ffmem.corpus.registry import open_corpus
from ffmem.studies.kobayashi2020.texts import draw_texts, frequency_ranks
from tests.studies.kobayashi2020.conftest import SMALL


def test_frequency_ranks_count_the_corpus() -> None:
    assert frequency_ranks(np.array([5, 0, 9, 5, 0])).tolist() == [2, 4, 1, 3, 4]


def test_texts_are_pieces_of_documents(tiny_folder: Callable[[str], Path], corpus: Path) -> None:
    model, opened = load_model(tiny_folder("bert")), open_corpus(str(corpus))
    stages: list[str] = []
    texts = draw_texts(model, opened, SMALL, lambda what, _done, _all: stages.append(what))
    assert set(stages) == {"counting tokens"} and len(texts.ids) == len(texts.documents) == 12
    (before,), (after,) = model.special_tokens("auto")
    tokens = [model.tokenizer(document.text, add_special_tokens=False).input_ids for document in opened]
    for ids, document in zip(texts.ids, texts.documents, strict=True):
        assert len(ids) == 24 and (ids[0], ids[-1]) == (before, after)
        starts = range(0, len(tokens[document]), 22)
        assert ids[1:-1] in [tokens[document][start : start + 22] for start in starts]
    counted = Counter(token for ids in tokens[: len(stages)] for token in ids)
    assert {int(token): int(texts.counts[token]) for token in texts.counts.nonzero()[0]} == counted


def test_too_little_text(tiny_folder: Callable[[str], Path], tmp_path: Path) -> None:
    model = load_model(tiny_folder("bert"))
    (tmp_path / "short.txt").write_text("the fox\n")
    with pytest.raises(InputError, match=r"short.txt has [0-9]+ tokens: 1 texts of two tokens or more"):
        draw_texts(model, open_corpus(str(tmp_path / "short.txt")), SMALL, lambda *_: None)
