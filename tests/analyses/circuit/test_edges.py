"""Edges into a node add up to what the node is worth, but for biases inside it."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from ffmem import load_model
from ffmem.analyses.circuit.edges import Edges, Place
from ffmem.analyses.circuit.frozen import FrozenLayer
from ffmem.analyses.circuit.relevance import relevance, run_frozen, scores_of
from ffmem.models.transformer import Transformer
from tests.analyses.circuit.test_relevance import ids_of

Folder = Callable[[str], Path]


def every_place(model: Transformer, n: int, *, heads: bool) -> list[Place]:
    places = [Place("token", -1, 0, position) for position in range(n)]
    for layer in range(model.facts.n_layers):
        for position in range(n):
            places += [Place("bias", layer, which, position) for which in (0, 1)]
            places += [Place("cell", layer, cell, position) for cell in range(len(model.values(layer)))]
            if heads:
                n_heads = model.attention_layers[layer].n_heads
                places += [Place("head", layer, head, position) for head in range(n_heads)]
    return places


@pytest.mark.parametrize("family", ["gpt2", "llama", "gptj", "gemma2"])
def test_all_edges_into_a_node_are_what_it_is_worth(family: str, tiny_folder: Folder) -> None:
    model = load_model(tiny_folder(family))
    ids = ids_of(model, "The silver")[:, :4]
    n, token = ids.shape[1], 5
    with torch.no_grad():
        layers = run_frozen(model, ids)
        found = relevance(model, layers, scores_of(model, layers, [token], [None]))
        edges = Edges(layers, found, every_place(model, n, heads=True))
        score = float(found.scores.values - found.scores.constants)
        assert float(edges.into_score().sum()) == pytest.approx(score, abs=1e-4)
        # of a cell: the reads times the stream, and the biases inside, are the whole; the sum over all nodes is the first
        for place in (
            Place("cell", 1, 3, n - 1),
            Place("head", 1, 1, n - 1),
            Place("head", 1, 0, 1),
            Place("cell", 1, 0, 0),
        ):
            layer = layers[place.layer]
            before = layer.states.layer_input
            stream = before if layer.parallel or place.kind == "head" else layer.states.residual
            expected = float((edges.reads(place) * stream[0]).sum())
            assert float(edges.into(place).sum()) == pytest.approx(expected, abs=1e-4)
            split = [Place("head", place.layer, place.index, place.position, source) for source in range(n)]
            if place.kind == "head":
                whole = sum(edges.into(one) for one in split)
                assert (whole - edges.into(place)).abs().max() < 1e-5
        inner = float(found.biases[0, :, 1:].sum())
        worth = [float(found.tokens.sum()), float(found.biases[0, :, 0].sum()), inner]
        assert sum(worth) == pytest.approx(score, abs=1e-4)


def pushed(layer: FrozenLayer, states: torch.Tensor) -> torch.Tensor:
    """What attention, held as it is, makes of states: forwards, where the analysis goes backwards."""
    norm = layer.heads.norm_before
    bare = states - states.mean(-1, keepdim=True) if layer._attention_norm.centres else states
    gain = norm.weight.float() * layer._attention_norm.scale[0][:, None]
    values = torch.einsum("kd,dhe->khe", bare * gain, layer.heads.expand(layer.heads.value_matrix()).float())
    mixed = torch.einsum("hqk,khe->qhe", layer.weights[0], values)
    return torch.einsum("qhe,hed->qd", mixed, layer.heads.output_matrix().float())


@pytest.mark.parametrize("family", ["gpt2", "llama", "gptj"])
def test_edges_through_heads_are_what_a_part_is_when_attention_alone_has_moved_it(
    family: str, tiny_folder: Folder
) -> None:
    """From cell to cell: straight, by one head, by a head and a head above it; each part is pushed up layer by layer."""
    model = load_model(tiny_folder(family))
    ids = ids_of(model, "The silver")[:, :4]
    n = ids.shape[1]
    with torch.no_grad():
        layers = run_frozen(model, ids)
        found = relevance(model, layers, scores_of(model, layers, [5], [None]))
        edges = Edges(layers, found, every_place(model, n, heads=False))
        cells = [Place("cell", 2, 1, n - 1), Place("cell", 1, 4, 2)]
        rows, to_score = edges.through_heads(cells), edges.score_through_heads()
        for at, place in list(enumerate(edges.places))[::7]:
            states = torch.zeros(n, model.facts.d_model)
            states[place.position] = edges.parts[at]
            reached: dict[int, torch.Tensor] = {}
            for layer in layers:  # what is there when the cells of each layer read
                written, reads = place.written(), 2 * layer.place + (1 if layer.parallel else 2)
                moved = pushed(layer, states) if written <= 2 * layer.place else torch.zeros_like(states)
                if written < reads:
                    reached[layer.place] = states if layer.parallel else states + moved
                states = states + moved
            for cell, row in zip(cells, rows, strict=True):
                there = reached.get(cell.layer, torch.zeros(n, model.facts.d_model))
                assert float(row[at]) == pytest.approx(float((edges.reads(cell) * there).sum()), abs=2e-5), (
                    cell,
                    place,
                )
            assert float(to_score[at]) == pytest.approx(float(found.scores.directions[0] @ states[-1]), abs=2e-5), place
