"""What becomes of a loaded model that no file names: a family of its own, or a refusal that says why; towers are dropped."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ffmem.models.structure.admit import drop_towers, family_of_structure
from ffmem.models.structure.find import Structure, find_structure
from ffmem.models.structure.refusal import NotProvenError
from tests.conftest import byte_level_tokenizer
from tests.models.structure.test_find import Config, toy
from tests.models.structure.toy_model import IDS, Model


class Reader(Model):
    """The toy over the tokens of a tokenizer, beside a tower that reads no text."""

    def __init__(self, *, needs_its_tower: bool = False) -> None:
        super().__init__()
        self.tower = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 6))
        self._needs_its_tower = needs_its_tower
        text = SimpleNamespace(max_position_embeddings=64)
        self.config = Config(cap=8.0)
        self.config.get_text_config = lambda: text
        for layer in self.body.layers:
            layer.after = nn.LayerNorm(6)
        self.requires_grad_(False)

    def forward(self, input_ids: Tensor, **named: Any) -> Any:
        if self._needs_its_tower:
            assert self.tower[0].weight is not None
        return super().forward(input_ids, **named)


def _structure(model: Reader) -> Structure:
    return find_structure(model, IDS[0].tolist())


def test_a_tower_that_no_text_reaches_is_dropped_with_its_tensors_counted() -> None:
    model = Reader()
    plain = model(IDS).logits
    assert drop_towers(model, _structure(model)) == {"tower": 4}
    assert model.tower is None and torch.equal(model(IDS).logits, plain)


def test_a_tower_that_the_model_needs_is_put_back() -> None:
    model = Reader(needs_its_tower=True)
    tower = model.tower
    assert drop_towers(model, _structure(model)) == {}
    assert model.tower is tower


def test_a_model_of_text_alone_keeps_everything() -> None:
    model = toy()
    model.unused = nn.Linear(2, 2)
    assert drop_towers(model, find_structure(model, IDS[0].tolist())) == {} and model.unused is not None


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return byte_level_tokenizer(False)


def test_a_model_that_cannot_be_run_is_refused_with_its_own_words(tokenizer: Any) -> None:
    model = toy()

    def fail(**_: Any) -> Any:
        raise ValueError("You have to specify pixel_values\nand more")

    model.forward = fail  # type: ignore[method-assign]
    with pytest.raises(NotProvenError) as refused:
        family_of_structure("mine", model, tokenizer)
    assert refused.value.got == (
        "mine (Model) cannot be run on text: its own call on token ids ends with ValueError: You have to specify pixel_values"
    )
    assert "    keys = Linear: weight [9, 6], bias [9]".strip() in refused.value.modules


def test_what_is_not_proven_is_told_with_the_way_out(tokenizer: Any) -> None:
    model = toy()
    model.body.forward = lambda input_ids: model.body.norm(model.body.table(input_ids))  # type: ignore[method-assign]
    with pytest.raises(NotProvenError) as refused:
        family_of_structure("mine", model, tokenizer)
    assert refused.value.got.startswith("no structure of mine (Model) is proven: no list of layers")
    assert "`ffmem info mine --structure`" in refused.value.mend


def test_a_family_is_made_of_what_is_proven(tokenizer: Any) -> None:
    structure = family_of_structure("mine", toy(), tokenizer)
    assert structure.family.by_structure and structure.layouts[0].layers == "layers"
