"""What is kept of pairs that are run together, against the model's plain call on each alone."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from ffmem import ModelError, load_model
from ffmem.analyses.alignment.extract import cross_maps, tokens_of
from ffmem.analyses.alignment.pairs import Pair
from ffmem.analyses.translation.probe import Head
from ffmem.analyses.translation.states import SeenPair, encoder_norm, see
from ffmem.analyses.translation.taught import TaughtPair, teach
from ffmem.models.transformer import Transformer
from tests.architectures.making import ARCHITECTURES, made, save
from tests.fixtures.shared import MakeOnce
from tests.studies.alignment.copying import copy_model

PAIRS = [
    Pair(("the", "quick", "brown", "fox"), ("winter", "letters")),
    Pair(("stones",), ("the", "old", "village", "waits")),
    Pair(("rivers", "and", "windows"), ("lazy", "dog")),
]


def taught(model: Transformer) -> list[TaughtPair]:
    return [found for pair in PAIRS if (found := teach(model, pair)) is not None]


def check(model: Transformer) -> list[SeenPair]:
    """Every state and map, and the logits of the last state, alone and without padding."""
    pairs, head = taught(model), Head(model)
    found = see(model, pairs)
    assert len(found) == len(PAIRS)
    for pair, words, one in zip(pairs, PAIRS, found, strict=True):
        source, given = torch.tensor([pair.source_ids]), torch.tensor([pair.given_ids])
        with torch.no_grad():
            own = model.module(source, decoder_input_ids=given, output_hidden_states=True)
            scores = head.scores(head.normed(one.target[-1]))
        rows = slice(pair.first_row, pair.first_row + len(pair.target_ids))
        assert one.targets.tolist() == list(pair.target_ids)
        assert torch.allclose(scores, own.logits[0, rows], atol=1e-4)
        assert torch.allclose(one.source[-1], own.encoder_last_hidden_state[0], atol=1e-4)
        assert torch.allclose(one.target[0], own.decoder_hidden_states[0][0, rows], atol=1e-4)
        assert len(one.source) == len(own.encoder_hidden_states) and len(one.target) == len(own.decoder_hidden_states)
        if pair.first_row == 0:  # `align` knows no first token of a language
            maps = cross_maps(model, tokens_of(model, words, 1))
            weights = maps.weights.reshape(-1, *maps.weights.shape[2:])[:, rows]
            assert np.allclose(one.weights, weights, atol=1e-5)
            assert np.allclose(one.norms, maps.layer_norms[:, rows], rtol=1e-3, atol=1e-4)
    return found


@pytest.mark.parametrize("variant", ["marian", "t5_gated", "t5_scaled"])
def test_states_are_those_of_each_pair_alone(variant: str, tiny_folder: Callable[[str], Path]) -> None:
    check(load_model(tiny_folder(variant)))


@pytest.mark.parametrize("name", ["bart", "m2m100"])
def test_models_that_are_found_by_structure_are_read_too(name: str, make_once: MakeOnce) -> None:
    folder = make_once(f"taught/{name}", lambda path: save(ARCHITECTURES[name], made(ARCHITECTURES[name]), path))
    check(load_model(folder))


def test_own_tokens_are_those_without_what_stands_around_them() -> None:
    model = copy_model(0)
    pair = teach(model, Pair(("one", "two"), ("one",)))
    assert pair is not None
    (found,) = see(model, [pair])
    assert found.own == slice(0, 2) and found.source.shape[1] == 3 and see(model, []) == []


def test_an_encoder_that_does_more_to_its_last_state_is_refused() -> None:
    model = copy_model(0)
    pair = teach(model, Pair(("one",), ("one",)))
    assert pair is not None
    assert torch.equal(encoder_norm(model, pair)(torch.ones(2, 3)), torch.ones(2, 3))
    encoder = model.module.model.encoder
    plain = encoder.forward

    def doubled(*arguments: object, **named: object) -> object:
        output = plain(*arguments, **named)
        output.last_hidden_state = output.last_hidden_state * 2
        return output

    encoder.forward = doubled
    with pytest.raises(ModelError, match="is not the encoder's last state"):
        encoder_norm(model, pair)
