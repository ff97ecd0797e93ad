"""What happens at a prefix, against one forward pass of the prefix alone and plain loops over cells."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import ffmem
from ffmem import Index, InputError
from ffmem.analyses.elimination import elimination
from ffmem.analyses.prefixes import held_out_prefixes, passes, random_prefixes
from ffmem.analyses.refined_layers import by_layer
from ffmem.analyses.refinement import CASES, measure_refinement, own_projections
from ffmem.models.tracing import trace


def test_prefixes_are_drawn_evenly_and_by_the_seed() -> None:
    rng = np.random.default_rng(0)
    sentences = [rng.integers(0, 9, length) for length in (1, 5, 2, 9, 3, 7)]
    ids = np.arange(100, 106)
    few = random_prefixes(sentences, ids, 4, seed=1)
    assert len(few) == 4 and len(set(few.sentence.tolist())) == 4  # a sentence each, as long as there are enough
    more = random_prefixes(sentences, ids, 10, seed=1)
    pairs = list(zip(more.sentence_ids[more.sentence].tolist(), more.position.tolist(), strict=True))
    assert len(set(pairs)) == 10 and {sentence for sentence, _ in pairs} == set(range(100, 106))
    assert pairs == sorted(pairs)
    every = random_prefixes(sentences, ids, 1000, seed=2)
    assert len(every) == sum(map(len, sentences))
    for number in range(len(more)):
        assert more.tokens(number).tolist() == sentences[pairs[number][0] - 100][: pairs[number][1] + 1].tolist()
    same = random_prefixes(sentences, ids, 10, seed=1)
    assert (same.position == more.position).all()
    assert any((random_prefixes(sentences, ids, 10, seed=s).position != more.position).any() for s in range(2, 6))


def test_positions_are_uniform_within_a_sentence() -> None:
    drawn = [int(random_prefixes([np.arange(6)], np.arange(1), 1, seed=seed).position[0]) for seed in range(1200)]
    counts = np.bincount(drawn, minlength=6)
    assert ((counts - 200) ** 2 / 200).sum() < 20.5  # chi-squared with 5 degrees of freedom, 0.1 %


def test_they_come_from_held_out_text(index_of: Callable[[str], Index], tmp_path: Path, tiny_folder, corpus) -> None:
    index = index_of("llama")
    found = held_out_prefixes(index, 30, seed=0)
    for number in range(len(found)):
        sentence = index.text.sentence(int(found.sentence_ids[found.sentence[number]]))
        assert sentence.held_out
        assert found.tokens(number).tolist() == sentence.token_ids[: found.position[number] + 1].tolist()
    whole = ffmem.build_index(
        tiny_folder("llama"), corpus, tmp_path / "i", run=ffmem.RunOptions(workers=0),
        options=ffmem.IndexOptions(holdout=0, max_sentences=20),
    )  # fmt: skip
    with pytest.raises(InputError, match=r"holds no held-out text.*--holdout 0"):
        held_out_prefixes(whole, 5)


def test_passes_hold_every_sentence_once(tiny_folder: Callable[[str], Path]) -> None:
    model = ffmem.load_model(tiny_folder("llama"))
    rng = np.random.default_rng(0)
    sentences = [rng.integers(3, 50, length) for length in rng.integers(1, 40, 30)]
    seen = []
    for one in passes(model, sentences, "auto", batch_tokens=64):
        assert one.token_ids.numel() <= 64 or len(one.token_ids) == 1
        for row, number in enumerate(one.sentences):
            own = one.token_ids[row, one.first : one.first + len(sentences[number])]
            assert own.tolist() == sentences[number].tolist()
        seen += one.sentences
    assert sorted(seen) == list(range(30))


FAMILIES = [("llama", "folded"), ("opt", "folded"), ("gemma2", "folded"), ("gptj", "folded"), ("wikilm", "adaptive")]


@pytest.mark.parametrize(("family", "values"), FAMILIES)
def test_equals_one_prefix_at_a_time(
    family: str, values: str, index_of: Callable[[str], Index], tiny_folder: Callable[[str], Path]
) -> None:
    index, model = index_of(family), ffmem.load_model(tiny_folder(family))
    prefixes = held_out_prefixes(index, 12, seed=3)
    projections = own_projections(model, values)
    found = measure_refinement(index, model, prefixes, projections, bos="auto")
    before, after = model.special_tokens("auto")
    assert not after
    documents = [index.text.sentence(int(one)).document_id for one in prefixes.sentence_ids[prefixes.sentence]]
    assert found.document.tolist() == documents and len(set(documents)) > 1
    strongest: list[list[tuple[int, int, int]]] = [[] for _ in range(index.n_layers)]
    for number in range(len(prefixes)):
        ids = torch.tensor([[*before, *prefixes.tokens(number).tolist()]])
        states = trace(model, ids)
        logits = model.logits(ids)
        assert logits is not None
        w = int(logits[0, -1].argmax())
        assert found.prediction[number] == w  # by construction: the projection of the last state is the model
        for layer, state in enumerate(states):
            r, y, o, m = (
                one[0, -1] for one in (state.residual, state.ff_update, state.layer_output, state.coefficients)
            )
            p = model.project(r, projections.states).softmax(-1)
            top_y = int(model.project(y, projections.contributions).argmax())
            top_o = int(model.project(o, projections.states).argmax())
            assert found.residual_top[number, layer] == int(p.argmax())
            assert (found.ff_top[number, layer], found.output_top[number, layer]) == (top_y, top_o)
            assert np.exp(found.residual_log_probability[number, layer]) == pytest.approx(float(p[w]), rel=1e-3)
            assert found.residual_rank[number, layer] == int((p > p[w] * (1 + 1e-6)).sum())
            assert found.n_active[number, layer] == int((m > 0).sum())
            rows = model.value_rows(layer)
            c = m.abs() * rows.norm(dim=1)
            assert found.participation[number, layer] == pytest.approx(float(c.sum() ** 2 / (c**2).sum()), rel=1e-3)
            assert found.n_effective[number, layer] == pytest.approx(int((c > 0.01 * c.max()).sum()), abs=1)
            keys, bias = (model.gate_keys if model.facts.gated else model.keys)(layer), model.key_bias(layer)
            scores = state.ff_input[0, -1] @ keys.T + (0 if bias is None else bias)
            expected = 1 / float((scores.softmax(-1) ** 2).sum())
            assert found.softmax_participation[number, layer] == pytest.approx(expected, rel=1e-3)
            tops = model.project(rows, projections.contributions).argmax(-1)
            bottoms = model.project(rows, projections.contributions).argmin(-1)
            agreeing = [
                (m_i > 0 and top_i == top_y) or (model.facts.gated and m_i < 0 and bottom_i == top_y)
                for m_i, top_i, bottom_i in zip(m.tolist(), tops.tolist(), bottoms.tolist(), strict=True)
            ]
            assert found.active_agrees[number, layer] == any(agreeing)
            first = int(c.argmax())
            written = int((tops if m[first] > 0 else bottoms)[first])
            assert found.strongest_agrees[number, layer] == (written == top_y)
            strongest[layer].append((documents[number], top_y, written))
            candidates = {*tops.tolist(), *(bottoms.tolist() if model.facts.gated else ())}
            assert found.any_agrees[number, layer] == (top_y in candidates)
    for layer, here in enumerate(strongest):  # by chance: the same token, and the strongest cells of other documents
        for number, (document, top_y, _) in enumerate(here):
            elsewhere = [written == top_y for other, _, written in here if other != document]
            assert found.strongest_chance[number, layer] == pytest.approx(np.mean(elsewhere))


@pytest.mark.parametrize("family", ["llama", "opt", "wikilm"])
def test_what_must_hold_of_any_model(
    family: str, index_of: Callable[[str], Index], tiny_folder: Callable[[str], Path]
) -> None:
    index, model = index_of(family), ffmem.load_model(tiny_folder(family))
    prefixes = held_out_prefixes(index, 200, seed=0)
    projections = own_projections(model, "adaptive" if family == "wikilm" else "folded")
    found = measure_refinement(index, model, prefixes, projections, bos="auto")
    layers = by_layer(index, found).layers
    assert layers[-1].output_match.value == 1
    for number, layer in enumerate(layers):
        assert sum(one.value for one in layer.cases.values()) == pytest.approx(1)
        assert layer.zero_agreement_any.value <= layer.zero_agreement.value  # more candidates can only lower it
        kept = layer.cases["residual"].value + layer.cases["agreement"].value
        assert kept == pytest.approx((found.output_top == found.residual_top)[:, number].mean())
        cells = index.cells.layers[number].n_cells
        assert 1 <= layer.participation.value <= cells and 0 <= layer.active.value <= 1
    for number, first in enumerate(found.saturation_layer.tolist()):
        same = found.output_top[number] == found.prediction[number]
        assert same[first:].all() and (first == 0 or not same[first - 1])
    if family == "llama":  # RMSNorm without a bias: scores of r and y have no constant
        assert not found.violations.any()
    study = elimination(found, model.facts.d_vocab)
    composed = found.cases[:, -1] == CASES.index("composition")
    assert study.n == composed.sum() > 0
    assert (found.last_ranks[:, 0, 0] == 0).all() and (found.last_ranks[:, 2, 1] == 0).all()
    lowers = found.last_scores[composed, 1, 0] < found.last_scores[composed, 1, 1]
    assert study.veto.value == pytest.approx(lowers.mean())


def test_batches_do_not_matter(
    index_of: Callable[[str], Index], tiny_folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    index, model = index_of("llama"), ffmem.load_model(tiny_folder("llama"))
    prefixes, projections = held_out_prefixes(index, 40, seed=0), own_projections(model, "folded")
    whole = measure_refinement(index, model, prefixes, projections, bos="auto")
    monkeypatch.setattr("ffmem.analyses.prefixes.BATCH_TOKENS", 8)
    counted: list[int] = []
    parts = measure_refinement(index, model, prefixes, projections, bos="auto", on_pass=counted.append)
    assert sum(counted) == len(prefixes)
    assert (parts.output_top == whole.output_top).all() and (parts.n_active == whole.n_active).all()
    assert np.allclose(parts.residual_log_probability, whole.residual_log_probability, atol=1e-4)
