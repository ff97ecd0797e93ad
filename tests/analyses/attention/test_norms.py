"""Norms of sums from Gram matrices, against the sums themselves."""

import torch

from ffmem.analyses.attention.norms import gram, norms_of, own_parts, summed_norms, transformed

HEADS, QUERIES, KEYS, D_HEAD, D_MODEL = 3, 5, 5, 4, 7


def drawn() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    weights = torch.rand(HEADS, QUERIES, KEYS, generator=generator)
    values = torch.randn(KEYS, HEADS, D_HEAD, generator=generator)
    return weights, values, torch.randn(HEADS, D_HEAD, D_MODEL, generator=generator)


def test_vectors_and_their_norms() -> None:
    weights, values, matrix = drawn()
    vectors = transformed(values, matrix)
    for key in range(KEYS):
        for head in range(HEADS):
            expected = values[key, head] @ matrix[head]
            assert torch.allclose(vectors[key, head], expected, atol=1e-6)
            assert torch.allclose(norms_of(gram(vectors))[head, key], expected.norm(), atol=1e-5)
    naive = torch.einsum("hij,jhd->ijd", weights, vectors).norm(dim=-1)
    assert torch.allclose(summed_norms(weights, gram(vectors)), naive, atol=1e-4)
    own = torch.stack([sum(weights[h, i, i] * vectors[i, h] for h in range(HEADS)) for i in range(QUERIES)])
    assert torch.allclose(own_parts(weights, vectors), own, atol=1e-5)


def test_heads_that_cancel_give_zero() -> None:
    vectors = torch.randn(1, 1, D_MODEL, generator=torch.Generator().manual_seed(3))
    both = torch.cat([vectors, -vectors], dim=1)
    norms = summed_norms(torch.full((2, 1, 1), 0.3), gram(both))
    assert 0 <= float(norms) < 1e-3
