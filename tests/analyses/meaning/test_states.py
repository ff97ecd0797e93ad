"""What is kept of a pass against one sentence after another, and that nothing of it stays on disk."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from ffmem import Index
from ffmem.analyses.meaning.states import folder_for_states, states_at
from ffmem.index.indexed_model import load_indexed_model
from ffmem.models.tracing import trace


@pytest.mark.parametrize("family", ["gpt2", "llama", "bert", "t5"])
def test_equals_sentence_after_sentence(family: str, index_of: Callable[[str], Index], tmp_path: Path) -> None:
    index = index_of(family)
    model = load_indexed_model(index)
    start = index.text.sentence_start.astype(int)
    sentences = [index.text.token_id[start[i] : start[i + 1]].astype(np.int64) for i in (3, 8, 1)]
    first = np.array([0, 2, len(sentences[2]) - 1])
    cells = [np.array([1, 4, 5])] * model.facts.n_layers
    with folder_for_states(tmp_path) as room:
        found = states_at(model, "auto", sentences, first, cells, inputs=True, folder=room)
        assert len(list(room.iterdir())) == 2 * model.facts.n_layers
        before, after = model.special_tokens("auto")
        expected = []
        for one, begin in zip(sentences, first.tolist(), strict=True):
            ids = torch.tensor([[*before, *one.tolist(), *after]])
            own = slice(len(before) + begin, len(before) + len(one))
            expected.append([(layer.coefficients[0, own], layer.ff_input[0, own]) for layer in trace(model, ids)])
        for layer in range(model.facts.n_layers):
            m = torch.cat([one[layer][0] for one in expected])[:, cells[layer]].numpy()
            x = torch.cat([one[layer][1] for one in expected]).numpy()
            assert found.coefficients(layer) == pytest.approx(m, rel=2e-3, abs=1e-4)
            assert found.inputs(layer) == pytest.approx(x, rel=2e-3, abs=1e-4)
    assert not list(tmp_path.iterdir())


def test_what_a_killed_process_left_goes(tmp_path: Path) -> None:
    (tmp_path / "states-killed").mkdir()
    (tmp_path / "states-killed" / "inputs-0.npy").write_bytes(b"x")
    (tmp_path / "other.json").write_text("{}")
    with folder_for_states(tmp_path) as room:
        assert [one.name for one in tmp_path.iterdir() if one.is_dir()] == [room.name]
    assert [one.name for one in tmp_path.iterdir()] == ["other.json"]
