"""Where parameters are, against arithmetic on the sizes."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import ffmem
from ffmem.analyses.accounting import count_parameters
from ffmem.models.families.wikilm import FAMILY
from ffmem.models.transformer import Transformer
from ffmem.models.wikilm import WikiLMConfig, WikiLMForCausalLM

FAMILIES = ["gpt2", "llama", "opt", "gptj", "gemma2", "mixtral", "bert", "t5", "bloom", "wikilm"]


@pytest.mark.parametrize("family", FAMILIES)
def test_every_parameter_is_counted_once(family: str, tiny_folder: Callable[[str], Path]) -> None:
    model = ffmem.load_model(tiny_folder(family))
    found = count_parameters(model)
    assert found.total == sum(parameter.numel() for parameter in model.module.parameters())
    matrices = 3 if model.facts.gated else 2
    cells = sum(layer.n_cells for layer in model.facts.layers)
    assert found.feed_forward >= matrices * cells * model.facts.d_model
    assert found.attention > 0 and found.other >= model.facts.d_vocab


def paper_sized(**sizes: int) -> Transformer:
    with torch.device("meta"):
        module = WikiLMForCausalLM(WikiLMConfig(**sizes))
    return Transformer("wikilm", FAMILY, module.eval(), None)


def test_the_first_transformer_has_4_and_8_times_d_squared() -> None:
    d = 512
    found = count_parameters(
        paper_sized(hidden_size=d, intermediate_size=4 * d, num_hidden_layers=6, vocab_size=70_000)
    )
    biases = 6 * (4 * d + 5 * d)
    assert found.attention + found.feed_forward - biases == 6 * (4 * d * d + 8 * d * d)
    assert found.attention == 6 * (4 * d * d + 4 * d) and found.feed_forward == 6 * (8 * d * d + 5 * d)
    assert found.feed_forward_fraction == pytest.approx(2 / 3, abs=1e-3)


def test_the_papers_model_has_247_million() -> None:
    found = count_parameters(paper_sized())
    assert found.attention - 16 * 4 * 1024 == 4 * 1024**2 * 16  # 67.1 million
    assert found.feed_forward - 16 * (4096 + 1024) == 8 * 1024**2 * 16  # 134.2 million
    embeddings = 20_000 * 1024 + 40_000 * 256 + 207_744 * 64
    projections = 1024 * 1024 + 1024 * 256 + 1024 * 64
    assert found.other == embeddings + projections + 2 * 1024  # and the classes of two bands
    assert round(found.total / 1e6) == 247
