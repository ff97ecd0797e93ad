"""A text as attention sees it, against the tokenizer's own call; and passes that report some sub-layers, or none."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from ffmem import InputError, load_model
from ffmem.analyses.attention.inputs import as_batch, read_text, run
from ffmem.models.attention import AttentionStates
from ffmem.models.transformer import Transformer

Folder = Callable[[str], Path]
TEXT, TARGET = "naïve rivers wait 😀", "the lazy dog"


@pytest.mark.parametrize("variant", ["gpt2", "llama", "bert"])
def test_tokens_are_those_of_the_tokenizers_own_call(variant: str, tiny_folder: Folder) -> None:
    model = load_model(tiny_folder(variant))
    read = read_text(model, TEXT)
    assert [token.token_id for token in read.tokens] == model.tokenizer(TEXT).input_ids
    mask = model.tokenizer(TEXT, return_special_tokens_mask=True).special_tokens_mask
    assert [token.special for token in read.tokens] == [one == 1 for one in mask]
    assert (read.target, read.target_tokens) == (None, ())
    for layer in model.attention_layers:
        assert read.of(layer) == (read.tokens, read.tokens)
    ids, target_ids = as_batch(model, read)
    assert ids.tolist() == [model.tokenizer(TEXT).input_ids] and target_ids is None


def test_parts_of_a_character_are_shown_and_the_others_are_the_text(tiny_folder: Folder) -> None:
    model = load_model(tiny_folder("gpt2"))
    read = read_text(model, TEXT)
    shown = "".join(token.text for token in read.tokens)
    assert "na" in shown and "rivers wait" in shown and "\\x" in shown  # 😀 is not in the vocabulary as a whole
    whole = b"".join(model.vocabulary[token.token_id] for token in read.tokens)
    assert whole.decode() == TEXT


@pytest.mark.parametrize("variant", ["t5", "marian"])
def test_a_decoder_is_given_its_start_token_and_the_target(variant: str, tiny_folder: Folder) -> None:
    model = load_model(tiny_folder(variant))
    start = model.module.config.decoder_start_token_id
    own = {text: model.tokenizer(text, add_special_tokens=False).input_ids for text in (TEXT, TARGET)}
    for target in (None, TARGET):
        read = read_text(model, TEXT, target)
        assert read.target == (target or TEXT)  # without one, the text itself
        assert [token.token_id for token in read.target_tokens] == [start, *own[target or TEXT]]
        assert [token.special for token in read.target_tokens] == [True, *[False] * len(own[target or TEXT])]
        sides = {layer.name: read.of(layer) for layer in model.attention_layers}
        assert sides["enc.L0"] == (read.tokens, read.tokens)
        assert sides["dec.L0"] == (read.target_tokens, read.target_tokens)
        assert sides["dec.L0.cross"] == (read.target_tokens, read.tokens)
        ids, target_ids = as_batch(model, read)
        assert target_ids is not None and (ids.shape[0], target_ids.shape[0]) == (1, 1)


def test_special_tokens_are_as_asked(tiny_folder: Folder) -> None:
    model = load_model(tiny_folder("llama"))
    assert not any(token.special for token in read_text(model, "the dog", bos="no").tokens)
    first, *others = read_text(model, "the dog", bos="yes").tokens
    assert (first.token_id, first.special) == (0, True) and not any(token.special for token in others)


def test_a_target_without_a_decoder_and_a_text_that_is_too_long(tiny_folder: Folder) -> None:
    model = load_model(tiny_folder("llama"))
    with pytest.raises(InputError, match=r"there is a target text, and llama has no decoder.*put it behind the text"):
        read_text(model, TEXT, TARGET)
    with pytest.raises(InputError, match="the text '' has no token"):
        read_text(model, "")
    longest = model.facts.max_length
    assert longest is not None and len(read_text(model, "x" * (longest - 1)).tokens) == longest
    with pytest.raises(InputError, match=rf"the text has {longest} tokens.*Expected at most {longest - 1}"):
        read_text(model, "x" * longest)


def test_only_the_layers_that_are_asked_for_are_reported(tiny_folder: Folder) -> None:
    model = load_model(tiny_folder("t5"))
    ids, target_ids = as_batch(model, read_text(model, TEXT, TARGET))
    chosen = [layer for layer in model.attention_layers if layer.cross]
    seen: list[str] = []
    shapes: list[tuple[int, ...]] = []

    def note(layer: object, states: AttentionStates) -> None:
        seen.append(layer.name)  # type: ignore[attr-defined]
        shapes.append(tuple(states.weights.shape))

    run(model, ids, target_ids, note, chosen)
    assert target_ids is not None
    assert seen == ["dec.L0.cross", "dec.L1.cross", "dec.L2.cross"]
    assert shapes == [(1, 4, target_ids.shape[1], ids.shape[1])] * 3


def last_state(model: Transformer, call: Callable[[], object]) -> torch.Tensor:
    """What the last layer gives in a pass that something else runs."""
    seen: list[torch.Tensor] = []
    handle = model.layer(-1).output_module.register_forward_hook(lambda _, __, output: seen.append(output.clone()))
    call()
    handle.remove()
    assert len(seen) == 1
    return seen[0]


@pytest.mark.parametrize("variant", ["gpt2", "bert"])
def test_a_pass_without_a_listener_is_the_models_own(variant: str, tiny_folder: Folder) -> None:
    """With padding: on the right of either, and on the left of one that is causal."""
    model = load_model(tiny_folder(variant))
    ids = torch.randint(5, 200, (2, 7), generator=torch.Generator().manual_seed(0))
    mask = torch.tensor([[1] * 7, [1, 1, 1, 1, 0, 0, 0]])
    ours = last_state(model, lambda: run(model, ids, None, None, attention_mask=mask))
    with torch.no_grad():
        own = last_state(model, lambda: model.module(input_ids=ids, attention_mask=mask))
    assert torch.allclose(ours[mask.bool()], own[mask.bool()], atol=1e-5)
    assert ours.is_inference()
