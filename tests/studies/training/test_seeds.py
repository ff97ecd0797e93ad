"""The other seed, planted: the same training, and one whose cells stand in another order."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

import ffmem
from ffmem import Index, InputError
from ffmem.studies.results import Findings
from ffmem.studies.runner import findings_of
from ffmem.studies.training.courses import arrays_of
from ffmem.studies.training.seeds import EXPERIMENT, SeedsResult
from tests.fixtures.indexes import IN_PROCESS
from tests.studies.training.conftest import run

Trained = Callable[[str], Sequence[Index]]


def test_the_same_training_is_found_whole(findings: Findings) -> None:
    found, arrays = findings.get(EXPERIMENT, SeedsResult), arrays_of(findings, EXPERIMENT)
    varies = arrays["best"] > 0
    assert arrays["best"][varies] == pytest.approx(1, abs=1e-4)
    assert (arrays["best_cell"] == arrays["cell"])[varies].mean() > 0.9
    assert found.n_cells == 24 and found.universal == (arrays["excess"] > 0.5).sum()
    assert found.of_itself > 0 and found.found_itself <= found.of_itself <= found.n_cells
    assert found.at_first <= found.universal


def test_cells_in_another_order_are_found_there(training_of: Trained, corpus: Path, tmp_path: Path) -> None:
    *earlier, last = training_of("wikilm")
    source = Path(last.manifest.identity.model.source)
    model = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32)
    orders = []
    with torch.no_grad():
        for number, layer in enumerate(model.model.layers):
            order = np.random.default_rng(number).permutation(layer.fc1.bias.shape[0])
            orders.append(order)
            layer.fc1.weight[:], layer.fc1.bias[:] = layer.fc1.weight[order].clone(), layer.fc1.bias[order].clone()
            layer.fc2.weight[:] = layer.fc2.weight[:, order].clone()
    shutil.copytree(source, tmp_path / "model")
    model.save_pretrained(tmp_path / "model")
    options = {name: getattr(last.manifest.options, name) for name in ("top", "promoted", "max_sentences", "holdout")}
    ffmem.build_index(
        tmp_path / "model", corpus, tmp_path / "other", options=ffmem.IndexOptions(**options), run=IN_PROCESS
    )
    index = ffmem.open_index(shutil.copytree(last.folder, tmp_path / "index"))
    found = findings_of(run(earlier, index, seed_other=str(tmp_path / "other")))
    arrays = arrays_of(found, EXPERIMENT)
    hits = np.flatnonzero(arrays["excess"] > 0.5)
    assert len(hits) >= 5
    for row in hits.tolist():
        place = arrays["layer"][row]
        assert arrays["best_layer"][row] == place and orders[place][arrays["best_cell"][row]] == arrays["cell"][row]


def test_another_tokenizer_is_refused(training_of: Trained, index_of: Callable[[str], Index], tmp_path: Path) -> None:
    *earlier, last = training_of("wikilm")
    index = ffmem.open_index(shutil.copytree(last.folder, tmp_path / "index"))
    with pytest.raises(InputError, match="which reads a text as the same tokens"):
        run(earlier, index, seed_other=str(index_of("bert").folder))
