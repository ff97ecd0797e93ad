"""Layouts of a stack: layers without memories, embeddings that are narrower than the stream."""

import torch
from torch import Tensor, nn

from tests.models.structure.test_find import found, toy


class Mixer(nn.Module):
    """A layer that has no memories: it takes something from the position before."""

    def forward(self, h: Tensor) -> Tensor:
        return h + 0.5 * torch.cat((torch.zeros_like(h[:, :1]), h[:, :-1]), 1)


def test_a_layer_behind_one_without_memories_says_where_the_stream_before_both_is() -> None:
    model = toy()
    model.body.layers.insert(1, Mixer())
    model.body.layers.append(Mixer())
    (layout,) = found(model).layouts
    assert [one if one is None else one.before for one in layout.by_layer] == ["", None, "layers.1", None]


def test_tokens_of_fewer_numbers_are_read_through_the_matrix_that_widens_them() -> None:
    model = toy()
    model.body.table, model.body.wide = nn.Embedding(30, 4), nn.Linear(4, 6)

    def widened(input_ids: Tensor) -> Tensor:
        h = model.body.wide(model.body.table(input_ids))
        for layer in model.body.layers:
            h = layer(h)
        return model.body.norm(h)  # type: ignore[no-any-return]

    model.body.forward = widened  # type: ignore[method-assign]
    (layout,) = found(model).layouts
    assert layout.embedding_map == "body.wide" and layout.has_vocabulary


def test_a_table_that_nothing_widens_is_no_vocabulary() -> None:
    model = toy()
    model.body.table = nn.Embedding(30, 3)

    def twice(input_ids: Tensor) -> Tensor:
        h = model.body.table(input_ids).repeat(1, 1, 2)
        for layer in model.body.layers:
            h = layer(h)
        return model.body.norm(h)  # type: ignore[no-any-return]

    model.body.forward = twice  # type: ignore[method-assign]
    (layout,) = found(model).layouts
    assert layout.embedding_map == "" and not layout.has_vocabulary
