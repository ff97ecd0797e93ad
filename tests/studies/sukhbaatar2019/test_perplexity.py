"""Losses of all models, against the models' own plain calls."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import ffmem
from ffmem import Index
from ffmem.studies.results import Results
from ffmem.studies.runner import findings_of
from ffmem.studies.sukhbaatar2019.context import begin
from ffmem.studies.sukhbaatar2019.options import SoftmaxOptions
from ffmem.studies.sukhbaatar2019.perplexity import EXPERIMENT, PerplexityResult, more, of_kind
from tests.studies.sukhbaatar2019.conftest import subject


def test_losses_are_those_of_the_models_own_call(
    softmax_study: Results,
    softmax_options: SoftmaxOptions,
    index_of: Callable[[str], Index],
    tiny_folder: Callable[[str], Path],
) -> None:
    found, arrays = findings_of(softmax_study).get(EXPERIMENT, PerplexityResult), softmax_study.load_arrays(EXPERIMENT)
    positions = begin(subject(index_of("all_attention")), softmax_options, lambda _: None).positions
    for number, family in enumerate(("all_attention", "wikilm", "all_attention")):
        model = ffmem.load_model(tiny_folder(family))
        prefix, _ = model.special_tokens("auto")
        for at in (0, 57, 119):
            ids = torch.tensor([[*prefix, *positions.prefixes.tokens(at).tolist()]])
            log_p = model.module(ids).logits[0, -1].log_softmax(-1)
            assert arrays[str(number)][at] == pytest.approx(-float(log_p[int(positions.following[at])]), abs=1e-4)
        assert found.models[number].loss.value == pytest.approx(arrays[str(number)].mean())
        assert found.models[number].parameters == model.module.num_parameters()


def test_models_are_told_apart_by_their_cells(softmax_study: Results) -> None:
    found = findings_of(softmax_study).get(EXPERIMENT, PerplexityResult)
    assert (of_kind(found, "softmax memories"), of_kind(found, "ReLU cells")) == ([0, 2], [1])
    d_ff, d_model, n_layers = 48, 32, 3
    assert found.models[1].in_layers - found.models[0].in_layers == n_layers * (d_ff + 3 * d_model)


def test_a_difference_is_of_the_means_of_models_at_the_same_positions() -> None:
    arrays = {
        "0": np.array([1.0, 2.0]),
        "1": np.array([3.0, 4.0]),
        "2": np.array([3.0, 2.0]),
        "document": np.array([0, 1]),
    }
    assert more(arrays, [0, 2], [1]).value == pytest.approx(2.0 - 3.5)
    assert more(arrays, [0], [1]).error == 0
