"""v*: found in the model, held against a plain pass with the vector added."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from ffmem import load_model
from ffmem.analyses.editing.asking import asked
from ffmem.analyses.editing.options import EditOptions
from ffmem.analyses.editing.wanted import wanted_change

OPTIONS = EditOptions(steps=15, keep=0.0)
PROMPT = "the silver river of the"


def test_the_answer_is_as_probable_as_told_in_a_plain_pass_and_far_more_than_before(
    tiny_folder: Callable[[str], Path],
) -> None:
    model = load_model(tiny_folder("llama"))
    before = model.weights_hash()
    row = asked(model, PROMPT, "quick", "silver river")
    size = 3.0
    found = wanted_change(model, 0, [row], None, size, OPTIONS)
    change = found.change.float()

    def hook(_: Any, __: Any, output: torch.Tensor) -> torch.Tensor:
        output = output.clone()
        output[0, row.key] += change
        return output

    plain = load_model(tiny_folder("llama")).module
    handle = plain.model.layers[0].mlp.register_forward_hook(hook)
    with torch.no_grad():
        scores = plain(torch.tensor([row.ids])).logits[0].log_softmax(-1)
    handle.remove()
    total = sum(float(scores[at, target]) for at, target in zip(row.at, row.targets, strict=True))
    assert total == pytest.approx(found.after, abs=1e-3)
    assert found.after > found.before + 0.5
    model.forget_weights_hash()
    assert model.weights_hash() == before
    assert all(parameter.grad is None for parameter in model.module.parameters())


def test_it_stays_within_reach_and_decay_makes_it_shorter(tiny_folder: Callable[[str], Path]) -> None:
    model = load_model(tiny_folder("llama"))
    rows = [asked(model, PROMPT, "quick", "silver", before) for before in ("", "windows wait. ")]
    near = wanted_change(model, 0, rows, None, 2.0, replace(OPTIONS, reach=0.5))
    assert float(near.change.norm()) <= 1.0 + 1e-6
    free, pulled = (
        wanted_change(model, 0, rows, None, 2.0, replace(OPTIONS, decay=decay)).change.norm() for decay in (0.0, 50.0)
    )
    assert float(pulled) < 0.5 * float(free)


def test_keeping_what_is_said_otherwise_keeps_it_nearer(tiny_folder: Callable[[str], Path]) -> None:
    """KL(own || changed) behind another prompt about the subject, by plain softmaxes."""
    from ffmem.analyses.editing.outputs import added_to_output, at_keys

    model = load_model(tiny_folder("llama"))
    rows, kept = [asked(model, PROMPT, "quick", "silver")], asked(model, "silver is a", "thing", "silver")
    ids = torch.tensor([kept.ids])
    with torch.no_grad():
        own = model.module(ids).logits[0, kept.at[0]].log_softmax(-1)
    divergences = []
    for keep in (0.0, 20.0):
        change = wanted_change(model, 0, rows, kept, 2.0, replace(OPTIONS, keep=keep)).change.float()
        with torch.no_grad(), added_to_output(model, 0, at_keys([kept], change)):
            now = model.module(ids).logits[0, kept.at[0]].log_softmax(-1)
        divergences.append(float((own.exp() * (own - now)).sum()))
    assert divergences[1] < 0.8 * divergences[0]


def test_what_reaches_no_answer_changes_nothing(tiny_folder: Callable[[str], Path]) -> None:
    """Behind the last layer no position sees another."""
    model = load_model(tiny_folder("llama"))
    row = asked(model, PROMPT, "quick", "silver")
    found = wanted_change(model, model.facts.n_layers - 1, [row], None, 2.0, OPTIONS)
    assert float(found.change.norm()) == 0.0
    assert found.n_steps == 0
