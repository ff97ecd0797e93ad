"""A model whose layers are on two devices: see fixtures/simulated_devices.py."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch

from ffmem import IndexOptions, RunOptions, build_index, load_model
from ffmem.store.files import map_arrays
from tests.fixtures.elsewhere import elsewhere

pytest.importorskip("accelerate", reason="the extra quantized is not installed")
IDS = [[1, 2, 3, 4]]


@pytest.mark.parametrize("family", ["llama", "gpt_neox", "mixtral"])
def test_proof_identities_and_scores_hold_across_devices(
    family: str, tiny_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    whole = load_model(tiny_folder(family))
    found = elsewhere("tests.index.spread_model:read", str(tiny_folder(family)), folder=tmp_path)
    assert max(found["errors"].values()) < 1e-5 and found["errors"].keys() == whole.identity_errors.keys()
    rows = whole.value_rows(0)
    expected = torch.empty(len(rows), whole.facts.d_vocab)
    whole.scores("folded")(rows, expected)
    torch.testing.assert_close(torch.tensor(found["scores"]), expected)
    torch.testing.assert_close(torch.tensor(found["state"]), whole.forward(torch.tensor(IDS)), rtol=1e-4, atol=1e-5)


def test_an_index_across_devices_is_that_of_the_whole_model_to_rounding(
    tiny_folder: Callable[[str], Path], corpus: Path, tmp_path: Path
) -> None:
    options = IndexOptions(top=3, max_sentences=20, cells="L0-L1,L2.3,L3")
    if load_model(tiny_folder("llama"), proved=False).facts.n_layers < 4:
        options = IndexOptions(top=3, max_sentences=20, cells="L0,L1.0-5")
    whole = build_index(tiny_folder("llama"), corpus, tmp_path / "whole", options=options, run=RunOptions(workers=0))
    given = (str(tiny_folder("llama")), str(corpus), str(tmp_path / "spread"), asdict(options))
    machines = elsewhere("tests.index.spread_model:index", *given, folder=tmp_path)
    assert machines[0].startswith("sim:0 of ") and " and sim:1 of " in machines[0]
    files = sorted((tmp_path / "spread" / "index" / "layers").iterdir())
    assert len(files) == whole.n_layers
    for file in files:
        one, other = map_arrays(file), map_arrays(whole.folder / "index" / "layers" / file.name)
        assert set(one) == set(other)
        for name in one:
            if one[name].dtype.kind == "f":
                np.testing.assert_allclose(one[name], other[name], rtol=1e-3, atol=1e-5)
        np.testing.assert_array_equal(one["n_active"], other["n_active"])
