"""Text for edits and text to hold them against."""

from collections.abc import Callable
from pathlib import Path

import pytest

from ffmem import InputError, load_model
from ffmem.analyses.editing.text import windows
from ffmem.corpus.documents import Document


def test_documents_take_turns_and_stretches_are_the_documents_own_tokens(
    tiny_folder: Callable[[str], Path], editing_documents: list[Document]
) -> None:
    model = load_model(tiny_folder("llama"))
    own = windows(model, editing_documents, "own", n_tokens=200, length=16)
    held_out = windows(model, editing_documents, "held-out", n_tokens=200, length=16)
    assert {one.document % 2 for one in own} == {0}
    assert {one.document % 2 for one in held_out} == {1}
    for some in (own, held_out):
        assert 199 <= sum(len(one.ids) - one.first for one in some) <= 200
        assert len({one.document for one in some}) >= 12 - 1
        for one in some:
            assert one.ids[: one.first] == model.special_tokens("auto")[0]
            told = model.tokenizer.decode(one.ids[one.first :])
            assert told in editing_documents[one.document].text


def test_documents_go_on_where_there_are_few(tiny_folder: Callable[[str], Path]) -> None:
    model = load_model(tiny_folder("gpt2"))
    documents = [Document("a", "one"), Document("b", "the silver river of the winter village " * 20)]
    found = windows(model, documents, "held-out", n_tokens=60, length=16)
    joined = [one for window in found for one in window.ids]
    assert joined == model.tokenizer(documents[1].text).input_ids[: len(joined)]
    assert len(joined) == 60


@pytest.mark.parametrize(
    "documents", [[], [Document("a", "the silver river")], [Document("a", "x"), Document("b", " ")]]
)
def test_too_little_text_is_refused(documents: list[Document], tiny_folder: Callable[[str], Path]) -> None:
    model = load_model(tiny_folder("gpt2"))
    with pytest.raises(InputError, match="the corpus has no text for what is measured"):
        windows(model, documents, "held-out", n_tokens=60, length=16)
