"""Changed triggers against one pass of each changed prefix alone; and a model without attention, where the result is known."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import ffmem
from ffmem import Index, InputError
from ffmem.analyses.modifications import EDITS, Edit, Modifications, modify, sample_units, words_of
from ffmem.models.tracing import trace
from ffmem.models.transformer import Transformer


def coefficient(model: Transformer, ids: list[int], layer: int, row: int) -> float:
    """At the end of a sequence, by a pass of it alone."""
    before, _ = model.special_tokens("auto")
    return float(trace(model, torch.tensor([[*before, *ids]]))[layer].coefficients[0, -1, row])


def made(found: Modifications, edit: Edit) -> np.ndarray:
    """The changes of the triggers that are long enough for an edit."""
    change = found.change[:, EDITS.index(edit)]
    return change[~np.isnan(change)]


@pytest.mark.parametrize("family", ["llama", "opt", "wikilm"])
def test_equals_changing_each_trigger_by_hand(
    family: str, index_of: Callable[[str], Index], tiny_folder: Callable[[str], Path]
) -> None:
    index, model = index_of(family), ffmem.load_model(tiny_folder(family))
    for layer in range(index.n_layers):
        units = sample_units(index, layer, 4, 3, seed=1)
        found = modify(index, model, layer, units, bos="auto")
        assert found.largest_error < 1e-4
        expected: dict[str, list[float]] = {edit: [] for edit in EDITS}
        n = 0
        for unit in units:
            triggers = [one for one in index.cell(unit.cell).triggers if one.sign == (-1 if unit.axis else 1)]
            for trigger in triggers[:3]:
                n += 1
                sentence = index.text.sentence(trigger.sentence_id)
                ids = sentence.token_ids[: trigger.position + 1].tolist()
                words = words_of(sentence)[: trigger.position + 1]
                changed = {}
                if len(ids) > 1:
                    changed = {"first": ids[1:], "last": ids[:-1]}
                if len(set(words)) > 1:
                    changed["first word"] = [one for one, word in zip(ids, words, strict=True) if word != words[0]]
                    changed["last word"] = [one for one, word in zip(ids, words, strict=True) if word != words[-1]]
                for edit, sequence in changed.items():
                    m = coefficient(model, sequence, layer, unit.row)
                    expected[edit].append(m / trigger.coefficient - 1)
        assert len(found.change) == len(found.unit) == n
        documents = [
            index.text.sentence(one.sentence_id).document_id
            for unit in units
            for one in [of for of in index.cell(unit.cell).triggers if of.sign == (-1 if unit.axis else 1)][:3]
        ]
        assert found.document.tolist() == documents
        for edit in ("first", "last", "first word", "last word"):
            assert made(found, edit) == pytest.approx(np.array(expected[edit]), abs=1e-3), edit
        for edit in ("random", "random word", "shuffled"):
            assert 0 < len(made(found, edit)) <= n


def without_attention(model: Transformer) -> Transformer:
    """A state then depends on its own token and position only."""
    for name, parameter in model.module.named_parameters():
        if "attention.output" in name:
            torch.nn.init.zeros_(parameter)
    return model


def test_where_nothing_is_read_but_the_last_token(
    tiny_folder: Callable[[str], Path], corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without attention and positions, what stands before the last token has no part in a coefficient."""
    model = without_attention(ffmem.load_model(tiny_folder("wikilm")))
    monkeypatch.setattr("ffmem.models.wikilm.sinusoids", lambda positions, d: torch.zeros(*positions.shape, d))
    folder = tmp_path / "model"
    model.module.save_pretrained(folder)
    model.tokenizer.save_pretrained(folder)
    options = ffmem.IndexOptions(top=5, holdout=0)
    index = ffmem.build_index(folder, corpus, tmp_path / "i", options=options, run=ffmem.RunOptions(workers=0))
    found: Modifications = modify(index, model, 1, sample_units(index, 1, 20, 5), bos="auto")
    edits: tuple[Edit, ...] = ("first", "random", "first word", "random word", "shuffled")
    for edit in edits:
        some = made(found, edit)
        if edit in ("random", "random word"):  # of two tokens the last may be the random one
            assert (np.abs(some) < 1e-4).mean() > 0.8
        else:
            assert len(some) > 20 and np.abs(some).max() < 1e-4, edit
    last = made(found, "last")
    assert last.min() >= -1 and (last < -0.01).mean() > 0.9  # ReLU: never below -100 %


def test_units_and_edits_are_drawn_by_the_seed(
    index_of: Callable[[str], Index], tiny_folder: Callable[[str], Path]
) -> None:
    index, model = index_of("llama"), ffmem.load_model(tiny_folder("llama"))
    units = sample_units(index, 0, 6, 2, seed=0)
    assert units == sample_units(index, 0, 6, 2, seed=0) != sample_units(index, 0, 6, 2, seed=1)
    assert {unit.axis for unit in sample_units(index, 0, 10**6, 2)} == {0, 1}
    first, again, other = (modify(index, model, 0, units, bos="auto", seed=seed) for seed in (0, 0, 1))
    assert np.array_equal(first.change, again.change, equal_nan=True)
    assert not np.array_equal(first.change, other.change, equal_nan=True)


def test_words(index_of: Callable[[str], Index]) -> None:
    index = index_of("llama")
    for sentence_id in range(0, index.text.n_sentences, 37):
        sentence = index.text.sentence(sentence_id)
        words, strings = words_of(sentence), sentence.token_strings()
        joined = [
            "".join(s for s, w in zip(strings, words, strict=True) if w == n).strip() for n in range(max(words) + 1)
        ]
        assert joined == sentence.text.split()


def test_a_model_that_reads_both_ways_is_refused(
    index_of: Callable[[str], Index], tiny_folder: Callable[[str], Path]
) -> None:
    index, model = index_of("bert"), ffmem.load_model(tiny_folder("bert"))
    with pytest.raises(InputError, match="is not a causal language model"):
        modify(index, model, 0, sample_units(index, 0, 1, 1), bos="auto")
