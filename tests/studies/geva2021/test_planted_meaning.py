"""Whole studies of models whose upper cells fire on a topic, or on its words alone: both look alike, and are told apart.

GPT-2 with ReLU, three layers, one-hot embeddings of words. Attention of the second layer adds to each position how often each
topic's words were said so far. All cells of the lowest layer fire on a few words, and half of those of the second.
"""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

import ffmem
from ffmem import IndexOptions, RunOptions
from ffmem.studies.geva2021.options import StudyOptions
from ffmem.studies.geva2021.study import reproduce
from ffmem.studies.report import Report, report_of

N_TOPICS, OF_TOPIC, N_COMMON = 4, 10, 10
WORDS = ["<pad>", *(f"c{i}" for i in range(N_COMMON)), *(f"t{t}w{i}" for t in range(N_TOPICS) for i in range(OF_TOPIC))]
D = len(WORDS) + N_TOPICS
N_CELLS = 48
OPTIONS = StudyOptions(
    prefixes=30, edited_cells=3, scored_cells=4, scored_positions=60, meaning_positions=6_000, meaning_cells=N_CELLS,
    transplanted=100, removed_prefixes=10, control_tokens=6_000,
)  # fmt: skip
MEANING = "meaning grows with depth: upper layers depend more on words further back"
CELLS = "in the highest layers there is more meaning in the cells than in random directions of their stream"
TRIGGERS = "triggers of upper layers have more in common than their last word"


def words_of(topic: int) -> list[int]:
    return [1 + N_COMMON + topic * OF_TOPIC + i for i in range(OF_TOPIC)]


def write_text(path: Path) -> None:
    """Documents of a topic each: half of their words are everyone's, a third their topic's, the rest any topic's."""
    rng = np.random.default_rng(0)
    topics = rng.permutation(np.arange(150) % N_TOPICS)
    with path.open("w") as file:
        for number in range(150):
            topic, lines = int(topics[number]), []
            for _ in range(7):
                kind = rng.random(12)
                own, others = rng.choice(words_of(topic), 12), rng.integers(1 + N_COMMON, len(WORDS), 12)
                ids = np.where(kind < 0.5, rng.integers(1, 1 + N_COMMON, 12), np.where(kind < 0.83, own, others))
                lines.append(" ".join(WORDS[i] for i in ids))
            file.write(json.dumps({"text": "\n".join(lines), "topic": f"topic {topic}"}) + "\n")


def make_model(folder: Path, *, by_topic: bool) -> None:
    rng = np.random.default_rng(1)
    config = GPT2Config(
        vocab_size=len(WORDS), n_positions=32, n_embd=D, n_layer=3, n_head=1, n_inner=N_CELLS, activation_function="relu",
        bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    model = GPT2LMHeadModel(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.fill_(float("ln" in name and name.endswith("weight")))
        model.transformer.wte.weight[:, : len(WORDS)] = torch.eye(len(WORDS))
        for place, layer in enumerate(model.transformer.h):
            layer.mlp.c_fc.bias.fill_(-1.0)
            layer.mlp.c_proj.weight.copy_(torch.from_numpy(0.01 * rng.standard_normal((N_CELLS, D))))
            for cell in range(N_CELLS):
                topic = cell // 2 % N_TOPICS
                key = layer.mlp.c_fc.weight[:, cell]
                if place + (cell % 2) < 2:
                    key[torch.from_numpy(rng.choice(np.arange(1, len(WORDS)), 6, replace=False))] = 1.0
                elif by_topic:
                    key[len(WORDS) + topic] = 1.0
                    key[torch.from_numpy(rng.choice(np.arange(1, 1 + N_COMMON), 3, replace=False))] = 0.1
                else:
                    key[torch.from_numpy(rng.choice(words_of(topic), 3, replace=False))] = 1.0
        attention = model.transformer.h[1].attn
        for topic in range(N_TOPICS):
            attention.c_attn.weight[words_of(topic), 2 * D + len(WORDS) + topic] = 1.0
        attention.c_proj.weight.copy_(0.7 * torch.eye(D))
    model.save_pretrained(folder)
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<pad>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<pad>", pad_token="<pad>").save_pretrained(folder)


@pytest.fixture(scope="module")
def studied(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Report]:
    def make(*, by_topic: bool, controls: bool) -> Report:
        folder = tmp_path_factory.mktemp("planted")
        make_model(folder / "model", by_topic=by_topic)
        write_text(folder / "text.jsonl")
        index = ffmem.build_index(
            folder / "model", folder / "text.jsonl", folder / "index",
            options=IndexOptions(top=25, split="lines", promoted=5, holdout=0.1, skip_first=5), run=RunOptions(workers=0),
        )  # fmt: skip
        return report_of(reproduce(index, OPTIONS, controls=controls))

    return make


def verdicts(report: Report) -> dict[str, str]:
    return {claim.statement: claim.verdict for _, claim in report.claims}


def test_cells_that_fire_on_a_topic_are_shown_and_the_untrained_model_shows_nothing(
    studied: Callable[..., Report],
) -> None:
    report = studied(by_topic=True, controls=True)
    found = verdicts(report)
    assert (found[MEANING], found[CELLS], found[TRIGGERS]) == ("shown", "shown", "shown")
    told = [(item, claim) for item, claim in report.claims if claim.statement in (MEANING, CELLS, TRIGGERS)]
    assert len(told) == 3 and not any(report.also_shown_by(*one) for one in told)
    (untrained,) = (one for one in report.controls if one.says_nothing)
    assert {untrained.claims[item, claim.statement].verdict for item, claim in told if claim.statement != TRIGGERS} == {
        "undecided"
    }


def test_cells_that_fire_on_words_of_a_topic_are_unmasked(studied: Callable[..., Report]) -> None:
    """Their triggers share a topic, and not more than prefixes of the same words do."""
    found = verdicts(studied(by_topic=False, controls=False))
    assert found[TRIGGERS] != "shown" and found[MEANING] != "shown" and found[CELLS] == "contradicted"
