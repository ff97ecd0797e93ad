"""A proof of a streamed model is that of the model held whole, for few readings of its weights; or its passes go one by one."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import ffmem
from ffmem import ModelError
from ffmem.models.plain_call import PlainInput, plain_coefficients
from ffmem.models.proof import Proof, prove_on_samples
from ffmem.models.proof_passes import ProofPasses
from ffmem.models.transformer import Transformer
from tests.models.streaming.readings import readings
from tests.models.streaming.smallest import smallest_budget

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what memory is mapped from files")
Folder = Callable[[str], Path]
INPUTS = [PlainInput("", (), own, ()) for own in ((5, 6), (7, 8, 9), (10, 11, 12, 13, 14))]


def streamed(folder: Path) -> Transformer:
    return ffmem.load_model(folder, model_memory=smallest_budget(folder), proved=False)


@pytest.mark.parametrize(
    ("variant", "most"),
    # two passes alone, all plain calls, all of ours; in the others, where next to nothing fits beside a block, what stands
    # before or behind the blocks pushes one out
    [("gpt2", 4), ("mixtral", 4), ("opt_post_ln", 4), ("bert", 6), ("t5", 6)],
)
def test_the_proof_is_that_of_the_model_held_whole(variant: str, most: int, tiny_folder: Folder) -> None:
    folder, found = tiny_folder(variant), list[Proof]()
    model = streamed(folder)
    n = readings(model, lambda: found.append(prove_on_samples(model)))
    assert found[0] == prove_on_samples(ffmem.load_model(folder, proved=False))
    assert len(found[0].lengths) == 4 and n <= most, "thirteen passes"


def test_plain_calls_are_what_they_are_alone_and_the_first_and_longest_are_run_alone_too(tiny_folder: Folder) -> None:
    model = streamed(tiny_folder("mixtral"))
    passes, seen = ProofPasses(model), list[bool]()

    def same(found: object, expected: object) -> bool:
        seen.append(found is not expected)
        return True

    passes.plain_ahead(INPUTS, [INPUTS[0], INPUTS[-1]], same)
    assert passes.in_step and seen == [True, True]
    for one in [*INPUTS, INPUTS[0]]:
        n_before = len(passes._plain._made)
        expected = plain_coefficients(model, one)
        assert all(torch.equal(a, b[one.own_slice]) for a, b in zip(passes.plain(one), expected, strict=True))
        assert len(passes._plain._made) == n_before - 1, "handed out, not run"


def keeps_its_length(model: Transformer) -> None:
    """As a model does that notes something of its input for later: side by side, the last one that began is what counts."""
    body, noted = model.module.model, list[int]()
    body.register_forward_pre_hook(
        lambda _, __, named: noted.append(named["input_ids"].shape[1]) or None, with_kwargs=True
    )
    body.layers[2].register_forward_pre_hook(lambda _, given: (given[0] + 0.1 * noted[-1], *given[1:]))


def test_a_model_that_may_not_go_side_by_side_is_proved_as_one_that_is_held_whole(tiny_folder: Folder) -> None:
    folder, found = tiny_folder("llama"), list[Proof]()
    model, whole = streamed(folder), ffmem.load_model(folder, proved=False)
    for one in (model, whole):
        keeps_its_length(one)
    passes = ProofPasses(model)
    passes.plain_ahead(
        INPUTS, [INPUTS[0], INPUTS[-1]], lambda a, b: all(torch.equal(x, y) for x, y in zip(a, b, strict=True))
    )
    assert not passes.in_step and passes._plain._made == []
    n = readings(model, lambda: found.append(prove_on_samples(model)))
    assert found[0] == prove_on_samples(whole) and n > 8
    assert found[0].batching.rows == "equal-length" and not found[0].batching.causal


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda _, x: (x[0] + torch.randn_like(x[0]),), "the same sentence run twice"),
        (lambda _, x: (x[0] * float("nan"),), "not finite in the sentence"),
    ],
)
def test_what_is_refused_is_refused_as_ever(spoil: Callable[..., object], message: str, tiny_folder: Folder) -> None:
    model = streamed(tiny_folder("llama"))
    model.module.model.layers[0].mlp.down_proj.register_forward_pre_hook(spoil)
    with pytest.raises(ModelError, match=message):
        prove_on_samples(model)


def test_our_pass_that_is_not_the_models_own_is_refused(tiny_folder: Folder) -> None:
    model = streamed(tiny_folder("gpt2"))
    own = model.module.forward
    model.module.forward = lambda input_ids, **named: own(input_ids=input_ids.flip(1), **named)
    with pytest.raises(ModelError, match=r"a sentence alone, against the model's own call.*differs by"):
        prove_on_samples(model)
