"""A whole build against brute force, sentence by sentence."""

import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import ffmem
from ffmem import Index, IndexOptions, InputError, RunOptions, StoreError
from ffmem.index.run.choose import make_executor
from ffmem.index.run.executors import InProcessExecutor
from ffmem.store.histogram import histogram_edges
from ffmem.store.keys import NO_TOKEN
from ffmem.store.paths import locked
from tests.conftest import FAMILIES

IN_PROCESS = RunOptions(workers=0)


def coefficients_of(index: Index, model: "ffmem.models.transformer.Transformer") -> list[list[np.ndarray]]:
    """[sentence][layer] -> (own tokens, cells), each sentence alone through the model."""
    special = index.manifest.special_tokens
    n_prefix, n_suffix = len(special.prefix), len(special.suffix)
    found = []
    for sentence_id in range(index.text.n_sentences):
        own = index.text.sentence(sentence_id).token_ids.tolist()
        ids = torch.tensor([[*special.prefix, *own, *special.suffix]])
        layers: list[np.ndarray] = []
        with (
            torch.inference_mode(),
            model.watch_coefficients(lambda _, m, layers=layers: layers.append(m[0].float().numpy().copy())),
        ):
            model.forward(ids, None if model.facts.causal else torch.ones_like(ids))
        found.append([layer[n_prefix : len(layer) - n_suffix] for layer in layers])
    return found


def brute_force(
    found: list[list[np.ndarray]], starts: np.ndarray, layer: int, sign: int, per_sentence: str, skip: int
) -> list[list[tuple[float, int]]]:
    """For each cell every competing (magnitude, token), in the total order."""
    lists: list[list[tuple[float, int]]] = [[] for _ in range(found[0][layer].shape[1])]
    for sentence_id, layers in enumerate(found):
        signed = layers[layer][skip:] * sign
        if not len(signed):
            continue
        positions = (
            [signed.argmax(0)] if per_sentence == "1" else [np.full(signed.shape[1], p) for p in range(len(signed))]
        )
        for best in positions:
            for cell, position in enumerate(best):
                magnitude = float(signed[position, cell])
                if magnitude > 0:
                    lists[cell].append((magnitude, int(starts[sentence_id]) + skip + int(position)))
    return [sorted(one, key=lambda t: (-t[0], t[1])) for one in lists]


def check_lists(index: Index, found: list[list[np.ndarray]], per_sentence: str, skip: int) -> int:
    """Values to rounding; places and order wherever neighbours differ by more.

    Rounding: 1e-5 of the cell's largest, and 1e-6 of the layer's, since the products of a cell that is nearly never active are
    rounded as those of the others are.
    """
    n_exact = 0
    for layer in range(index.n_layers):
        arrays = index.layer(layer)
        of_layer = 1e-6 * max(float(np.abs(one[layer]).max()) for one in found)
        for number, sign in enumerate((1, -1)[: index.n_signs]):
            expected = brute_force(found, index.text.sentence_start, layer, sign, per_sentence, skip)
            for cell in range(len(arrays.trigger_token)):
                tokens = arrays.trigger_token[cell, number]
                values = arrays.trigger_coefficient[cell, number] * sign
                n = min(index.top, len(expected[cell]))
                assert (tokens != NO_TOKEN).sum() == n
                rounding = max(of_layer, 1e-5 * (expected[cell][0][0] if n else 1.0))
                for rank in range(n):
                    assert values[rank] == pytest.approx(expected[cell][rank][0], abs=rounding, rel=1e-4)
                    around = [expected[cell][r][0] for r in (rank - 1, rank, rank + 1) if 0 <= r < len(expected[cell])]
                    if all(abs(a - b) > rounding for a, b in itertools.pairwise(around)):
                        assert tokens[rank] == expected[cell][rank][1]
                        n_exact += 1
    return n_exact


@pytest.mark.parametrize("family", FAMILIES)
def test_equals_brute_force_for_every_cell(
    family: str, index_of: Callable[[str], Index], tiny_folder: Callable[[str], Path]
) -> None:
    index = index_of(family)
    found = coefficients_of(index, ffmem.load_model(tiny_folder(family)))
    assert check_lists(index, found, "1", 0) > index.n_cells * index.top / 3
    for layer in range(index.n_layers):
        arrays = index.layer(layer)
        cells = index.cells.layers[layer]
        for group in range(cells.n_groups):
            own = slice(group * cells.d_ff, (group + 1) * cells.d_ff)
            seen = [layers[layer][:, own] for layers in found]
            if cells.n_experts:  # an expert sees the positions that are routed to it, on which its cells are not all 0
                seen = [one[one.any(1)] for one in seen]
                assert 0 < sum(len(one) for one in seen) < sum(len(layers[layer]) for layers in found)
            everything = np.concatenate(seen).astype(np.float64)
            assert arrays.counts[group].tolist() == [len(everything), sum(len(one) > 0 for one in seen)]
            np.testing.assert_allclose(arrays.maximum[own], everything.max(0), rtol=1e-4, atol=1e-5)
            np.testing.assert_allclose(arrays.minimum[own], everything.min(0), rtol=1e-4, atol=1e-5)
        for cell in (0, cells.d_ff - 1):  # of the last expert, if there are any
            statistics = index.cell(index.cells.cell_id(layer, own.start + cell)).statistics
            column = everything[:, cell]
            assert statistics.mean == pytest.approx(column.mean(), rel=1e-4, abs=1e-6)
            assert statistics.mean_square == pytest.approx((column**2).mean(), rel=1e-4)
            assert statistics.active_fraction == pytest.approx((column > 0).mean(), abs=2 / len(column))
            maxima = np.array([one[:, cell].max() for one in seen if len(one)])
            expected = np.histogram(maxima, bins=histogram_edges())[0]
            assert np.abs(np.array(statistics.histogram[0]) - expected).sum() <= 4  # rounding at an edge moves one


@pytest.mark.parametrize(("per_sentence", "skip", "bos"), [("all", 0, "auto"), ("1", 2, "yes"), ("all", 1, "no")])
def test_options_of_what_competes(
    per_sentence: str,
    skip: int,
    bos: str,
    tiny_folder: Callable[[str], Path],
    corpus: Path,
    small_options: IndexOptions,
    tmp_path: Path,
) -> None:
    options = replace(small_options, per_sentence=per_sentence, skip_first=skip, bos=bos, max_sentences=60)
    index = ffmem.build_index(tiny_folder("llama"), corpus, tmp_path / "i", options=options, run=IN_PROCESS)
    assert index.text.n_sentences == 60
    assert len(index.manifest.special_tokens.prefix) == {"yes": 1, "no": 0}.get(bos, 1)
    found = coefficients_of(index, ffmem.load_model(tiny_folder("llama")))
    assert check_lists(index, found, per_sentence, skip) > 100


def test_promoted_tokens_are_those_of_the_values(
    index_of: Callable[[str], Index], tiny_folder: Callable[[str], Path]
) -> None:
    index, model = index_of("llama"), ffmem.load_model(tiny_folder("llama"))
    assert index.manifest.projection == "folded"
    scores = model.values(1).double() @ model.projection_matrix("folded").double().T
    cell = index.cell("L1.3")
    expected = torch.sort(scores[3], descending=True)
    assert [token.token_id for token in cell.promoted] == expected.indices[:10].tolist()
    assert [token.token_id for token in cell.suppressed] == expected.indices.flip(0)[:10].tolist()
    assert cell.promoted[0].logit == pytest.approx(float(expected.values[0]), rel=1e-5)


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted((folder / "index").rglob("*")) if p.is_file()
    }


@pytest.mark.slow
def test_same_bytes_whatever_the_workers_and_how_it_was_cut(
    index_of: Callable[[str], Index],
    tiny_folder: Callable[[str], Path],
    corpus: Path,
    small_options: IndexOptions,
    tmp_path: Path,
) -> None:
    expected = bytes_of(index_of("gpt2").folder)
    for workers in (1, 2):  # this process again, but as a worker; and processes of their own
        out = tmp_path / str(workers)
        run = RunOptions(workers=workers, checkpoint_s=0)
        ffmem.build_index(tiny_folder("gpt2"), corpus, out, options=small_options, run=run)
        assert bytes_of(out) == expected
        assert json.loads((out / "manifest.json").read_bytes()) == index_of("gpt2").manifest.to_json() | {
            "files": json.loads((out / "manifest.json").read_bytes())["files"]
        }


def test_a_finished_index_is_opened_not_built_again(
    index_of: Callable[[str], Index], tiny_folder: Callable[[str], Path], corpus: Path, small_options: IndexOptions
) -> None:
    index = index_of("gpt2")
    before = index.folder.joinpath("manifest.json").stat().st_mtime_ns
    again = ffmem.build_index(tiny_folder("gpt2"), corpus, index.folder, options=small_options, run=IN_PROCESS)
    assert again.manifest == index.manifest
    assert index.folder.joinpath("manifest.json").stat().st_mtime_ns == before
    assert not (index.folder / "work").exists()


def test_what_a_killed_run_was_writing_last_is_gone_after_the_next(
    tiny_folder: Callable[[str], Path], corpus: Path, tmp_path: Path
) -> None:
    """Killed while it wrote the record of the run, before or after the manifest; what is not a build's own stays."""
    build = partial(ffmem.build_index, tiny_folder("gpt2"), corpus, tmp_path / "i", options=IndexOptions(top=3))
    build(run=RunOptions(workers=0))
    for name in (".run.json.abc.tmp", ".manifest.json.abc.tmp", ".notes.tmp"):
        (tmp_path / "i" / name).write_text("half")
    build(run=RunOptions(workers=0))
    assert [path.name for path in (tmp_path / "i").glob(".*")] == [".notes.tmp"]


def test_another_model_corpus_or_option_is_refused_by_name(
    index_of: Callable[[str], Index],
    tiny_folder: Callable[[str], Path],
    corpus: Path,
    small_options: IndexOptions,
    tmp_path: Path,
) -> None:
    index = index_of("gpt2")
    other_text = tmp_path / "words.txt"
    other_text.write_text("Another text. With two sentences.")
    for model, text, options, difference in (
        ("opt", corpus, small_options, r"model\.weights_sha256 is '.*' there and '.*' here"),
        ("gpt2", other_text, small_options, r"corpus\.sha256 is"),
        (
            "gpt2",
            corpus,
            replace(small_options, top=8, bos="no"),
            r"--top is 7 there and 8 here; --bos is 'auto' there",
        ),
    ):
        with pytest.raises(InputError, match=difference):
            ffmem.build_index(tiny_folder(model), text, index.folder, options=options, run=IN_PROCESS)


def test_a_folder_with_something_else_is_left_alone(
    tiny_folder: Callable[[str], Path], corpus: Path, tmp_path: Path
) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match=r"is not empty \(it holds thesis\.tex\), and has no index in it"):
        ffmem.build_index(tiny_folder("gpt2"), corpus, tmp_path, run=IN_PROCESS)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


@pytest.mark.parametrize(
    ("model", "wrong", "told"),
    [
        ("gpt2", {"cells": "L0,L1.48"}, r"--cells has 'L1\.48'.*layer L1 has 48 cells.*L1\.0 to L1\.47"),
        ("gpt2", {"projection": "adaptive"}, r"--projection is 'adaptive'.*Leave --projection out"),
        ("gpt2", {"max_length": 5000}, r"--max-length is 5000.*Expected at most 64"),
        ("bert", {"bos": "yes"}, r"--bos is 'yes', but the tokenizer of bert has no BOS"),
    ],
)
def test_what_the_model_does_not_have_is_refused_before_anything_is_written(
    tiny_folder: Callable[[str], Path],
    corpus: Path,
    small_options: IndexOptions,
    tmp_path: Path,
    model: str,
    wrong: dict[str, Any],
    told: str,
) -> None:
    with pytest.raises(InputError, match=told):
        ffmem.build_index(tiny_folder(model), corpus, tmp_path, options=replace(small_options, **wrong), run=IN_PROCESS)
    assert not (tmp_path / "work").exists()


def test_a_folder_in_use_is_refused(tiny_folder: Callable[[str], Path], corpus: Path, tmp_path: Path) -> None:
    with locked(tmp_path), pytest.raises(StoreError, match="is in use by another `ffmem index`"):
        ffmem.build_index(tiny_folder("gpt2"), corpus, tmp_path, run=IN_PROCESS)


def test_nan_in_a_model_is_an_error_that_says_where(
    tiny_folder: Callable[[str], Path],
    corpus: Path,
    small_options: IndexOptions,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from ffmem.index import build

    def broken(*args: object, **kwargs: object) -> object:
        model = ffmem.load_model(*args, **kwargs)
        with torch.no_grad():  # overflows for one sentence's input alone would be enough; this breaks one cell
            model.key_bias(1)[5] = float("nan")
        return model

    monkeypatch.setattr(build, "load_model", broken)
    monkeypatch.setattr(build.Build, "_certify", lambda self, model, text, log: {"errors": {}})
    with pytest.raises(
        ffmem.ModelError, match=r"coefficient of cell L1\.5 is not a finite number at sentence \d+, position 0"
    ):
        ffmem.build_index(tiny_folder("gpt2"), corpus, tmp_path / "i", options=small_options, run=IN_PROCESS)
    with pytest.raises(StoreError, match="is not finished"):
        ffmem.open_index(tmp_path / "i")


@pytest.mark.parametrize("workers", [0, 1])
def test_this_process_loads_the_model_once_and_leaves_torch_as_it_was(
    workers: int,
    tiny_folder: Callable[[str], Path],
    corpus: Path,
    small_options: IndexOptions,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from ffmem.index import build
    from ffmem.index.scan import job

    loaded: list[object] = []

    def counted(*args: Any, **kwargs: Any) -> object:
        loaded.append(ffmem.load_model(*args, **kwargs))
        return loaded[-1]

    monkeypatch.setattr(build, "load_model", counted)
    monkeypatch.setattr(job, "load_model", lambda *_, **__: pytest.fail("the model was loaded again"))
    before = torch.get_num_threads()
    run = RunOptions(workers=workers)
    ffmem.build_index(tiny_folder("gpt2"), corpus, tmp_path / "i", options=small_options, run=run)
    assert len(loaded) == 1
    assert torch.get_num_threads() == before


def stopped_in_the_pass(folder: Path, corpus: Path, out: Path, options: IndexOptions) -> None:
    """A build that Ctrl-C stops after its first task."""

    def listen(now: "ffmem.Progress") -> None:
        if now.event == "task":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ffmem.build_index(
            folder, corpus, out, options=options, run=RunOptions(workers=1, checkpoint_s=0), progress=listen
        )


@pytest.mark.parametrize("killed", [False, True])
def test_what_killed_the_pass_is_met_by_a_process_of_its_own(
    killed: bool,
    index_of: Callable[[str], Index],
    tiny_folder: Callable[[str], Path],
    corpus: Path,
    small_options: IndexOptions,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A run that could not say how its pass ended has died of it; a process that dies again is told, and given up."""
    from ffmem.index import build

    folder, out = tiny_folder("gpt2"), tmp_path / "i"
    stopped_in_the_pass(folder, corpus, out, small_options)
    record = out / "work" / "run.json"
    runs = json.loads(record.read_bytes())
    assert runs["runs"][-1]["stages_s"].keys() >= {"model", "text", "certificate", "workers", "memories"}
    if killed:
        del runs["runs"][-1]["stages_s"]["memories"]
        record.write_text(json.dumps(runs))
    apart: list[bool] = []

    def chosen(options: IndexOptions, run: RunOptions, *, apart: bool, asked: list[bool] = apart) -> object:
        asked.append(apart)
        return make_executor(options, run)  # a process takes seconds to begin

    monkeypatch.setattr(build, "make_executor", chosen)
    ffmem.build_index(folder, corpus, out, options=small_options, run=RunOptions(workers=1))
    assert apart == [killed]
    assert bytes_of(out) == bytes_of(index_of("gpt2").folder)


@pytest.mark.parametrize(
    ("workers", "free", "expected"),
    [(1, 1 << 40, []), (2, 1 << 40, [("load", 2)]), (9, 1 << 40, [("load", 3)]), (9, 1000, [("load_nothing", 3)])],
)
def test_workers_are_prepared_where_they_are_processes_of_a_processor(
    workers: int,
    free: int,
    expected: list[tuple[str, int]],
    tiny_folder: Callable[[str], Path],
    corpus: Path,
    small_options: IndexOptions,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No more than there are layers, whose values are tasks of any build; and they load only if there is room for that."""
    from ffmem.index import build

    asked: list[tuple[str, int]] = []

    class Watched(InProcessExecutor):
        works_here = workers == 1
        n_workers = workers

        def prepare(self, load: Callable[[], Any], n_workers: int) -> None:
            if not self.works_here:
                assert n_workers <= self.n_workers
                asked.append((load.__name__, n_workers))

    monkeypatch.setattr(build, "make_executor", lambda *_, **__: Watched())
    monkeypatch.setattr(build, "free_memory", lambda: free)
    ffmem.build_index(tiny_folder("gpt2"), corpus, tmp_path / "i", options=small_options)
    assert asked == expected
