"""The model of an index, loaded again: the same weights, run as both proofs say, or refused."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

import ffmem
from ffmem import Index, InputError
from ffmem.index.indexed_model import adopt_proof, load_indexed_model
from ffmem.index.verification.verify import verify_index
from ffmem.models.base import Batching
from ffmem.store.manifest import Certificate
from tests.fixtures.programs import ffmem as ffmem_runs


def test_it_is_the_model_that_was_indexed(index_of: Callable[[str], Index], tiny_folder: Callable[[str], Path]) -> None:
    found = load_indexed_model(index_of("gpt2"))
    plain = AutoModelForCausalLM.from_pretrained(tiny_folder("gpt2")).eval()
    ids = torch.tensor([[5, 6, 7, 300]])
    with torch.inference_mode():
        torch.testing.assert_close(found.logits(ids), plain(ids).logits)
    assert found.module.dtype == torch.float32 and not found.module.training


def built_elsewhere(index: Index, to: Path) -> Index:
    """A copy of an index that says that it was built on a GPU which is not here."""
    shutil.copytree(index.folder, to)
    text = (to / "manifest.json").read_text()
    assert '"device": "cpu"' in text
    (to / "manifest.json").write_text(text.replace('"device": "cpu"', '"device": "cuda:99"'))
    return ffmem.open_index(to)


def test_an_index_of_a_gpu_is_asked_and_verified_without_one(index_of: Callable[[str], Index], tmp_path: Path) -> None:
    index = built_elsewhere(index_of("gpt2"), tmp_path / "index")
    assert load_indexed_model(index).device.type == "cpu"
    found = verify_index(index, n_batches=2)
    assert found.problems == () and found.n_triggers > 0
    shown, _ = ffmem_runs("verify", tmp_path / "index", "--device", "cpu")
    assert "everything is in order" in shown


def test_a_device_that_is_asked_for_must_be_there(index_of: Callable[[str], Index]) -> None:
    with pytest.raises(InputError, match=r"--device is 'cuda:99'"):
        load_indexed_model(index_of("gpt2"), device="cuda:99")
    with pytest.raises(InputError, match=r"--device is 'cuda:99'"):
        verify_index(index_of("gpt2"), device="cuda:99")


def test_a_model_that_was_moved_is_found_where_it_is_said_to_be(
    index_of: Callable[[str], Index], tiny_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    shutil.copytree(tiny_folder("gpt2"), tmp_path / "moved")
    assert load_indexed_model(index_of("gpt2"), str(tmp_path / "moved")).weights_hash() == (
        index_of("gpt2").manifest.identity.model.weights_sha256
    )


def test_another_model_is_refused(index_of: Callable[[str], Index], tiny_folder: Callable[[str], Path]) -> None:
    index, other = index_of("gpt2"), tiny_folder("llama")
    with pytest.raises(InputError) as told:
        load_indexed_model(index, str(other))
    expected = index.manifest.identity.model.weights_sha256[:16]
    assert str(told.value) == (
        f"the model at {other} has other weights than the one that {index.folder} was built from. "
        f"Expected weights with SHA-256 {expected}... Say where that model is: --model FOLDER."
    )


def test_a_patch_that_was_moved_is_to_be_put_back(
    index_of: Callable[[str], Index], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = index_of("gpt2")
    gone = str(tmp_path / "gone.patch")
    identity = replace(index.manifest.identity, options=replace(index.manifest.options, patch=(gone,)))
    monkeypatch.setattr(index, "manifest", replace(index.manifest, identity=identity))
    with pytest.raises(InputError) as told:
        load_indexed_model(index)
    assert str(told.value) == (
        f"the patch {gone}, with which the model of {index.folder} was read, is not there. Expected the file that `ffmem edit` "
        f"wrote, where it was when the index was built. Put it back: cp PATCH {gone}."
    )


@pytest.mark.parametrize(
    ("of_model", "of_index", "expected"),
    [
        (Batching(True), Batching(True), Batching(True)),
        (Batching(True), Batching(False, "equal-length"), Batching(False, "equal-length")),
        (Batching(False, "alone"), Batching(True, "padded", fresh=True), Batching(False, "alone", True)),
        (Batching(True, "equal-length"), Batching(True, "alone"), Batching(True, "alone")),
    ],
)
def test_what_is_right_by_both_proofs_is_done(
    of_model: Batching,
    of_index: Batching,
    expected: Batching,
    index_of: Callable[[str], Index],
    tiny_folder: Callable[[str], Path],
) -> None:
    """An index may have longer sentences than the samples that the model was tried on, and the other way round."""
    manifest, model = index_of("gpt2").manifest, ffmem.load_model(tiny_folder("gpt2"), proved=False)
    model.adopt(of_model)
    proof = manifest.certificate.proof
    assert proof is not None
    certificate = replace(manifest.certificate, proof=replace(proof, batching=vars(of_index)))
    adopt_proof(model, replace(manifest, certificate=certificate))
    assert model.batching == expected and model.facts.causal is expected.causal


def test_an_index_without_a_proof_says_nothing(
    index_of: Callable[[str], Index], tiny_folder: Callable[[str], Path]
) -> None:
    manifest, model = index_of("gpt2").manifest, ffmem.load_model(tiny_folder("gpt2"), proved=False)
    model.adopt(Batching(True, "alone"))
    certificate: Certificate = replace(manifest.certificate, proof=None)
    adopt_proof(model, replace(manifest, certificate=certificate))
    assert model.batching == Batching(True, "alone")
