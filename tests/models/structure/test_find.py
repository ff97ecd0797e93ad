"""The search as a whole, on a model of a few lines: what it finds is what the model was written to be, or it is refused."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ffmem.models.structure.find import NotFoundError, Structure, find_structure
from tests.models.structure.toy_model import IDS, Model


class Config(SimpleNamespace):
    """Numbers that a model may use."""

    def to_dict(self) -> dict[str, Any]:
        return dict(vars(self))


@torch.no_grad()
def toy(**config: Any) -> Model:
    """With norms of one kind."""
    model = Model()
    torch.manual_seed(8)
    for layer in model.body.layers:
        layer.after = nn.LayerNorm(6)
        for one in layer.after.parameters():
            one.add_(torch.randn_like(one) * 0.3)
    model.config = Config(cap=8.0, **config)
    return model.requires_grad_(False)


def found(model: Model) -> Structure:
    return find_structure(model, IDS[0].tolist())


@torch.no_grad()
def test_everything_that_the_model_was_written_with() -> None:
    structure = found(toy())
    (layout,) = structure.layouts
    assert (layout.backbone, layout.layers, layout.final_norm, layout.softcap) == ("body", "layers", "norm", 8.0)
    assert (layout.norm, layout.norm_offset, layout.headless) == ("layernorm", 0.0, False)
    assert len(layout.by_layer) == 2
    for own in layout.by_layer:
        assert own is not None
        assert (own.key, own.value, own.ff_norm, own.post_ff_norm) == ("keys", "values", "before", "after")
        assert own.placement == "sandwich"
        assert (own.residual_scale, own.update_scale) == (pytest.approx(0.9), pytest.approx(0.5))
    family = structure.family
    assert (family.activation, family.causal, family.by_structure) == ("relu", True, True)
    assert family.layout(None) is structure.layouts and family.max_length(None) is None
    assert set(structure.errors) == {"coefficients", "stream", "logits"} and max(structure.errors.values()) < 1e-5


def test_a_model_whose_positions_see_those_behind_is_not_causal() -> None:
    model = toy()

    def mixed(input_ids: Tensor) -> Tensor:
        h = model.body.table(input_ids)
        h = h + h.mean(1, keepdim=True)
        for layer in model.body.layers:
            h = layer(h)
        return model.body.norm(h)  # type: ignore[no-any-return]

    model.body.forward = mixed  # type: ignore[method-assign]
    assert not found(model).family.causal


def test_a_table_of_positions_or_the_config_limits_the_length() -> None:
    assert found(toy(max_position_embeddings=50)).family.max_length(None) == 50
    model = toy(max_position_embeddings=50)
    model.body.positions = nn.Embedding(21, 6)

    def placed(input_ids: Tensor) -> Tensor:
        h = model.body.table(input_ids) + model.body.positions(torch.arange(2, 2 + input_ids.shape[1]))
        for layer in model.body.layers:
            h = layer(h)
        return model.body.norm(h)  # type: ignore[no-any-return]

    model.body.forward = placed  # type: ignore[method-assign]
    assert found(model).family.max_length(None) == 19  # its first two rows are never used


def _without_a_list(model: Model) -> None:
    model.body.forward = lambda input_ids: model.body.norm(model.body.table(input_ids))  # type: ignore[method-assign]


def _of_two_kinds(model: Model) -> None:
    for layer in model.body.layers:
        layer.after = nn.RMSNorm(6)
        layer.after.weight.data.add_(0.1)


def _unknown_head(model: Model) -> None:
    model.forward = lambda input_ids, **_: SimpleNamespace(  # type: ignore[method-assign, assignment]
        logits=model.head(model.body(input_ids)).sin()
    )


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (_without_a_list, "no list of layers hands a stream on"),
        (_of_two_kinds, "its norms are of 2 kinds"),
        (_unknown_head, "its logits are not explained"),
    ],
)
@torch.no_grad()
def test_what_is_not_explained_is_refused(change: Any, why: str) -> None:
    model = toy()
    change(model)
    with pytest.raises(NotFoundError, match=why):
        found(model)
