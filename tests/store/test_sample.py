"""What an index tells of the sample of a cell, against all coefficients of a tiny model and lots drawn by plain loops."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

import ffmem
from ffmem import Index, InputError, StoreError
from ffmem.index.scan.batches import plan_shards
from ffmem.index.scan.shard_text import ShardText, read_tokens
from tests.fixtures.indexes import SAMPLED
from tests.index.verification.test_files import agree
from tests.store.test_strata import lot, stratum_of

SIZE = SAMPLED.sample


@pytest.fixture(scope="module")
def all_coefficients(
    sampled_of: Callable[[str], Index], tiny_folder: Callable[[str], Path]
) -> Callable[[str], tuple[list[np.ndarray], list[tuple[int, int]]]]:
    """Of a family: for each layer (positions, cells), and the token index and lot of each competing position."""

    def compute(family: str) -> tuple[list[np.ndarray], list[tuple[int, int]]]:
        torch.set_num_threads(1)
        index, model = sampled_of(family), ffmem.load_model(tiny_folder(family))
        text = ShardText(read_tokens(index.folder / "index"), model, SAMPLED)
        shards = plan_shards(index.text.sentence_start, [index.text.n_sentences], SAMPLED.shard_tokens)
        rows: list[list[np.ndarray]] = [[] for _ in range(index.n_layers)]
        drawn = []
        for batch in (batch for shard in shards for batch in text.batches(shard)):
            for sentence_id, layers in zip(batch.sentence_ids, text.coefficients(batch), strict=True):
                first, end = index.text.sentence_range(sentence_id)
                ids = index.text.token_id[first:end].tolist()
                drawn += [(first + place, lot(ids, place, 0)) for place in range(1, len(ids))]
                for found, layer in zip(rows, layers, strict=True):
                    found.append(layer[1:])
        return [np.concatenate(found) for found in rows], drawn

    return compute


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_every_stratum_of_every_cell_holds_the_positions_of_smallest_hash_and_counts_all(
    family: str,
    sampled_of: Callable[[str], Index],
    all_coefficients: Callable[[str], tuple[list[np.ndarray], list[tuple[int, int]]]],
) -> None:
    index = sampled_of(family)
    layers, drawn = all_coefficients(family)
    for place, values in enumerate(layers):
        arrays = index.layer(place)
        for cell in range(values.shape[1]):
            column = values[:, cell].tolist()
            extremes = [max(column), min(column)]
            strata: dict[int, list[tuple[int, int, float]]] = {}
            for (token, draw), value in zip(drawn, column, strict=True):
                strata.setdefault(stratum_of(value, extremes, index.n_signs), []).append((-draw, token, value))
            for stratum in range(arrays.sample_count.shape[1]):
                found = sorted(strata.get(stratum, []))
                assert arrays.sample_count[cell, stratum] == len(found)
                tokens = [token for _, token, _ in found[:SIZE]] + [2**32 - 1] * (SIZE - len(found))
                assert arrays.sample_token[cell, stratum].tolist() == tokens
                stored = arrays.sample_coefficient[cell, stratum].tolist()
                assert stored == [value for _, _, value in found[:SIZE]] + [0.0] * (SIZE - len(found))


def by_hand(index: Index, cell: str, sign: int) -> Iterator[tuple[int, int, float, float]]:
    """(stratum, token, coefficient, weight) of a unit, in the arrays' order, those of other signs last of all."""
    place, row = index.cells.place(index.cell_id(cell))
    arrays = index.layer(place)
    own = range(9) if sign == 1 else range(9, 18)
    others = [number for number in range(arrays.sample_count.shape[1]) if number not in own]
    for number in [*own, *others]:
        tokens = [token for token in arrays.sample_token[row, number].tolist() if token != 2**32 - 1]
        for slot, token in enumerate(tokens):
            coefficient = float(arrays.sample_coefficient[row, number, slot]) * sign
            weight = int(arrays.sample_count[row, number]) / len(tokens)
            yield number - own[0] if number in own else 9, token, coefficient, weight


@pytest.mark.parametrize(("family", "sign"), [("gpt2", 1), ("llama", 1), ("llama", -1), ("mixtral", -1)])
def test_a_unit_has_its_own_strata_and_all_the_rest_as_silent(
    family: str, sign: int, sampled_of: Callable[[str], Index]
) -> None:
    index = sampled_of(family)
    for cell in [str(index.cells.cell_id(place, row)) for place in range(index.n_layers) for row in (0, 5)]:
        found, expected = index.sample(cell, sign), list(by_hand(index, cell, sign))
        assert list(zip(found.strata, found.tokens, found.coefficients, found.weights, strict=True)) == expected
        n_positions = index[cell].statistics.n_tokens
        assert found.counts.sum() == n_positions == pytest.approx(found.weights.sum())
        assert [found.weights[found.strata == s].sum() for s in range(10)] == pytest.approx(found.counts.tolist())
        assert (found.coefficients[found.strata < 9] > 0).all() and (found.coefficients[found.strata == 9] <= 0).all()


def test_a_cell_tells_its_strata_with_the_text_of_what_was_drawn(sampled_of: Callable[[str], Index]) -> None:
    index = sampled_of("llama")
    cell = index["L1.3"]
    signs = [one.sign for one in cell.strata]
    assert signs == sorted(signs, key=[1, -1, 0].index) and {1, -1} <= set(signs)
    assert sum(one.n_positions for one in cell.strata) == cell.statistics.n_tokens
    assert sum(one.share for one in cell.strata) == pytest.approx(1)
    assert cell.strata[0].high == cell.statistics.maximum
    arrays = index.layer(1)
    assert cell.strata[0].examples[0].coefficient == arrays.sample_coefficient[3, 0, 0]
    for one in cell.strata:
        assert one.n_drawn == min(one.n_positions, SIZE) == len(one.examples)
        for example in one.examples:
            assert one.low <= abs(example.coefficient) <= one.high or one.sign == 0
            assert example.tokens[example.position].strip() in example.text
    assert json.loads(json.dumps(cell.to_json()))["strata"][0]["n_positions"] == cell.strata[0].n_positions


def test_without_a_sample_it_is_said_how_to_build_one(
    index_of: Callable[[str], Index], sampled_of: Callable[[str], Index]
) -> None:
    plain = index_of("gpt2")
    assert plain["L0.1"].strata == () and "strata" not in plain["L0.1"].to_json()
    with pytest.raises(InputError, match=r"built without a sample of positions.*--sample 24") as error:
        plain.sample("L0.1")
    assert isinstance(error.value, InputError)
    with pytest.raises(InputError, match=r"a sample of L0\.1 is asked for by the sign -1\..*Expected 1"):
        sampled_of("gpt2").sample("L0.1", -1)


def test_a_sample_that_contradicts_its_counts_is_damage(sampled_of: Callable[[str], Index], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(sampled_of("gpt2").folder, tmp_path / "copy"))
    path = folder / "index" / "layers" / "L000.safetensors"
    arrays = load_file(path)
    arrays["sample_count"][1, 9] = 1
    save_file(arrays, path)
    damaged = agree(folder)
    for ask in (lambda: damaged.sample("L0.1"), lambda: damaged["L0.1"]):
        with pytest.raises(
            StoreError, match=r"L000\.safetensors is damaged: the sample of L0\.1 contradicts its counts"
        ):
            ask()
