"""Models whose memories were put there by hand, so that every figure is known before it is measured.

GPT-2 with ReLU, one layer, one-hot embeddings, no positions, and attention that adds nothing: the state before the layer is the
one-hot vector of the token itself.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

import ffmem
from ffmem import Index, IndexOptions, RunOptions
from ffmem.analyses.agreement import measure_agreement
from ffmem.analyses.modifications import EDITS, modify, sample_units
from ffmem.analyses.prefixes import held_out_prefixes
from ffmem.analyses.refined_layers import by_layer
from ffmem.analyses.refinement import measure_refinement, own_projections
from ffmem.models.transformer import Transformer

WORDS = ["<pad>", "of", "the", "in", "a", "king", "queen", "land", "sea", "walks", "sleeps", "old", "young"]
D = len(WORDS)
N_CELLS = 16
LENGTH = (1 - 1 / D) / np.sqrt((1 - 1 / D) / D + 1e-5)
"""What LayerNorm makes of the one of a one-hot vector; of each zero it makes -LENGTH / (D - 1)."""


def text() -> str:
    """Sentences of four to nine words in which "of" is followed by "the", and "in" by "the", never by "a"."""
    rng = np.random.default_rng(0)
    nouns, verbs, kinds = ["king", "queen", "land", "sea"], ["walks", "sleeps"], ["old", "young"]
    lines = []
    for _ in range(120):
        one, other = rng.choice(nouns, 2)
        start = [rng.choice(["the", "a"]), *rng.permutation(kinds)[: rng.integers(0, 3)], one]
        if rng.random() < 0.7:
            start += ["of", "the", other]
        start.append(rng.choice(verbs))
        if rng.random() < 0.5:
            start += ["in", "the", rng.choice(nouns)]
        lines.append(" ".join(start))
    return "\n\n".join(lines) + "\n"


Planted = tuple[Index, Transformer]


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Callable[[dict[int, tuple[str, str, float]]], Planted]:
    def make(cells: dict[int, tuple[str, str, float]]) -> Planted:
        """Cells by row: the word that it fires on, the word that its value is, and by how much."""
        folder = tmp_path_factory.mktemp("planted")
        model = GPT2LMHeadModel(
            GPT2Config(
                vocab_size=D, n_positions=32, n_embd=D, n_layer=1, n_head=1, n_inner=N_CELLS, activation_function="relu",
                bos_token_id=0, eos_token_id=0,
            )
        )  # fmt: skip
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                parameter.fill_(float("ln" in name and name.endswith("weight")))
            model.transformer.wte.weight.copy_(torch.eye(D))
            mlp = model.transformer.h[0].mlp
            mlp.c_fc.bias.fill_(-1.0)  # cells without a key never fire
            for row, (fires_on, writes, much) in cells.items():
                mlp.c_fc.weight[WORDS.index(fires_on), row] = 1.0
                mlp.c_proj.weight[row, WORDS.index(writes)] = much
        model.save_pretrained(folder / "model")
        tokenizer = Tokenizer(models.WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="<pad>"))
        tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
        fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<pad>", pad_token="<pad>")
        fast.save_pretrained(folder / "model")
        (folder / "text.txt").write_text(text())
        options = IndexOptions(top=10, holdout=0.3, split="lines", promoted=5)
        index = ffmem.build_index(
            folder / "model", folder / "text.txt", folder / "index", options=options, run=RunOptions(workers=0)
        )
        return index, ffmem.load_model(folder / "model")

    return make


def test_a_cell_that_fires_on_of_and_writes_the(plant: Callable[..., Planted]) -> None:
    index, model = plant({0: ("of", "the", 2.0), 1: ("in", "a", 2.0)})
    of, in_ = index.cell("L0.0"), index.cell("L0.1")
    assert {one.tokens[one.position] for one in of.triggers} == {"of"}
    assert {one.next_token for one in of.triggers} == {"the"} and of.promoted[0].token == "the"
    assert {one.tokens[one.position] for one in in_.triggers} == {"in"} and in_.promoted[0].token == "a"
    assert of.triggers[0].coefficient == pytest.approx(LENGTH - 1, rel=1e-6)
    (layer,) = measure_agreement(index, model, "raw")[0].layers
    assert (layer.n_units, layer.n_without_trigger, layer.n_without_next) == (N_CELLS, N_CELLS - 2, 0)
    best = [one.triggers[0].next_token for one in (of, in_)]
    assert layer.agreement.value == (best[0] == "the") / N_CELLS and layer.agreement.n == N_CELLS  # as the paper counts
    assert layer.agreement_next_best.value == 0.5 == layer.at[0].value and layer.agreement_next_best.n == 2
    assert layer.agreement_firing.value == 0.0
    # "the" is what follows both, and the top of one cell that fires; values without a cell have the first token on top
    assert layer.shuffled.value == pytest.approx(best.count("the") / N_CELLS**2)

    units = sample_units(index, 0, N_CELLS, 10)
    found = modify(index, model, 0, units, bos="auto")
    assert len(units) == 2 and found.largest_error < 1e-6
    for edit, expected in (("last", -100.0), ("first", 0.0), ("random", 0.0), ("shuffled", 0.0)):
        changes = found.change[:, EDITS.index(edit)]
        made = changes[~np.isnan(changes)]
        assert len(made) and 100 * made == pytest.approx(expected, abs=1e-4), edit


def test_one_hot_layers_have_known_cases(plant: Callable[..., Planted]) -> None:
    """Every word has a cell of its own that writes the next word of the list, twice as strong as the word itself."""
    following = {word: WORDS[1 + number % (D - 1)] for number, word in enumerate(WORDS) if number}
    keeps = {"king", "sea"}  # these write themselves
    cells = {
        number: (word, word if word in keeps else following[word], 2.0 / (LENGTH - 1))
        for number, word in enumerate(WORDS)
        if number
    }
    index, model = plant(cells)
    prefixes = held_out_prefixes(index, 200)
    found = measure_refinement(index, model, prefixes, own_projections(model, "folded"), bos="auto")
    last = np.array([prefixes.tokens(number)[-1] for number in range(len(prefixes))])
    stays = np.isin(last, [WORDS.index(word) for word in keeps])
    assert 0 < stays.sum() < len(stays)
    assert (found.residual_top[:, 0] == last).all()
    assert (found.ff_top[:, 0] == [WORDS.index(cells[int(token)][1]) for token in last]).all()
    (layer,) = by_layer(index, found).layers
    assert layer.cases["agreement"].value == stays.mean() and layer.cases["ffn"].value == (~stays).mean()
    assert layer.cases["residual"].value == layer.cases["composition"].value == 0
    assert layer.violations.value == 0 == layer.zero_agreement.value == layer.zero_agreement_any.value
    assert layer.active.value == 1 / N_CELLS and layer.participation.value == pytest.approx(1)
    assert layer.residual_match.value == stays.mean() and layer.output_match.value == 1


def test_a_weak_layer_keeps_the_candidate(plant: Callable[..., Planted]) -> None:
    """Half as strong as the word itself: the stream's candidate stays, and its probability is that of two scores."""
    cells = {
        number: (word, WORDS[1 + number % (D - 1)], 0.5 / (LENGTH - 1)) for number, word in enumerate(WORDS) if number
    }
    index, model = plant(cells)
    prefixes = held_out_prefixes(index, 100)
    found = measure_refinement(index, model, prefixes, own_projections(model, "folded"), bos="auto")
    (layer,) = by_layer(index, found).layers
    assert layer.cases["residual"].value == 1 and layer.zero_agreement.value == 0
    assert (found.saturation_layer == 0).all() and (found.residual_rank == 0).all()
    # r is one-hot: after the final norm one entry of LENGTH, and D - 1 of -LENGTH / (D - 1)
    expected = LENGTH - np.log(np.exp(LENGTH) + (D - 1) * np.exp(-LENGTH / (D - 1)))
    assert found.residual_log_probability[:, 0] == pytest.approx(expected, abs=1e-5)


def test_layers_that_agree_by_chance_are_told_apart(plant: Callable[..., Planted], tmp_path: Path) -> None:
    """Five cells, each on the word before "the" or a noun, all writing "the": agreement is the share that "the" follows."""
    cells = {row: (word, "the", 1.0) for row, word in enumerate(("of", "in", "king", "queen", "old"))}
    index, model = plant(cells)
    (layer,) = measure_agreement(index, model, "raw")[0].layers
    following = [index.cell(f"L0.{row}").triggers for row in cells]
    best = [next(one.next_token for one in triggers if one.next_token is not None) for triggers in following]
    assert layer.agreement_next_best.value == best.count("the") / 5
    strictly = [triggers[0].next_token for triggers in following].count("the")
    assert layer.agreement.value == pytest.approx(strictly / N_CELLS)
    assert layer.shuffled.value == pytest.approx(5 * strictly / N_CELLS**2)  # each of five tops against all targets
    counts = dict.fromkeys(WORDS, 0)
    for number in range(index.text.n_sentences):
        for token in index.text.sentence(number).token_ids[1:].tolist():
            counts[WORDS[token]] += 1
    has_next = sum(triggers[0].next_token is not None for triggers in following) / N_CELLS
    assert layer.unigram == pytest.approx(has_next * (counts["the"] + 0.5) / (sum(counts.values()) + D / 2))
