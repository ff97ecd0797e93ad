"""A text read as an index reads its sentences: its special tokens and length, by its own model alone."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ffmem import Index, InputError, load_model
from ffmem.analyses.indexed import check_model, read_as_indexed
from ffmem.models.base import Batching
from ffmem.models.transformer import Transformer

TEXT = "the quick brown fox jumps over the lazy dog"


@pytest.fixture
def model(tiny_folder: Callable[[str], Path]) -> Transformer:
    return load_model(tiny_folder("llama"))


@pytest.fixture
def index(index_of: Callable[[str], Index]) -> Index:
    return index_of("llama")


def with_options(index: Index, monkeypatch: pytest.MonkeyPatch, **options: object) -> Index:
    """As if the index had been built with them."""
    manifest = replace(index.manifest, identity=replace(
        index.manifest.identity, options=replace(index.manifest.options, **options)))  # type: ignore[arg-type]  # fmt: skip
    monkeypatch.setattr(index, "manifest", manifest)
    return index


def test_a_sentence_is_read_as_it_stands_in_the_index(model: Transformer, index: Index) -> None:
    for sentence_id in (0, 7, 100):
        sentence = index.text.sentence(sentence_id)
        read = read_as_indexed(model, sentence.text, index, None)
        assert list(read.own.ids) == sentence.token_ids.tolist()
        assert list(read.token_ids) == model.tokenizer(sentence.text).input_ids


def test_special_tokens_are_the_indexs_unless_others_are_asked_for(
    model: Transformer, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [read_as_indexed(model, TEXT, None, bos).before for bos in (None, "auto", "yes", "no")] == [
        (0,),
        (0,),
        (0,),
        (),
    ]
    other = with_options(index, monkeypatch, bos="no")
    assert read_as_indexed(model, TEXT, other, None).before == ()
    assert read_as_indexed(model, TEXT, other, "yes").before == (0,)


def test_a_text_may_be_as_long_as_sentences_were(
    model: Transformer, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    n = len(read_as_indexed(model, TEXT, index, None).token_ids)
    fits = with_options(index, monkeypatch, max_length=n)
    assert len(read_as_indexed(model, TEXT, fits, None).token_ids) == n
    short = with_options(index, monkeypatch, max_length=n - 1)
    with pytest.raises(InputError, match=rf"the text has {n - 1} tokens\. Expected at most {n - 2}"):
        read_as_indexed(model, TEXT, short, None)


def test_another_model_is_refused(tiny_folder: Callable[[str], Path], index: Index, model: Transformer) -> None:
    other = load_model(tiny_folder("llama"))
    other.module.get_parameter("model.norm.weight").add_(1e-3)
    with pytest.raises(InputError) as raised:
        read_as_indexed(other, TEXT, index, None)
    assert raised.value.got == f"llama has other weights than the model that {index.folder} was built from"
    assert raised.value.mend == f"Give that model: {tiny_folder('llama')}"
    assert read_as_indexed(other, TEXT, None, None).token_ids  # of no index
    check_model(index, model)


def test_the_patches_of_an_indexs_model_are_named(
    index: Index, model: Transformer, tiny_folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    patched = with_options(index, monkeypatch, patch=("/a.patch", "/b.patch"))
    model.module.get_parameter("model.norm.weight").add_(1e-3)
    with pytest.raises(InputError) as raised:
        check_model(patched, model)
    assert raised.value.expected == f"Expected {index.manifest.identity.model.name} with 2 patches"
    assert raised.value.mend == f"Give that model: {tiny_folder('llama')} --patch /a.patch --patch /b.patch"


def test_the_model_runs_as_the_index_was_proved(
    model: Transformer, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its sentences may be longer than those that the model was tried on at load."""
    proof = index.manifest.certificate.proof
    assert proof is not None and model.batching.rows == "padded"
    certificate = replace(
        index.manifest.certificate, proof=replace(proof, batching=proof.batching | {"rows": "equal-length"})
    )
    monkeypatch.setattr(index, "manifest", replace(index.manifest, certificate=certificate))
    check_model(index, model)
    assert model.batching == Batching(causal=True, rows="equal-length")
