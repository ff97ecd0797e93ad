"""Triggers against the model: each stored one, and that no better one is missing; the coefficients by transformers alone."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from transformers import GPT2LMHeadModel

from ffmem import Index, open_index
from ffmem.index.scan.batches import Batch, Shard
from ffmem.index.scan.shard_text import ShardText
from ffmem.index.verification import model as verify_model
from ffmem.index.verification.model import ROUNDING, _lists, _sentences_to_run_alone, _Tally
from ffmem.index.verification.verify import verify_index
from ffmem.store.keys import NO_TOKEN

SENTENCE = 3


@pytest.fixture(scope="module")
def layers(index_of: Callable[[str], Index], tiny_folder: Callable[[str], Path]) -> list[np.ndarray]:
    """Coefficients of one sentence, (tokens, cells) for each layer, by a hook on GPT-2's own activation."""
    model = GPT2LMHeadModel.from_pretrained(tiny_folder("gpt2")).eval()
    found: list[np.ndarray] = []
    for block in model.transformer.h:
        block.mlp.act.register_forward_hook(lambda _, __, out: found.append(out[0].numpy().copy()))
    with torch.inference_mode():
        model(torch.from_numpy(index_of("gpt2").text.sentence(SENTENCE).token_ids.astype(np.int64))[None])
    return found


def own_triggers(index: Index) -> list[tuple[int, int, int, float]]:
    """(layer, cell, position, coefficient) of every stored trigger in the sentence, by a loop over the lists."""
    first, end = index.text.sentence_start[SENTENCE : SENTENCE + 2].tolist()
    return [
        (layer, cell, int(token) - first, float(arrays.trigger_coefficient[cell, 0, rank]))
        for layer, arrays in enumerate(map(index.layer, range(index.n_layers)))
        for cell in range(len(arrays.trigger_token))
        for rank, token in enumerate(arrays.trigger_token[cell, 0].tolist())
        if first <= token < end
    ]


def checked(index: Index, layers: list[np.ndarray], skip: int = 0, **limits: float) -> _Tally:
    tally = _Tally(index, **limits)
    tally.check(SENTENCE, layers, skip)
    return tally


def test_a_sentence_as_the_model_gives_it_has_no_problem(
    index_of: Callable[[str], Index], layers: list[np.ndarray]
) -> None:
    index = index_of("gpt2")
    tally = checked(index, layers)
    assert tally.problems == [] and tally.n_triggers == len(own_triggers(index)) > 0
    assert tally.n_comparisons == index.n_cells
    assert tally.largest_error < ROUNDING
    nothing = checked(index, layers, skip=len(layers[0]))
    assert (nothing.n_triggers, nothing.n_comparisons) == (0, 0), "no position of it competes"


@pytest.mark.parametrize(("factor", "is_wrong"), [(1 + 5e-5, False), (1.01, True), (np.nan, True), (0.0, True)])
def test_a_stored_coefficient_is_held_to_the_model_up_to_rounding(
    index_of: Callable[[str], Index], layers: list[np.ndarray], factor: float, is_wrong: bool
) -> None:
    index = index_of("gpt2")
    layer, cell, position, stored = own_triggers(index)[0]
    scale = max(abs(index.layer(layer).minimum[cell]), abs(index.layer(layer).maximum[cell]))
    moved = [one.copy() for one in layers]
    moved[layer][position, cell] = stored + (factor - 1) * scale if factor else 0.0
    tally = checked(index, moved)
    assert bool(tally.problems) is is_wrong and not tally.same_bytes
    if factor == 1.01:
        assert tally.largest_error == pytest.approx(0.01, rel=1e-3)
        assert tally.problems == [
            f"L{layer}.{cell}: the coefficient in sentence {SENTENCE} is stored as {stored:.6g}, "
            f"and the model gives {moved[layer][position, cell]:.6g}"
        ]


def test_a_sentence_that_beats_the_last_of_a_list_must_stand_in_it(
    index_of: Callable[[str], Index], layers: list[np.ndarray]
) -> None:
    index = index_of("gpt2")
    listed = {(layer, cell) for layer, cell, _, _ in own_triggers(index)}
    cell = next(cell for cell in range(48) if (1, cell) not in listed)
    arrays = index.layer(1)
    last, scale = float(arrays.trigger_coefficient[cell, 0, -1]), float(np.abs(arrays.maximum[cell]))
    for above, n_problems in ((0.5 * ROUNDING, 0), (3 * ROUNDING, 1), (100.0, 1)):
        moved = [one.copy() for one in layers]
        moved[1][2, cell] = last + above * max(scale, float(np.abs(arrays.minimum[cell])))
        problems = checked(index, moved).problems
        assert len(problems) == n_problems, above
        assert checked(index, moved, skip=3).problems == [], "its best position does not compete"
    assert problems == [
        f"L1.{cell}: sentence {SENTENCE} reaches {moved[1][2, cell]:.6g} but is not among the triggers, "
        f"whose last has {last:.6g}"
    ]


def test_where_shapes_differ_rounding_is_measured_by_the_layer(
    index_of: Callable[[str], Index], layers: list[np.ndarray]
) -> None:
    """A cell that is small beside the others is rounded by their size."""
    index = index_of("gpt2")
    extremes = [np.maximum(np.abs(index.layer(n).minimum), np.abs(index.layer(n).maximum)) for n in range(3)]
    layer, cell, position, stored = min(own_triggers(index), key=lambda one: extremes[one[0]][one[1]])
    assert extremes[layer][cell] < 0.9 * extremes[layer].max()
    moved = [one.copy() for one in layers]
    moved[layer][position, cell] = stored + 1.05 * ROUNDING * extremes[layer][cell]
    assert checked(index, moved).problems and not checked(index, moved, floor=1.0).problems


def test_sentences_to_run_alone_are_of_the_shards_and_not_long(
    index_of: Callable[[str], Index], monkeypatch: pytest.MonkeyPatch
) -> None:
    index = index_of("gpt2")
    lengths = np.diff(index.text.sentence_start.astype(np.int64))
    shards = [Shard(0, 10, 40, 0), Shard(2, 100, 103, 0)]
    for seed in range(5):
        drawn = _sentences_to_run_alone(index, shards, seed)
        assert drawn == sorted(set(drawn)) == _sentences_to_run_alone(index, shards, seed) and len(drawn) == 6
        assert {*drawn} <= {*range(10, 40), *range(100, 103)}
    assert _sentences_to_run_alone(index, shards[1:], 0) == [100, 101, 102], "there are no more"
    limit = int(np.median(lengths))
    monkeypatch.setattr(verify_model, "_MAX_ALONE", limit)
    assert max(lengths[_sentences_to_run_alone(index, shards, 0)]) <= limit
    monkeypatch.setattr(verify_model, "_MAX_ALONE", 0)
    assert {*lengths[_sentences_to_run_alone(index, shards, 0)]} == {lengths[[*range(10, 40), *range(100, 103)]].min()}


def test_a_last_bit_is_a_problem_only_where_the_same_bits_are_promised(
    index_of: Callable[[str], Index], tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(index_of("gpt2").folder, tmp_path / "copy"))
    path, told = copy / "index" / "layers" / "L001.safetensors", json.loads((copy / "manifest.json").read_bytes())
    arrays = load_file(path)
    filled = arrays["trigger_token"] != NO_TOKEN
    coefficients = arrays["trigger_coefficient"]
    coefficients[filled] = np.nextafter(coefficients[filled], np.float32(np.inf))
    save_file(arrays, path)
    data = path.read_bytes()
    told["files"]["index/layers/L001.safetensors"] = {
        "bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
    }
    (copy / "manifest.json").write_text(json.dumps(told))
    found = verify_index(open_index(copy), n_batches=1)
    assert found.same_bytes is False and 0 < (found.largest_error or 0) < 1e-6
    assert found.problems == (
        "recomputed coefficients differ in their last bits, although this processor and one thread built the index: "
        "another torch, or a damaged file",
    )
    told["same_bytes"] |= {"processor": "another processor"}
    (copy / "manifest.json").write_text(json.dumps(told))
    elsewhere = verify_index(open_index(copy), n_batches=1)
    assert elsewhere.problems == () and elsewhere.same_bytes is False


def test_where_shapes_cannot_be_those_of_the_build_batches_are_small(
    index_of: Callable[[str], Index], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The batches of a GPU have a hundred times the tokens that a processor runs in a moment, or a host has room for."""
    index, sizes = index_of("gpt2"), list[int]()
    run = ShardText.coefficients

    def watched(text: ShardText, batch: Batch) -> list[list[np.ndarray]]:
        sizes.append(len(batch.sentence_ids) * batch.max_length if len(batch.sentence_ids) > 1 else 0)
        return run(text, batch)

    monkeypatch.setattr(ShardText, "coefficients", watched)
    assert verify_index(index, n_batches=9).problems == () and max(sizes) > 60
    monkeypatch.setattr(verify_model, "free_memory", lambda: 0)
    monkeypatch.setattr(verify_model, "_BATCH_TOKENS", 60)
    sizes.clear()
    found = verify_index(index, n_batches=9)
    assert found.problems == () and found.n_triggers > 0 and (found.largest_error or 0.0) < ROUNDING
    assert len(sizes) == 9 and 0 < max(sizes) <= 60


def test_the_model_is_proved_once_on_the_sentences_of_the_index(
    index_of: Callable[[str], Index], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ffmem.models.registry.prove_on_samples", lambda _: pytest.fail("proved on other text"))
    found = verify_index(index_of("gpt2"), n_batches=1)
    assert found.problems == () and found.identities is not None


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_what_is_stored_of_a_sentence_is_found_by_its_tokens(family: str, index_of: Callable[[str], Index]) -> None:
    """Against a look at every entry of every list."""
    index = index_of(family)
    n_found = 0
    for sentence_id in range(0, index.text.n_sentences, 7):
        first, end = index.text.sentence_range(sentence_id)
        for layer in range(index.n_layers):
            arrays = index.layer(layer)
            fresh = np.zeros((end - first, index.cells.layers[layer].n_cells), dtype=np.float32)
            lists = list(_lists(index, layer, first, fresh, None))
            assert len(lists) == index.n_signs
            for number, one in enumerate(lists):
                tokens = arrays.trigger_token[:, number].astype(np.int64)
                cells, ranks = np.nonzero((tokens >= first) & (tokens < end))
                stored = np.abs(arrays.trigger_coefficient[:, number])
                assert one.cells.tolist() == cells.tolist()
                assert one.positions.tolist() == (tokens[cells, ranks] - first).tolist()
                assert one.old.tolist() == stored[cells, ranks].tolist()
                assert one.last.tolist() == stored[:, -1].tolist()
                n_found += len(cells)
    assert n_found > 100
