"""Which checks are made of an index, in which order, and what is not asked of a damaged one."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from ffmem import Index, InputError, open_index
from ffmem.index.verification.verify import verify_index
from ffmem.store.fields import layer_arrays


def test_everything_is_looked_at_once(index_of: Callable[[str], Index]) -> None:
    index, said = index_of("gpt2"), []
    found = verify_index(index, n_batches=2, progress=said.append)
    assert said == ["files", "arrays", "names", "triggers, with the model"]
    assert (found.n_files, found.n_arrays) == (3 + index.n_layers, len(layer_arrays()) * index.n_layers)
    assert found.problems == () and found.same_bytes is True and found.largest_error == 0.0
    assert found.n_triggers > 0 and found.n_alone == 6 and found.largest_error_alone is not None
    assert found.identities == index.manifest.certificate.errors


def test_without_the_model_nothing_is_said_of_triggers(index_of: Callable[[str], Index]) -> None:
    said: list[str] = []
    found = verify_index(index_of("gpt2"), with_model=False, model="nowhere", progress=said.append)
    assert said == ["files", "arrays", "names"] and found.problems == ()
    assert (found.n_triggers, found.n_comparisons, found.n_alone) == (0, 0, 0)
    assert found.largest_error is found.same_bytes is found.largest_error_alone is found.identities is None


def test_a_model_is_not_asked_about_a_damaged_index(index_of: Callable[[str], Index], tmp_path: Path) -> None:
    copy = Path(shutil.copytree(index_of("gpt2").folder, tmp_path / "copy"))
    path = copy / "index" / "tokenizer.json"
    path.write_bytes(path.read_bytes().replace(b":", b" ", 1))
    found = verify_index(open_index(copy), model="nowhere")
    assert found.problems == ("index/tokenizer.json has changed: its SHA-256 is not that of the manifest",)
    with pytest.raises(InputError, match="nowhere"):  # as it would be of a sound one
        verify_index(index_of("gpt2"), model="nowhere")


def test_a_layer_that_cannot_be_read_does_not_hide_the_others(index_of: Callable[[str], Index], tmp_path: Path) -> None:
    copy = Path(shutil.copytree(index_of("gpt2").folder, tmp_path / "copy"))
    for layer in (0, 2):
        path = copy / "index" / "layers" / f"L{layer:03}.safetensors"
        data = path.read_bytes()
        path.write_bytes(b"\xff" * 8 + data[8:])
    (copy / "index" / "layers" / "more").touch()
    problems = verify_index(open_index(copy), with_model=False).problems
    hashes, extra, damaged = problems[:2], problems[2], problems[3:]
    assert [text.partition(" ")[0] for text in hashes] == [f"index/layers/L00{n}.safetensors" for n in (0, 2)]
    assert extra.startswith("index/layers/more is not in the manifest")
    assert len(damaged) == 2 and all(
        f"L00{layer}.safetensors is damaged: " in text for layer, text in zip((0, 2), damaged, strict=True)
    )


def test_other_seeds_draw_other_batches_and_the_same_seed_the_same(index_of: Callable[[str], Index]) -> None:
    index = index_of("gpt2")
    found = [verify_index(index, n_batches=1, seed=seed) for seed in (0, 1, 0)]
    assert found[0] == found[2] and found[0].n_triggers != found[1].n_triggers
