"""Small studies of which cells are in use: of a model with a ReLU and planted cells, and of a gated one."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import ffmem
from ffmem import Index, IndexOptions, RunOptions, load_model
from ffmem.index.indexed_model import load_indexed_model
from ffmem.studies.report import Report, report_of
from ffmem.studies.results import Findings, Results
from ffmem.studies.runner import findings_of, run_study
from ffmem.studies.study import Subject
from ffmem.studies.wild2024.options import SparsityOptions
from ffmem.studies.wild2024.study import STUDY
from tests.fixtures.shared import MakeOnce

SMALL = {"positions": 1200, "window": 300, "sentence_positions": 4, "limit_positions": 120}
PLANTED = IndexOptions(top=3, promoted=3, holdout=0, max_tokens=2500, batch_tokens=300, shard_tokens=1000)
DEAD, ALWAYS, OF_TOKEN = 0, 1, 2
"""Planted cells of the first layer."""


def run(index: Index, *, controls: bool = False, **options: object) -> Results:
    subject = Subject(lambda: load_indexed_model(index), index.folder, index)
    chosen = SparsityOptions(**SMALL | options)  # type: ignore[arg-type]
    return run_study(STUDY, subject, chosen, controls=controls)


def copied(index: Index, folder: Path) -> Index:
    shutil.copytree(index.folder, folder, ignore=shutil.ignore_patterns("results"))
    return ffmem.open_index(folder)


def plant(source: Path, folder: Path, *, off: int = 0, token: int = 0) -> None:
    """A model with a dead cell and one that is always active in each layer, one cell of the first that knows a single token.

    Args:
        source: a tiny OPT.
        folder: of the new model.
        off: cells of the second layer, from the fourth on, whose bias is far below 0.
        token: what the third cell of the first layer comes on at; its embedding then has a dimension of its own.
    """
    model = load_model(source)
    with torch.no_grad():
        for place in range(model.facts.n_layers):
            bias = model.key_bias(place)
            assert bias is not None
            bias[DEAD], bias[ALWAYS] = -1e9, 1e4
            model.values(place)[ALWAYS] = 0
        if off:
            bias = model.key_bias(1)
            assert bias is not None
            bias[4 : 4 + off] -= 100
        if token:
            embedding = model.module.get_input_embeddings().weight
            embedding[token] *= 300  # the stream is then that token's direction alone
            norm = model.module.model.decoder.layers[0].final_layer_norm
            unit = embedding[token] - embedding[token].mean()
            unit /= unit.norm()
            size = len(unit) ** 0.5
            key = unit / norm.weight
            first = model.key_bias(0)
            assert first is not None
            model.keys(0)[OF_TOKEN] = key
            first[OF_TOKEN] = -(key @ norm.bias) - 0.95 * size
    shutil.copytree(source, folder, dirs_exist_ok=True)
    model.module.save_pretrained(folder)


@pytest.fixture(scope="session")
def planted_index(
    tiny_folder: Callable[[str], Path], index_of: Callable[[str], Index], corpus: Path, make_once: MakeOnce
) -> Callable[[str], Index]:
    """Two moments of one model: ``before``, and ``after``, in which ten cells have been put out of reach."""
    tokens = index_of("opt").text.token_id
    often = int(torch.bincount(torch.from_numpy(tokens.astype("int64"))).argsort(descending=True)[8])

    def make(moment: str) -> Index:
        def write(folder: Path) -> None:
            plant(tiny_folder("opt"), folder, off=10 * (moment == "after"), token=often)

        def build(out: Path) -> None:
            model = make_once(f"planted-use/model-{moment}", write)
            ffmem.build_index(model, corpus, out, options=PLANTED, run=RunOptions(workers=0))

        return ffmem.open_index(make_once(f"planted-use/{moment}", build))

    return make


@pytest.fixture(scope="session")
def planted(planted_index: Callable[[str], Index], make_once: MakeOnce) -> tuple[Findings, Report]:
    """The study of the later moment beside the earlier, without controls."""
    before = planted_index("before")

    def study(folder: Path) -> None:
        run(copied(planted_index("after"), folder / "index"), earlier=(str(before.folder),))

    index = ffmem.open_index(make_once("planted-use/study", study) / "index")
    results = run(index, earlier=(str(before.folder),))
    return findings_of(results), report_of(results)


@pytest.fixture(scope="session")
def gated(index_of: Callable[[str], Index], make_once: MakeOnce) -> tuple[Findings, Report]:
    """The study of a gated model, with its controls."""

    def study(folder: Path) -> None:
        run(copied(index_of("llama"), folder / "index"), controls=True)

    results = run(ffmem.open_index(make_once("use-of-gated", study) / "index"))
    return findings_of(results), report_of(results)
