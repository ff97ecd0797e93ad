"""Other text that is held out: which, and in the tokens of the model."""

from collections.abc import Callable
from pathlib import Path

import pytest

from ffmem import Index, InputError, load_model
from ffmem.corpus.registry import open_corpus
from ffmem.studies.held_out import held_out_corpus, text_of
from ffmem.studies.study import Subject


def test_a_corpus_that_is_given_goes_before_one_that_is_named(index_of: Callable[[str], Index], tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a.txt", "b.txt")]
    for path in paths:
        path.write_text(f"This is {path.name}.\n")
    given, named = (open_corpus(str(path)) for path in paths)

    def subject(*corpora: object) -> Subject:
        return Subject(lambda: pytest.fail("no model is needed"), tmp_path, index_of("gpt2"), corpora)  # type: ignore[arg-type]

    assert held_out_corpus("s", subject(), None) is None
    assert held_out_corpus("s", subject(given), str(paths[1])) is given
    found = held_out_corpus("s", subject(), str(paths[1]))
    assert found is not None and found.identity() == named.identity()
    with pytest.raises(InputError, match="the study s is given 2 corpora"):
        held_out_corpus("s", subject(given, named), None)


def test_its_text_is_kept_in_the_tokens_of_the_model(
    index_of: Callable[[str], Index], tiny_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    (tmp_path / "a.txt").write_text("The old river. The market.\n\nA teacher and a letter.\n")
    model = load_model(tiny_folder("gpt2"))
    corpus = open_corpus(str(tmp_path / "a.txt"))
    corpus.settle(tmp_path, None)
    text = text_of(corpus, model, index_of("gpt2").manifest.options, tmp_path)
    sentences = [text.sentence(number) for number in range(text.n_all_sentences)]
    assert [one.text for one in sentences] == ["The old river.", "The market.", "A teacher and a letter."]
    assert [one.document_id for one in sentences] == [0, 0, 1]
    own = model.tokenizer("The market.", add_special_tokens=False)["input_ids"]
    assert sentences[1].token_ids.tolist() == own
    (tmp_path / "a.txt").write_text("Another.\n")  # what is there is read, not made again
    assert text_of(corpus, model, index_of("gpt2").manifest.options, tmp_path).n_all_sentences == 3
