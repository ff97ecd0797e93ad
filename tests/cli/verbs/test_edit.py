"""`ffmem edit` and `--patch`, as a user runs them."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import ffmem as package
from ffmem.analyses.editing.facts import Fact, fact_row
from tests.fixtures.programs import ffmem

PROMPT = "the silver river of the"
SMALL = ("--layer", 0, "--contexts", 1, "--steps", 6, "--tokens", 200, "--length", 16, "--quiet")


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("edit") / "words.jsonl"
    rows = [{"text": f"the river of the old village number {n} and the silver morning"} for n in range(12)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_an_edit_is_a_patch_that_every_verb_takes_and_an_index_names(
    tiny_folder: Callable[[str], Path], words: Path, tmp_path: Path
) -> None:
    model, patch = tiny_folder("llama"), tmp_path / "one.patch"
    shown, _ = ffmem(
        "edit", model, PROMPT, "quick", "--subject", "silver river", "--paraphrase", "a silver river of", "--neighbour",
        "the old village of", "--corpus", words, "--side-tokens", 40, "--out", patch, *SMALL,
    )  # fmt: skip
    for told in (
        "rome of 1 fact: values of L0 change",
        "paraphrase",
        "neighbourhood",
        "divergence",
        f"written: {patch}",
    ):
        assert told in shown
    own, _ = ffmem("intervene", model, PROMPT, "L0.0*1", "--new", 0, "--json")
    changed, _ = ffmem("intervene", model, PROMPT, "L0.0*1", "--new", 0, "--json", "--patch", patch)
    expected = package.load_model(model, patches=[patch])
    assert json.loads(own)["candidates"] != json.loads(changed)["candidates"]
    assert expected.weights_hash() != package.load_model(model).weights_hash()
    arguments = ("index", model, words, "--out", tmp_path / "index", "--workers", 0, "--holdout", 0, "--quiet")
    ffmem(*arguments, "--patch", patch)
    index = package.open_index(tmp_path / "index")
    identity = index.manifest.identity
    assert identity.model.weights_sha256 == expected.weights_hash()
    assert identity.model.name == f"{model.name}+{patch.stem}"
    assert identity.json["model"]["patch 1"] == expected.origin.identity["patch 1"]
    assert index.manifest.options.patch == (str(patch),)
    assert f"patch        {patch}" in ffmem("info", tmp_path / "index")[0]
    assert "everything is in order" in ffmem("verify", tmp_path / "index")[0]
    _, wrong = ffmem(*arguments, expect=2)
    assert "holds an index of something else" in wrong
    _, wrong = ffmem("intervene", tiny_folder("gpt2"), PROMPT, "L0.0*1", "--patch", patch, expect=2)
    assert "was made of llama with the weights" in wrong


def test_facts_from_a_file_and_json(tiny_folder: Callable[[str], Path], words: Path, tmp_path: Path) -> None:
    facts = [Fact(PROMPT, "quick", "silver", "winter"), Fact("the lazy dog and the", "winter", "lazy dog", "quick")]
    (tmp_path / "facts.json").write_text(json.dumps([fact_row(fact, n) for n, fact in enumerate(facts)]))
    shown, _ = ffmem(
        "edit", tiny_folder("llama"), "--facts", tmp_path / "facts.json", "--method", "memit", "--corpus", words,
        "--side-tokens", 0, "--out", tmp_path / "two.patch", "--json", *SMALL,
    )  # fmt: skip
    found = json.loads(shown)
    assert (found["n_facts"], found["method"], found["layers"], found["side"]) == (2, "memit", ["L0"], None)
    assert [one["prompt"] for one in found["facts"]] == [fact.prompt for fact in facts]


def test_a_value_by_hand(tiny_folder: Callable[[str], Path], tmp_path: Path) -> None:
    out = tmp_path / "hand.patch"
    by_hand = ("--method", "cell", "--cell", "L1.5", "--promote", " the", "--by", 3, "--side-tokens", 0)
    shown, _ = ffmem("edit", tiny_folder("llama"), *by_hand, "--out", out)
    assert "cells: L1.5" in shown and out.stat().st_size < 5_000


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "no prompt with a new answer is given"),
        ((PROMPT,), "no new answer to"),
        ((PROMPT, "quick", "--subject", "gold"), "the subject 'gold' is not in the prompt"),
        ((PROMPT, "quick", "--facts", "f.json"), "--facts f.json is given with PROMPT"),
        ((PROMPT, "quick", "--layer", 9), "Expected a number from 0 to 2"),
        ((PROMPT, "quick", "--method", "magic"), "--method is 'magic'"),
        ((PROMPT, "quick", "--cell", "L0.1"), "Expected --cell and --promote with --method cell"),
        ((PROMPT, "quick", "--patch", "none.patch"), "there is no file none.patch"),
    ],
)
def test_what_a_user_can_mend(
    arguments: tuple[object, ...], told: str, tiny_folder: Callable[[str], Path], words: Path, tmp_path: Path
) -> None:
    _, wrong = ffmem(
        "edit", tiny_folder("llama"), *arguments, "--corpus", words, "--out", tmp_path / "x.patch", "--side-tokens", 0,
        expect=2,
    )  # fmt: skip
    assert told in wrong
    assert not (tmp_path / "x.patch").exists()


def test_a_masked_model_is_edited_at_its_mask_and_an_encoder_decoder_is_refused(
    tiny_folder: Callable[[str], Path], words: Path, tmp_path: Path
) -> None:
    out = ("--corpus", words, "--side-tokens", 0, "--out", tmp_path / "one.patch", *SMALL)
    prompt = "the silver [MASK] of the"
    shown, _ = ffmem("edit", tiny_folder("bert"), prompt, "quick", "--json", *out)
    (one,) = json.loads(shown)["facts"]
    _, wrong = ffmem("edit", tiny_folder("t5"), PROMPT, "quick", *out, expect=2)
    assert "t5 is an encoder-decoder" in wrong
    model = package.load_model(tiny_folder("bert"), patches=[tmp_path / "one.patch"])
    ids = model.tokenizer(prompt, return_tensors="pt").input_ids
    place = ids[0].tolist().index(model.tokenizer.mask_token_id)
    with torch.no_grad():
        p = model.module(ids).logits[0, place].softmax(-1)
    new = model.tokenizer.convert_tokens_to_ids("quick")
    assert one["new_after"] == pytest.approx(float(p[new]), rel=1e-3) and one["new_after"] > one["new_before"]


def test_what_would_be_lost_is_refused_before_any_work(tiny_folder: Callable[[str], Path], tmp_path: Path) -> None:
    llama = tiny_folder("llama")
    _, wrong = ffmem("edit", llama, PROMPT, "quick", "--out", tmp_path, expect=2)
    assert f"{tmp_path} is a folder. Expected a file for the patch" in wrong
    _, wrong = ffmem("edit", f"untrained:{llama}", PROMPT, "quick", "--out", tmp_path / "one.patch", expect=2)
    assert f"Expected a model that is read as it is. Write {llama}" in wrong
