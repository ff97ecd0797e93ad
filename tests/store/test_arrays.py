"""One test for each way in which an index on disk can be wrong: a clear error, never a wrong answer."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ffmem import Index, StoreError, open_index
from ffmem.index.verification.verify import verify_index
from ffmem.store.files import map_arrays, sha256_of

LAYER = "index/layers/L001.safetensors"


@pytest.fixture
def copy(index_of: Callable[[str], Index], tmp_path: Path) -> Path:
    """An index one may damage."""
    shutil.copytree(index_of("llama").folder, tmp_path / "index")
    return tmp_path / "index"


def change_manifest(folder: Path, **changes: object) -> None:
    manifest = json.loads((folder / "manifest.json").read_bytes())
    (folder / "manifest.json").write_text(json.dumps(manifest | changes))


def renew_manifest(folder: Path) -> None:
    """Make the manifest agree with damaged files, so that only deeper checks can find the damage."""
    manifest = json.loads((folder / "manifest.json").read_bytes())
    for name in manifest["files"]:
        path = folder / name
        manifest["files"][name] = {"bytes": path.stat().st_size, "sha256": sha256_of(path)}
    (folder / "manifest.json").write_text(json.dumps(manifest))


def test_a_sound_index_has_no_problems(copy: Path) -> None:
    found = verify_index(open_index(copy), with_model=False)
    assert found.problems == () and found.n_files == 3 + open_index(copy).n_layers


def test_a_file_that_no_build_wrote(copy: Path) -> None:
    (copy / "index" / "layers" / "L000.old").write_bytes(b"")
    (copy / "results").mkdir()
    (copy / "results" / "mine.json").write_text("{}")  # what people add lies beside the index
    (problem,) = verify_index(open_index(copy), with_model=False).problems
    assert problem.startswith("index/layers/L000.old is not in the manifest")


def test_no_index(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"there is no index in .*ffmem index MODEL CORPUS --out"):
        open_index(tmp_path / "nothing")


def test_an_unfinished_index(copy: Path) -> None:
    (copy / "manifest.json").unlink()
    (copy / "work").mkdir()
    with pytest.raises(StoreError, match=r"is not finished.*resumes where it stopped"):
        open_index(copy)


def test_a_newer_format(copy: Path) -> None:
    change_manifest(copy, format=3)
    with pytest.raises(StoreError, match=r"has format 3\. This build reads 1-1\. Upgrade ffmem, or rebuild it"):
        open_index(copy)


@pytest.mark.parametrize("content", ["", "{", "[1]", '{"format": "1"}', '{"model": {}}', "\x00\x01"])
def test_a_damaged_manifest(copy: Path, content: str) -> None:
    (copy / "manifest.json").write_text(content)
    with pytest.raises(StoreError, match=r"manifest\.json is damaged"):
        open_index(copy)


def test_a_truncated_file(copy: Path) -> None:
    path = copy / LAYER
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(StoreError, match=r"L001\.safetensors has [\d,]+ bytes\. The manifest says"):
        open_index(copy)


def test_a_missing_file(copy: Path) -> None:
    (copy / "index" / "text.sqlite").unlink()
    with pytest.raises(StoreError, match=r"text\.sqlite is missing"):
        open_index(copy)


@pytest.mark.parametrize("name", [LAYER, "index/text.sqlite", "index/tokens.safetensors"])
def test_a_flipped_bit_is_found_by_verify(copy: Path, name: str) -> None:
    data = bytearray((copy / name).read_bytes())
    data[len(data) // 2] ^= 16
    (copy / name).write_bytes(data)
    found = verify_index(open_index(copy), with_model=False)
    assert any("SHA-256" in problem and name in problem for problem in found.problems)


def rewrite(folder: Path, name: str, change: Callable[[np.ndarray], None]) -> None:
    """Change an array in place, and let the manifest agree."""
    path = folder / LAYER
    header_bytes = int.from_bytes(path.read_bytes()[:8], "little")
    header = json.loads(path.read_bytes()[8 : 8 + header_bytes])
    begin, _ = header[name]["data_offsets"]
    array = map_arrays(path)[name]
    stored = np.memmap(path, dtype=array.dtype, mode="r+", offset=8 + header_bytes + begin, shape=array.shape)
    change(stored)
    stored.flush()
    renew_manifest(folder)


def swap_first_two(array: np.ndarray) -> None:
    array[0, 0, [0, 1]] = array[0, 0, [1, 0]]


@pytest.mark.parametrize(
    ("name", "change", "problem"),
    [
        ("trigger_coefficient", lambda a: a.__setitem__((0, 0, 0), -1), "wrong sign"),
        ("trigger_coefficient", swap_first_two, "not in order"),
        ("trigger_token", lambda a: a.__setitem__((0, 0, 0), 2**31), "past the last of"),
        (
            "slot_by_token",
            lambda a: a.__setitem__(slice(None), a[::-1].copy()),
            "from sentences to cells is not in order",
        ),
        ("promoted_scores", lambda a: a.__setitem__((0, 0), np.nan), "not a finite number"),
        ("promoted_ids", lambda a: a.__setitem__((0, 0), 2**30), "not in the vocabulary"),
        ("histogram", lambda a: a.__setitem__((0, 0, 0), 10**6), "does not count each sentence once"),
    ],
)
def test_ranges_are_checked_even_where_hashes_agree(
    copy: Path, name: str, change: Callable[[np.ndarray], None], problem: str
) -> None:
    rewrite(copy, name, change)
    found = verify_index(open_index(copy), with_model=False)
    assert any(problem in text for text in found.problems), found.problems


def test_verify_finds_a_coefficient_that_the_model_does_not_give(copy: Path) -> None:
    sound = verify_index(open_index(copy), n_batches=1000)
    assert sound.problems == () and sound.same_bytes and sound.largest_error == 0.0
    assert sound.n_triggers == sum(
        len(open_index(copy).cell(f"L{layer}.{i}").triggers)
        for layer in range(open_index(copy).n_layers)
        for i in range(open_index(copy).cells.layers[0].d_ff)
    )

    def inflate(array: np.ndarray) -> None:
        array[5, 0, 0] *= 1.5

    rewrite(copy, "trigger_coefficient", inflate)
    found = verify_index(open_index(copy), n_batches=1000)
    assert any(text.startswith("L1.5: the coefficient in sentence") for text in found.problems)
    assert not found.same_bytes


def test_verify_finds_a_trigger_that_was_left_out(copy: Path) -> None:
    def forget(array: np.ndarray) -> None:
        array[7, 0, :-1] = array[7, 0, 1:].copy()

    rewrite(copy, "trigger_coefficient", forget)
    rewrite(copy, "trigger_token", forget)
    index = open_index(copy)
    order = np.argsort(index.layer(1).trigger_token.reshape(-1), kind="stable").astype(np.uint32)
    rewrite(copy, "slot_by_token", lambda array: array.__setitem__(slice(None), order))
    found = verify_index(open_index(copy), n_batches=1000)
    assert any(text.startswith("L1.7: sentence") and "is not among the triggers" in text for text in found.problems)


def test_a_trigger_costs_at_most_twelve_bytes(index_of: Callable[[str], Index]) -> None:
    index = index_of("llama")
    arrays = index.layer(0)
    n_slots = index.cells.layers[0].n_cells * index.n_signs * index.top
    spent = arrays.trigger_coefficient.nbytes + arrays.trigger_token.nbytes + arrays.slot_by_token.nbytes
    assert spent / n_slots <= 12


def test_sentences_lead_to_the_cells_that_have_them(index_of: Callable[[str], Index]) -> None:
    index = index_of("llama")
    expected: dict[int, set[tuple[str, int, int, int]]] = {}
    for layer in range(index.n_layers):
        for i in range(index.cells.layers[0].d_ff):
            cell = index.cell(f"L{layer}.{i}")
            for trigger in cell.triggers:
                expected.setdefault(trigger.sentence_id, set()).add(
                    (str(cell.cell), trigger.sign, trigger.rank, trigger.position)
                )
    for sentence_id in range(index.text.n_sentences):
        found = index.cells_of_sentence(sentence_id)
        assert {(str(f.cell), f.sign, f.rank, f.position) for f in found} == expected.get(sentence_id, set())
