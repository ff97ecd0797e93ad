"""Small documents, and a model whose answer is planted in one cell."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from ffmem import load_model
from ffmem.corpus.documents import Document
from ffmem.models.transformer import Transformer
from tests.fixtures.corpora import WORDS


@pytest.fixture(scope="session")
def editing_documents() -> list[Document]:
    generator = torch.Generator().manual_seed(5)
    words = list(WORDS)
    return [
        Document(
            f"d{number}", " ".join(words[int(one)] for one in torch.randint(len(words), (40,), generator=generator))
        )
        for number in range(24)
    ]


PLANTED_PROMPT, PLANTED_OLD, PLANTED_CELL = "the silver river", "winter", (1, 3)


@pytest.fixture
def planted(tiny_folder: Callable[[str], Path]) -> Transformer:
    """A tiny Llama of which one cell alone says the answer at the prompt's end: its value is the answer's direction, far longer
    than any other, and no other cell of the model writes anything."""
    model = load_model(tiny_folder("llama"))
    token = model.tokenizer(f" {PLANTED_OLD}", add_special_tokens=False).input_ids[0]
    for place in range(model.facts.n_layers):
        weight = model.module.model.layers[place].mlp.down_proj.weight
        with torch.no_grad():
            weight.zero_()
    place, row = PLANTED_CELL
    ids = torch.tensor(
        [[*model.special_tokens("auto")[0], *model.tokenizer(PLANTED_PROMPT, add_special_tokens=False).input_ids]]
    )
    seen = {}
    with torch.no_grad(), model.watch_coefficients(lambda layer, m: seen.setdefault(layer, m.clone()), layers=[place]):
        model.forward(ids)
    sign = float(torch.sign(seen[place][0, -1, row]))
    direction = model.projection_matrix("folded")[token]
    with torch.no_grad():
        size = 40.0 / abs(float(seen[place][0, -1, row]))
        model.module.model.layers[place].mlp.down_proj.weight[:, row] = sign * size * direction / direction.norm()
    model.forget_weights_hash()
    return model
