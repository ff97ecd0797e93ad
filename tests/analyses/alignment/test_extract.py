"""Links from cross-attention: on a model that copies, on random ones, and by a slow loop."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from ffmem import InputError, load_model
from ffmem.analyses.alignment.extract import TokenPair, cross_maps, extract, read_maps, tokens_of
from ffmem.analyses.alignment.links import all_sure
from ffmem.analyses.alignment.maps import NO_LINK, links_of
from ffmem.analyses.alignment.pairs import Pair
from ffmem.analyses.alignment.words import NO_WORD
from ffmem.studies.alignment.experiment import MEASURES, READINGS, study_of
from tests.studies.alignment.copying import copy_model

SENTENCE = ("three", "one", "five", "two", "two", "four")
COPIES = [Pair(SENTENCE, SENTENCE), Pair(SENTENCE[:3], SENTENCE[:3])]


@pytest.mark.parametrize("back", [0, 1])
def test_check_16_a_copy_model_is_perfect_in_one_reading_and_one_off_in_the_other(back: int) -> None:
    found = extract(copy_model(back), COPIES)
    perfect, other = READINGS[::-1] if back == 0 else READINGS
    for measure in MEASURES:
        for pair, pair_number in zip(COPIES, (0, 1), strict=True):
            n = len(pair.target)
            right = found.sources[measure, perfect][pair_number]
            assert (right == np.arange(n)).all()
            shifted = found.sources[measure, other][pair_number][0, 0]
            if back == 0:  # the row of the last word looks at </s>
                assert shifted.tolist() == [*range(1, n), NO_LINK]
            else:
                assert shifted[1:].tolist() == [*range(n - 1)]
    gold = [all_sure(frozenset((n, n) for n in range(len(pair.source)))) for pair in COPIES]
    study = study_of("copy", found, gold, [], "gold")
    assert study.row(0, None, "norms", perfect).score.error_rate.value == 0
    # of what is one off, only a first word that nothing decides can be right by chance
    links = [sources[0, 0].tolist() for sources in found.sources["weights", other]]
    n_right = sum(sources[0] == 0 for sources in links)
    n_links = sum(source != NO_LINK for sources in links for source in sources)
    expected = 1 - 2 * n_right / (n_links + sum(map(len, links)))
    assert study.row(0, 0, "weights", other).score.error_rate.value == pytest.approx(expected) and expected > 0.75


def test_check_16_one_reading_is_the_other_shifted_by_a_row() -> None:
    rng = np.random.default_rng(0)
    stack = rng.random((2, 5, 8, 7))  # layers, maps, the start token and 7 words, 6 words and </s>
    tokens = TokenPair([0] * 7, [0] * 8, np.array([*range(6), NO_WORD]), np.arange(7))
    found = read_maps(stack, tokens, 6, 7)
    assert (found["AWI"][..., :-1] == found["AWO"][..., 1:]).all()
    assert (found["AWI"] != found["AWO"]).any() and (found["AWI"] == NO_LINK).any()


@pytest.mark.parametrize("variant", ["marian", "t5", "t5_gated"])
def test_links_are_those_of_a_slow_loop(variant: str, tiny_folder: Callable[[str], Path]) -> None:
    model = load_model(tiny_folder(variant))
    pair = Pair(("Soldiers,", "teachers", "and", "windows"), ("naïve", "café", "日本語"))
    tokens = tokens_of(model, pair, 1)
    maps = cross_maps(model, tokens)
    assert np.allclose(maps.weights.sum(-1), 1.0, atol=1e-5)
    assert maps.weights.shape == (3, 4, len(tokens.target_ids), len(tokens.source_ids))
    found = extract(model, [pair])
    for (measure, reading), sources in found.sources.items():
        heads = maps.weights if measure == "weights" else maps.norms
        for layer in range(3):
            whole = maps.weights[layer].mean(0) if measure == "weights" else maps.layer_norms[layer]
            for place, one in enumerate([whole, *heads[layer]]):
                expected = frozenset(_slow_links(one, tokens, reading == "AWI"))
                assert links_of(sources[0][layer, place]) == expected
    assert found.mean_norms[:, 0] == pytest.approx(maps.layer_norms.mean((1, 2)))
    assert found.mean_norms[:, 1:] == pytest.approx(maps.norms.mean((2, 3)))


def _slow_links(one: np.ndarray, tokens: TokenPair, awi: bool) -> list[tuple[int, int]]:
    found = []
    for target in range(int(tokens.target_words.max()) + 1):
        rows = [int(token) + awi for token in np.flatnonzero(tokens.target_words == target)]
        scores: dict[int, float] = {}
        for row in rows:
            for column, word in enumerate(tokens.source_words):
                place = int(word) if word != NO_WORD else -1 - column
                scores[place] = scores.get(place, 0.0) + one[row, column] / len(rows)
        best = max(scores, key=lambda place: scores[place])
        if best >= 0:
            found.append((best, target))
    return found


def test_models_and_pairs_that_cannot_be_read(tiny_folder: Callable[[str], Path]) -> None:
    with pytest.raises(InputError, match=r"gpt2 has no cross-attention: it is a GPT2LMHeadModel.*examples/translation"):
        extract(load_model(tiny_folder("gpt2")), COPIES)
    model = copy_model(0)
    long = Pair(SENTENCE * 2, SENTENCE)
    with pytest.raises(InputError, match=r"pair 2: its source side has 13 tokens.*at most 11 tokens, the context"):
        extract(model, [COPIES[0], long])


@pytest.mark.parametrize("variant", ["marian", "t5"])
def test_norms_of_a_single_source_are_those_of_the_output_itself(
    variant: str, tiny_folder: Callable[[str], Path]
) -> None:
    """With one source token alpha is 1, so what attention adds is f(x) and the bias: with all heads, and with one alone."""
    model = load_model(tiny_folder(variant))
    tokens = TokenPair([9], [1, 7, 8], np.array([0]), np.array([0, 1]))
    maps = cross_maps(model, tokens)
    layer = model.layer(model.facts.n_layers - 1)
    out = layer.at("encoder_attn.out_proj" if variant == "marian" else "layer.1.EncDecAttention.o")
    ids = {"input_ids": torch.tensor([[9]]), "decoder_input_ids": torch.tensor([[1, 7, 8]])}
    d_head = out.weight.shape[1] // 4
    for head in (None, 0, 3):
        kept = slice(None) if head is None else slice(head * d_head, (head + 1) * d_head)
        seen: list[torch.Tensor] = []

        def alone(_: object, inputs: tuple[torch.Tensor], kept: slice = kept) -> tuple[torch.Tensor]:
            mask = torch.zeros_like(inputs[0])
            mask[..., kept] = 1.0
            return (inputs[0] * mask,)

        handles = [
            out.register_forward_pre_hook(alone),
            out.register_forward_hook(lambda _, __, y, s=seen: s.append(y)),
        ]
        with torch.no_grad():
            model.module(**ids)
        for handle in handles:
            handle.remove()
        expected = (seen[0][0] - (0 if out.bias is None else out.bias)).norm(dim=-1)
        found = maps.layer_norms[-1, :, 0] if head is None else maps.norms[-1, head, :, 0]
        assert found == pytest.approx(expected.double().numpy(), rel=1e-5)
