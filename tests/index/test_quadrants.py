"""Indexes by quadrant against transformers' own modules, watched by plain hooks, a sentence at a time."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

from ffmem import Index, IndexOptions, InputError, RunOptions
from ffmem.index.build import build_index
from ffmem.index.merge import merge_indexes
from ffmem.index.progress import Progress
from ffmem.index.verification.verify import verify_index
from ffmem.store.paths import layer_path
from tests.conftest import IN_PROCESS, write_corpus
from tests.fixtures.indexes import BY_QUADRANT as OPTIONS
from tests.index.test_merge import contents
from tests.index.verification.test_files import agree

SIGNS = ((1, 1), (1, -1), (-1, 1), (-1, -1))


Branches = list[tuple[np.ndarray, np.ndarray, np.ndarray]]
"""Of each layer gate before its activation, up branch, coefficient: (own tokens, cells)."""


def linear(caught: dict[str, torch.Tensor], gate: Any, up: Any, value: Any) -> None:
    gate.register_forward_hook(lambda _, __, output: caught.__setitem__("gate", output[0].clone()))
    up.register_forward_hook(lambda _, __, output: caught.__setitem__("up", output[0].clone()))
    value.register_forward_pre_hook(lambda _, inputs: caught.__setitem__("m", inputs[0][0].clone()))


def mixture(caught: dict[str, torch.Tensor], experts: Any) -> None:
    """Position by position; 0 where a position is not routed to an expert."""

    def compute(_: Any, inputs: tuple[torch.Tensor, ...]) -> None:
        hidden, chosen, weights = inputs
        n_experts, two_d_ff, _ = experts.gate_up_proj.shape
        shape = len(hidden), n_experts, two_d_ff // 2
        gate, up, m = torch.zeros(3, *shape)
        for position, expert in ((p, int(e)) for p in range(len(hidden)) for e in chosen[p]):
            both = experts.gate_up_proj[expert] @ hidden[position]
            gate[position, expert], up[position, expert] = both[: shape[2]], both[shape[2] :]
            weight = weights[position, (chosen[position] == expert).nonzero()[0, 0]]
            m[position, expert] = experts.act_fn(gate[position, expert]) * up[position, expert] * weight
        caught.update(gate=gate.flatten(1), up=up.flatten(1), m=m.flatten(1))

    experts.register_forward_pre_hook(compute)


def watched(folder: Path, family: str) -> tuple[Any, list[dict[str, torch.Tensor]]]:
    """A model as transformers loads it, and for each layer what its modules saw last."""
    caught: list[dict[str, torch.Tensor]] = []
    if family == "t5_gated":
        model = AutoModelForSeq2SeqLM.from_pretrained(folder)
        for block in (*model.encoder.block, *model.decoder.block):
            part = block.layer[-1].DenseReluDense
            caught.append({})
            linear(caught[-1], part.wi_0, part.wi_1, part.wo)
        return model.eval(), caught
    model = AutoModelForCausalLM.from_pretrained(folder)
    for layer in model.model.layers:
        caught.append({})
        if hasattr(layer.mlp, "experts"):
            mixture(caught[-1], layer.mlp.experts)
        else:
            linear(caught[-1], layer.mlp.gate_proj, layer.mlp.up_proj, layer.mlp.down_proj)
    return model.eval(), caught


def branches_of_sentences(folder: Path, family: str, index: Index) -> list[Branches]:
    model, caught = watched(folder, family)
    tokens = load_file(index.folder / "index" / "tokens.safetensors")
    special = json.loads((index.folder / "manifest.json").read_bytes())["special_tokens"]
    found = []
    for first, end in zip(tokens["sentence_start"], tokens["sentence_start"][1:], strict=False):
        own = tokens["token_id"][first:end].tolist()
        ids = torch.tensor([[*special["prefix"], *own, *special["suffix"]]])
        with torch.no_grad():
            if family == "t5_gated":
                start = torch.tensor([[model.config.decoder_start_token_id]])
                model(input_ids=ids, decoder_input_ids=torch.cat((start, ids), dim=1))
            else:
                model(input_ids=ids)
        skip = len(special["prefix"])
        here: Branches = []
        for place, layer in enumerate(caught):
            begin = skip + (1 if family == "t5_gated" and place >= len(caught) // 2 else 0)
            gate, up, m = (layer[name][begin : begin + len(own)].float().numpy() for name in ("gate", "up", "m"))
            here.append((gate, up, m))
        found.append(here)
    return found


@pytest.mark.parametrize("family", ["llama", "gemma2", "t5_gated", "mixtral", "qwen3_moe"])
def test_each_quadrant_has_what_plain_hooks_see(
    family: str, quadrants_of: Callable[[str], Index], tiny_folder: Callable[[str], Path]
) -> None:
    index = quadrants_of(family)
    sentences = branches_of_sentences(tiny_folder(family), family, index)
    for place in range(index.n_layers):
        path = layer_path(index.folder / "index", index.cells.layers[place])
        arrays = load_file(path)
        gate, up, m = (np.concatenate([one[place][part] for one in sentences]) for part in range(3))
        sentence = np.repeat(np.arange(len(sentences)), [len(one[place][0]) for one in sentences])
        for number, (of_gate, of_up) in enumerate(SIGNS):
            inside = (np.sign(gate) == of_gate) & (np.sign(up) == of_up) & (m != 0)
            size = np.where(inside, np.abs(m), 0)
            # in a batch, sums have other last bits than alone: a gate that is all but 0 may be on the other side
            assert np.abs(arrays["quadrant_n_active"][number] - inside.sum(0)).max() <= 1
            for name, expected in (("quadrant_sum", size.sum(0)), ("quadrant_square_sum", (size**2).sum(0))):
                stored = arrays[name][0, number] + arrays[name][1, number] * 2.0**-40
                assert np.allclose(stored, expected, rtol=1e-4, atol=1e-5)
            assert np.allclose(arrays["quadrant_maximum"][number], size.max(0), rtol=1e-4, atol=1e-6)
            of_sentences = np.stack([size[sentence == one].max(0) for one in range(len(sentences))])
            best = -np.sort(-of_sentences, axis=0)[: OPTIONS.top].T
            stored, tokens = arrays["quadrant_coefficient"][:, number], arrays["quadrant_token"][:, number]
            assert np.allclose(stored, best * of_gate * of_up, rtol=1e-4, atol=1e-6)
            for cell, slot in zip(*np.nonzero(stored), strict=True):
                assert abs(stored[cell, slot]) == pytest.approx(size[tokens[cell, slot], cell], rel=1e-3, abs=1e-6)


def test_everything_else_is_as_without_them(
    quadrants_of: Callable[[str], Index], tiny_folder: Callable[[str], Path], corpus: Path, tmp_path: Path
) -> None:
    index = quadrants_of("llama")
    plain = build_index(
        tiny_folder("llama"), corpus, tmp_path, options=replace(OPTIONS, quadrants=False), run=IN_PROCESS
    )
    assert "quadrants" not in plain.manifest.identity.json["options"]
    for path in sorted((plain.folder / "index" / "layers").iterdir()):
        without, given = load_file(path), load_file(index.folder / "index" / "layers" / path.name)
        assert {name for name in given if not name.startswith("quadrant_")} == without.keys()
        assert all(np.array_equal(given[name], array) for name, array in without.items())
    assert plain["L0.3"].quadrants == () and "quadrants" not in plain["L0.3"].to_json()


@pytest.mark.slow
def test_two_workers_a_stop_and_a_merge_give_the_same_bytes(tiny_folder: Callable[[str], Path], tmp_path: Path) -> None:
    texts = [write_corpus(tmp_path / f"{seed}.txt", 10, seed) for seed in (1, 2)]

    def build(name: str, *corpora: Path, run: RunOptions = IN_PROCESS, **more: Any) -> Index:
        options = replace(OPTIONS, max_sentences=None)
        return build_index(tiny_folder("mixtral"), list(corpora), tmp_path / name, options=options, run=run, **more)

    parts = {text.name: build(f"part-{text.name}", text) for text in texts}
    merged = merge_indexes(*(index.folder for index in parts.values()), tmp_path / "merged")
    in_order = [tmp_path / Path(one.name).name for one in merged.manifest.identity.corpora]
    whole = contents(build("two", *in_order, run=RunOptions(workers=2)))
    of_merged = contents(merged)
    assert all(of_merged[name] == whole[name] for name in ("L000.safetensors", "L001.safetensors", "L002.safetensors"))

    class StopError(Exception):
        pass

    def stop(progress: Progress) -> None:
        if progress.stage == "memories" and progress.n_tokens > 0.5 * progress.n_tokens_all > 0:
            raise StopError

    often = RunOptions(workers=0, checkpoint_s=0)
    with pytest.raises(StopError):
        build("stopped", *in_order, run=often, progress=stop)
    assert list((tmp_path / "stopped" / "work").glob("state-*.safetensors"))
    assert contents(build("stopped", *in_order, run=often)) == whole


def test_some_cells_have_the_bits_that_they_have_among_all(
    quadrants_of: Callable[[str], Index], tiny_folder: Callable[[str], Path], corpus: Path, tmp_path: Path
) -> None:
    whole = quadrants_of("mixtral")
    some = build_index(
        tiny_folder("mixtral"), corpus, tmp_path, options=replace(OPTIONS, cells="L1.5,L1.40-47"), run=IN_PROCESS
    )
    assert some["L1.e2.41"].quadrants == whole["L1.e2.41"].quadrants != whole["L1.e1.41"].quadrants
    assert verify_index(some).problems == ()


def test_a_cell_tells_its_quadrants(quadrants_of: Callable[[str], Index]) -> None:
    index = quadrants_of("llama")
    arrays = load_file(index.folder / "index" / "layers" / "L001.safetensors")
    n, cell = int(arrays["counts"][0, 0]), index["L1.7"]
    assert [(one.gate, one.up) for one in cell.quadrants] == list(SIGNS)
    assert 0.99 < sum(one.share for one in cell.quadrants) <= 1
    # the sum over all positions is that over the quadrants, with their signs
    assert sum(one.mean * one.n_positions for one in cell.quadrants) / n == pytest.approx(
        cell.statistics.mean, rel=1e-5
    )
    squares = sum(one.mean_square * one.n_positions for one in cell.quadrants) / n
    assert squares == pytest.approx(cell.statistics.mean_square, rel=1e-5)
    assert cell.triggers[0] in (cell.quadrants[0].triggers[0], cell.quadrants[3].triggers[0])
    largest = [one.largest for one in cell.quadrants]
    assert max(largest) == cell.statistics.maximum and min(largest) == cell.statistics.minimum
    told = cell.to_json()["quadrants"][1]
    assert (told["gate"], told["up"], len(told["triggers"])) == (1, -1, OPTIONS.top) and told["mean"] < 0
    assert [len(one.triggers) for one in index.cell("L1.7", 2).quadrants] == [2] * 4


def changed(index: Index, folder: Path, change: Callable[[dict[str, np.ndarray]], object]) -> Index:
    """A copy of an index with other arrays in one of its layers, and a manifest that agrees with them."""
    shutil.copytree(index.folder, folder)
    path = folder / "index" / "layers" / "L001.safetensors"
    arrays = load_file(path)
    change(arrays)
    save_file(arrays, path)
    return agree(folder)


DAMAGE: dict[str, Callable[[dict[str, np.ndarray]], object]] = {
    "has the wrong sign": lambda a: a["quadrant_coefficient"].__setitem__((3, 1, 0), 1e9),
    "is not in order": lambda a: a["quadrant_coefficient"].__setitem__((3, 0, 1), 1e9),
    "lies past the last": lambda a: a["quadrant_token"].__setitem__((3, 2, 0), 10**6),
    "more positions than it saw": lambda a: a["quadrant_n_active"].__setitem__((2, 5), 10**6),
    "positive coefficients are not as many": lambda a: a["quadrant_n_active"].__setitem__((0, 5), 0),
    "is in none": lambda a: a["quadrant_maximum"].__setitem__((slice(None), 5), 0),
    "a first trigger": lambda a: a["quadrant_maximum"].__imul__(np.float32(0.5)),
}


@pytest.mark.parametrize("told", DAMAGE)
def test_damage_is_told(told: str, quadrants_of: Callable[[str], Index], tmp_path: Path) -> None:
    index = changed(quadrants_of("llama"), tmp_path / "copy", DAMAGE[told])
    problems = verify_index(index, with_model=False).problems
    assert any(told in one for one in problems) and all("layer L1, by quadrant: " in one for one in problems)


def test_what_only_the_model_can_tell_is_told(quadrants_of: Callable[[str], Index], tmp_path: Path) -> None:
    index = quadrants_of("llama")
    found = verify_index(index, n_batches=100)
    assert found.problems == () and found.same_bytes
    # 3 layers of 48 cells with lists of both signs, and of 4 quadrants; every one is full
    assert found.n_triggers == 3 * 48 * (2 + 4) * OPTIONS.top

    def swap(arrays: dict[str, np.ndarray]) -> None:
        for name, array in arrays.items():
            if name.startswith("quadrant_"):
                axis = 0 if name in ("quadrant_n_active", "quadrant_maximum") else 1
                arrays[name] = np.ascontiguousarray(array.take([3, 1, 2, 0], axis))

    turned = changed(index, tmp_path / "copy", swap)  # both open and both closed give positive coefficients
    assert verify_index(turned, with_model=False).problems == ()
    problems = verify_index(turned, n_batches=100).problems
    assert any("is stored as" in one for one in problems) and any(
        "is not among the triggers" in one for one in problems
    )
    assert all(one.startswith(("L1.", "recomputed coefficients differ")) for one in problems)


def test_what_has_no_quadrants_is_refused(tiny_folder: Callable[[str], Path], corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"the cells of .* are not gated.*Leave --quadrants out"):
        build_index(tiny_folder("gpt2"), corpus, tmp_path / "a", options=OPTIONS, run=IN_PROCESS)
    turned = Path(shutil.copytree(tiny_folder("llama"), tmp_path / "model"))
    config = json.loads((turned / "config.json").read_bytes()) | {"hidden_act": "sigmoid"}
    (turned / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match="sigmoid, is not known to keep the sign of its gate"):
        build_index(turned, corpus, tmp_path / "b", options=OPTIONS, run=IN_PROCESS)
    with pytest.raises(InputError, match="--quadrants is given with --device cuda"):
        IndexOptions(quadrants=True, device="cuda")
    without = build_index(
        tiny_folder("llama"), corpus, tmp_path / "c", options=replace(OPTIONS, quadrants=False), run=IN_PROCESS
    )
    with pytest.raises(InputError, match="quadrants"):
        build_index(tiny_folder("llama"), corpus, without.folder, options=OPTIONS, run=IN_PROCESS)
