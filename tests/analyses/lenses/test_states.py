"""Readings of states against a plain loop over single prefixes, and what must hold in the last layer."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import ffmem
from ffmem import Index
from ffmem.analyses.lenses.jacobian import average_jacobian
from ffmem.analyses.lenses.reading import Reader
from ffmem.analyses.lenses.states import read_states
from ffmem.analyses.updates.positions import Positions, positions_of_text
from ffmem.models.inputs import as_row
from ffmem.models.transformer import Transformer


def some_positions(index: Index, n: int) -> Positions:
    text = index.text
    return positions_of_text(text, text.n_sentences, text.n_all_sentences, n)


@pytest.mark.parametrize("family", ["gpt2", "llama", "wikilm"])
def test_readings_are_those_of_a_plain_loop(
    tiny_folder: Callable[[str], Path], index_of: Callable[[str], Index], family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ffmem.analyses.lenses.states._READ", 4 * 400)  # a few positions at a time
    index, model = index_of(family), ffmem.load_model(str(tiny_folder(family)))
    bos = index.manifest.options.bos
    asked = some_positions(index, 25)
    jacobian = average_jacobian(model, asked.prefixes.sentences[:3], bos=bos, reach="later")
    reader = Reader(model, jacobian)
    told: list[int] = []
    found = read_states(reader, asked, bos=bos, on_positions=told.append)
    before, _ = model.special_tokens(bos)
    for number in range(0, len(asked), 4):
        ids = as_row(model, [*before, *asked.prefixes.tokens(number).tolist()])
        with torch.no_grad():
            logits = model.logits(ids)
            assert logits is not None
            log_p = logits[0, -1].float().log_softmax(-1)
            following = int(asked.following[number])
            assert found.own_loss[number] == pytest.approx(-float(log_p[following]), rel=1e-3, abs=1e-4)
            for place in range(model.facts.n_layers):
                state = _after(model, place, ids)
                log_q = model.project((jacobian.matrices[place] @ state)[None], model.unembedding.own_projection)
                log_q = log_q[0].float().log_softmax(-1)
                column = reader.of_states.index("jacobian")
                divergence = float((log_p.exp() * (log_p - log_q)).sum())
                assert found.divergence[number, place, column] == pytest.approx(divergence, rel=1e-2, abs=1e-4)
                assert found.loss[number, place, column] == pytest.approx(-float(log_q[following]), rel=1e-3, abs=1e-3)
                assert found.same[number, place, column] == (int(log_q.argmax()) == int(log_p.argmax()))
                assert found.hit[number, place, column] == (int(log_q.argmax()) == following)
    assert told[-1] == len(asked) and np.array_equal(found.document, asked.document)
    columns = [reader.of_states.index(lens) for lens in ("own", "jacobian")]
    assert found.same[:, -1, columns].all() and found.divergence[:, -1, columns].max() < 1e-4


def _after(model: Transformer, place: int, ids: torch.Tensor) -> torch.Tensor:
    """The stream after a layer at the last position, by a hook of plain torch."""
    seen: list[torch.Tensor] = []
    handle = model.layer(place).module.register_forward_hook(
        lambda _, __, output: seen.append(output if isinstance(output, torch.Tensor) else output[0])
    )
    model.module(ids)
    handle.remove()
    return seen[0].reshape(-1, model.facts.d_model)[-1]
