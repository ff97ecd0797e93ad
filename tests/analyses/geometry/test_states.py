"""Points against the model's own call on one sentence at a time."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import ffmem
from ffmem.analyses.geometry.states import KINDS, points_of


@pytest.mark.parametrize("family", ["gpt2", "t5"])
def test_points_are_means_of_what_the_plain_call_gives(family: str, tiny_folder: Callable[[str], Path]) -> None:
    model = ffmem.load_model(tiny_folder(family))
    rng = np.random.default_rng(0)
    sentences = [rng.integers(5, 60, length) for length in (7, 3, 12, 7)]
    done: list[int] = []
    found = points_of(model, sentences, "no", on_pass=done.append)
    assert done[-1] == 4 and set(found) == set(KINDS)
    for number, tokens in enumerate(sentences):
        ids = torch.from_numpy(tokens)[None]
        decoder = {}
        if family == "t5":
            begin = torch.tensor([[model.module.config.decoder_start_token_id]])
            decoder["decoder_input_ids"] = torch.cat([begin, ids], 1)
        with torch.no_grad():
            given = model.module(input_ids=ids, output_hidden_states=True, **decoder)
        # the last hidden state has passed the final norm, so the one before is the output of the last layer but one
        states = given.decoder_hidden_states[-2][:, 1:] if family == "t5" else given.hidden_states[-2]
        expected = states[0].numpy()
        place = model.facts.n_layers - 2
        assert found["o"][place][number] == pytest.approx(expected.mean(0), abs=2e-5)
        assert found["o, last token"][place][number] == pytest.approx(expected[-1], abs=2e-5)
        if family == "t5":
            encoder = given.encoder_hidden_states[-2][0].numpy()
            n_encoder = sum(one.stack == "enc" for one in model.facts.layers)
            assert found["o"][n_encoder - 2][number] == pytest.approx(encoder.mean(0), abs=2e-5)


def test_the_identity_holds_of_means(tiny_folder: Callable[[str], Path]) -> None:
    model = ffmem.load_model(tiny_folder("gpt2"))
    sentences = [np.arange(5, 15), np.arange(20, 26)]
    found = points_of(model, sentences, "auto")
    for place in range(model.facts.n_layers):
        m, y = found["m"][place], found["y"][place]
        bias = model.value_bias(place).detach().numpy()
        assert m @ model.values(place).detach().numpy() + bias == pytest.approx(y, abs=1e-4)
        assert found["r"][place] + y == pytest.approx(found["o"][place], abs=1e-4)
