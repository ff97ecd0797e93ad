"""Checkpoints of fairseq: read whole, read right, and nothing in them run."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import ffmem
from ffmem import InputError, ModelError, load_model
from ffmem.models.identities import measure_identities
from ffmem.models.loading.fairseq import read_dictionary
from tests.models.loading.fairseq_checkpoint import (
    CUTOFFS,
    N_WORDS,
    WORDS,
    FairseqMeters,
    checkpoint,
    log_probabilities,
    state_dict,
    write,
)

pytestmark = pytest.mark.usefixtures("cache")

TEXT = "w3 w14 w33 w0 w7 w20 w7"
"""Words of all three bands."""


def test_it_computes_what_the_weights_mean(tmp_path: Path) -> None:
    """Both forms of arguments, both of files, both of attention weights, with and without a final norm."""
    for number, (form, zipped, in_proj, final_norm) in enumerate(
        [
            ("old", False, True, False),
            ("old", True, False, False),
            ("new", True, False, False),
            ("new", True, False, True),
        ]
    ):
        state = state_dict(number, in_proj, final_norm)
        content = checkpoint(state, form, no_decoder_final_norm=not final_norm)
        model = load_model(f"fairseq:{write(tmp_path / str(number), content, zipped)}")
        token_ids = model.tokenizer(TEXT).input_ids
        assert [token_ids[0], token_ids[1], token_ids[3]] == [2, 7, 37]
        expected = log_probabilities(state, token_ids, final_norm)
        found = model.logits(torch.tensor([token_ids]))
        assert found is not None
        tails = expected[:, CUTOFFS[0] :]
        assert len(set(expected.argmax(1))) > 1 and np.ptp(tails) > 1  # words of the rarer bands matter
        np.testing.assert_allclose(found[0].numpy(), expected, rtol=0, atol=2e-5)
        np.testing.assert_allclose(np.exp(found[0].double().numpy()).sum(1), 1, rtol=1e-5)


def test_arguments_that_are_silent_take_the_defaults(tmp_path: Path) -> None:
    """A checkpoint of before `activation_fn`, and one whose last cutoff is the vocabulary's size."""
    content = checkpoint(state_dict(), adaptive_softmax_cutoff=[*CUTOFFS, N_WORDS], max_target_positions=None)
    del content["args"].activation_fn, content["args"].character_embeddings
    model = load_model(f"fairseq:{write(tmp_path / 'model', content)}")
    assert (model.facts.activation, model.facts.max_length) == ("relu", 64)


def test_the_model_is_never_in_training(tmp_path: Path) -> None:
    model = load_model(f"fairseq:{write(tmp_path / 'model', checkpoint(state_dict()))}")
    assert not any(module.training for module in model.module.modules())
    token_ids = torch.tensor([model.tokenizer(TEXT).input_ids])
    first, second = model.logits(token_ids), model.logits(token_ids)
    assert first is not None and second is not None and torch.equal(first, second)
    assert measure_identities(model, token_ids).logit_error == pytest.approx(0, abs=1e-6)


def test_objects_of_the_training_loop_are_stepped_over(tmp_path: Path) -> None:
    content = checkpoint(state_dict())
    with FairseqMeters() as meter:
        one = meter()
        one.avg, one.count = 3.5, 7  # type: ignore[attr-defined]
        content["extra_state"]["train_meters"] = {"train_loss": one}
        write(tmp_path / "model", content)
    assert load_model(f"fairseq:{tmp_path / 'model'}").facts.n_layers == 2


class Runs:
    """Touches a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_that_would_run_code_is_refused(zipped: bool, tmp_path: Path, cache: Path) -> None:
    content = checkpoint(state_dict())
    content["extra_state"]["surprise"] = Runs(tmp_path / "was here")
    folder = write(tmp_path / "model", content, zipped)
    with pytest.raises(InputError, match=r"model\.pt holds more than weights, and was not read: .*system"):
        load_model(f"fairseq:{folder}")
    assert not (tmp_path / "was here").exists()
    assert [path.suffix for path in (cache / "models").iterdir()] == [".lock"]


def change(name: str, tensor: Any) -> Callable[[Any], None]:
    return lambda state: state.__setitem__(name, tensor)


def remove(name: str) -> Callable[[Any], None]:
    return lambda state: state.__delitem__(name)


BROKEN: dict[str, tuple[Callable[[Any], None], str]] = {
    "missing": (remove("decoder.layers.1.fc1.bias"), r"lacks the tensor decoder\.layers\.1\.fc1\.bias\. .*\(24,\)"),
    "missing class": (remove("decoder.adaptive_softmax.head.class_proj.weight"), r"lacks .*head\.class_proj\.weight"),
    "missing tail": (
        remove("decoder.adaptive_softmax.tail.1.0.weight"),
        r"lacks .*tail\.1\.0\.weight\. .* equal to decoder\.embed_tokens\.embeddings\.2\.1\.weight",
    ),
    "misshapen": (
        change("decoder.layers.0.fc2.weight", torch.zeros(24, 16)),
        r"holds decoder\.layers\.0\.fc2\.weight of shape \(24, 16\)\. Expected \(16, 24\)",
    ),
    "extra": (
        change("decoder.layers.2.fc1.bias", torch.zeros(24)),
        r"holds 1 tensors that such a model does not have: decoder\.layers\.2\.fc1\.bias",
    ),
    "not tied": (
        change("decoder.adaptive_softmax.tail.0.2.weight", torch.zeros(12, 8)),
        r"holds decoder\.adaptive_softmax\.tail\.0\.2\.weight that differs from .*embeddings\.1\.0\.weight",
    ),
    "not finite": (
        change("decoder.layers.0.fc1.bias", torch.full((24,), float("nan"))),
        r"holds numbers in decoder\.layers\.0\.fc1\.bias that are not finite",
    ),
    "no tensor": (change("decoder.layers.0.fc1.bias", "what?"), r"lacks the tensor decoder\.layers\.0\.fc1\.bias"),
}


@pytest.mark.parametrize(("breaks", "told"), BROKEN.values(), ids=BROKEN)
def test_a_tensor_that_is_wrong_is_named(breaks: Callable[[Any], None], told: str, tmp_path: Path, cache: Path) -> None:
    state = state_dict()
    breaks(state)
    folder = write(tmp_path / "model", checkpoint(state))
    with pytest.raises(ModelError, match=told):
        load_model(f"fairseq:{folder}")
    assert [path.suffix for path in (cache / "models").iterdir()] == [".lock"]  # nothing half-made


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"adaptive_input": False}, "words without bands"),
        ({"tie_adaptive_proj": False}, "a softmax with projections of its own"),
        ({"activation_fn": "gelu"}, r"another activation \(activation_fn is 'gelu'\)"),
        ({"decoder_normalize_before": False}, "LayerNorms after"),
        ({"decoder_learned_pos": True}, "learned positions"),
        ({"adaptive_softmax_cutoff": "12,30"}, "other bands in the softmax"),
        ({"decoder_output_dim": 8}, "another width"),
        ({"decoder_attention_heads": 3}, "16 numbers and 3 heads"),
    ],
)
def test_a_model_of_another_kind_is_refused(changes: dict[str, Any], told: str, tmp_path: Path) -> None:
    folder = write(tmp_path / "model", checkpoint(state_dict(), "new", **changes))
    with pytest.raises(InputError, match=told):
        load_model(f"fairseq:{folder}")


def test_files_that_are_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no model\.pt\. Expected a folder with"):
        load_model(f"fairseq:{tmp_path}")
    folder = write(tmp_path / "model", {"weights": {}})
    with pytest.raises(InputError, match="has no entry 'model'"):
        load_model(f"fairseq:{folder}")
    write(folder, {"model": state_dict()})
    with pytest.raises(InputError, match="does not say how its model is built"):
        load_model(f"fairseq:{folder}")
    (folder / "model.pt").write_bytes(b"no checkpoint")
    with pytest.raises(InputError, match=r"model\.pt"):
        load_model(f"fairseq:{folder}")
    (folder / "dict.txt").unlink()
    with pytest.raises(InputError, match=r"holds no dict\.txt"):
        load_model(f"fairseq:{folder}")


def test_the_dictionary(tmp_path: Path) -> None:
    file = tmp_path / "dict.txt"
    file.write_text("the 10\n@-@ 7 #fairseq:overwrite\né 3\n")
    assert read_dictionary(file) == ["<s>", "<pad>", "</s>", "<unk>", "the", "@-@", "é"]
    for content, told in (
        (b"the\n", "line 1 .* is b'the'"),
        (b"a 1\na 2\n", "'a' a second time"),
        (b"\xff 1\n", "line 1"),
    ):
        file.write_bytes(content)
        with pytest.raises(InputError, match=told):
            read_dictionary(file)


def test_words_are_those_of_the_dictionary(tmp_path: Path) -> None:
    """No Moses step: what stands between white space is a word, an unknown one `<unk>`."""
    model = load_model(f"fairseq:{write(tmp_path / 'model', checkpoint(state_dict()))}")
    assert model.tokenizer("w1  w2\tw1's <unk> w34 ").input_ids == [2, 5, 6, 3, 3, 38]
    assert len(model.tokenizer.get_vocab()) == N_WORDS == 4 + len(WORDS)


@pytest.mark.slow
def test_index_of_a_checkpoint(tmp_path: Path) -> None:
    """The command of a user, through worker processes, to values ranked by true log-probabilities."""
    state = state_dict()
    folder = write(tmp_path / "model", checkpoint(state))
    rng = np.random.default_rng(0)
    text = tmp_path / "text.txt"
    text.write_text("\n\n".join(" ".join(rng.choice(WORDS[:35], 9)) + " ." for _ in range(60)))
    done = subprocess.run(
        [sys.executable, "-m", "ffmem", "index", f"fairseq:{folder}", str(text), "--out", str(tmp_path / "out"),
         "--workers", "1", "--holdout", "0", "--top", "5"],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    index = ffmem.open_index(tmp_path / "out")
    assert index.manifest.projection == "adaptive" and index.manifest.model.name == "model"
    cell = index.cell("L1.3")
    value = state["decoder.layers.1.fc2.weight"][:, 3]
    scores = np.array([log_probability_of_vector(state, value, word) for word in range(N_WORDS)])
    assert [token.token_id for token in cell.promoted] == np.argsort(-scores, kind="stable")[
        : len(cell.promoted)
    ].tolist()
    assert cell.promoted[0].logit == pytest.approx(scores.max(), abs=1e-5)
    assert cell.triggers[0].tokens[cell.triggers[0].position] in WORDS


def log_probability_of_vector(state: Any, vector: torch.Tensor, word: int) -> float:
    """Of one word, when a vector is read like a final state."""
    softmax = "decoder.adaptive_softmax"
    x = vector.double()
    head = (
        torch.cat((state[f"{softmax}.head.word_proj.weight"], state[f"{softmax}.head.class_proj.weight"])).double() @ x
    )
    head = head.log_softmax(0)
    if word < CUTOFFS[0]:
        return float(head[word])
    tail = 0 if word < CUTOFFS[1] else 1
    within = state[f"{softmax}.tail.{tail}.2.weight"].double() @ (
        state[f"{softmax}.tail.{tail}.0.weight"].double().T @ x
    )
    return float(head[CUTOFFS[0] + tail] + within.log_softmax(0)[word - CUTOFFS[tail]])


def test_it_is_converted_once(tmp_path: Path, cache: Path) -> None:
    folder = write(tmp_path / "model", checkpoint(state_dict()))
    load_model(f"fairseq:{folder}")
    (made,) = [path for path in (cache / "models").iterdir() if path.is_dir()]
    before = made.stat().st_mtime_ns
    load_model(f"fairseq:{folder}")
    assert made.stat().st_mtime_ns == before
    write(folder, checkpoint(state_dict(seed=1)))
    load_model(f"fairseq:{folder}")
    assert len([path for path in (cache / "models").iterdir() if path.is_dir()]) == 2
