"""The algebra of edits against what it promises: exact outputs, unmoved others, rank, and the least cost."""

import pytest
import torch

from ffmem import InputError
from ffmem.analyses.editing.solve import cells_touched, low_rank_update

N, D = 12, 5


def problem(n: int = 1) -> tuple[torch.Tensor, ...]:
    """C, K, V and what the outputs are to be more."""
    torch.manual_seed(3)
    text = torch.randn(200, N, dtype=torch.float64)
    values, keys = torch.randn(N, D, dtype=torch.float64), torch.randn(N, n, dtype=torch.float64)
    return text.T @ text / 200, keys, values, torch.randn(n, D, dtype=torch.float64)


def test_one_key_gets_its_output_to_the_last_digits_by_a_change_of_rank_one() -> None:
    moments, keys, values, wanted = problem()
    left, right = low_rank_update(moments, keys, wanted)
    changed = values + left @ right
    target = values.T @ keys[:, 0] + wanted[0]
    assert float((changed.T @ keys[:, 0] - target).abs().max()) < 1e-14
    assert int(torch.linalg.matrix_rank(left @ right)) == 1
    torch.testing.assert_close(moments @ left, keys)


def test_what_is_orthogonal_to_u_is_not_moved() -> None:
    moments, keys, _, wanted = problem()
    left, right = low_rank_update(moments, keys, wanted)
    u = left[:, 0]
    other = torch.randn(N, dtype=torch.float64)
    other -= u * (other @ u) / (u @ u)
    assert float(((left @ right).T @ other).abs().max()) < 1e-14


def test_several_keys_are_exact_at_weight_0_and_as_it_goes_to_0_with_their_rank_at_most() -> None:
    moments, keys, _, wanted = problem(3)
    left, right = low_rank_update(moments, keys, wanted)
    assert float((keys.T @ left @ right - wanted).abs().max()) < 1e-13
    assert int(torch.linalg.matrix_rank(left @ right)) == 3
    errors = []
    for weight in (1.0, 1e-3, 1e-6):
        left, right = low_rank_update(moments, keys, wanted, weight)
        errors.append(float((keys.T @ left @ right - wanted).abs().max()))
    assert errors[0] > 100 * errors[1] > 1e4 * errors[2] > 0


@pytest.mark.parametrize("weight", [0.5, 20.0])
def test_no_other_change_costs_less(weight: float) -> None:
    """Against MEMIT's own formula, R K^T (w C + K K^T)^-1, and against a search around it."""
    moments, keys, _, wanted = problem(2)
    left, right = low_rank_update(moments, keys, wanted, weight)
    found = left @ right
    own = torch.linalg.solve(weight * moments + keys @ keys.T, keys @ wanted)
    torch.testing.assert_close(found, own, rtol=1e-10, atol=1e-12)

    def cost(change: torch.Tensor) -> float:
        return float(weight * torch.trace(change.T @ moments @ change) + ((keys.T @ change - wanted) ** 2).sum())

    torch.manual_seed(0)
    for _ in range(20):
        assert cost(found) < cost(found + 1e-3 * torch.randn(N, D, dtype=torch.float64))


def test_two_facts_with_one_key_are_refused_unless_they_may_be_missed() -> None:
    moments, keys, _, wanted = problem(2)
    same = keys[:, [0, 0]]
    with pytest.raises(InputError, match="2 facts have keys that depend on each other"):
        low_rank_update(moments, same, wanted)
    left, right = low_rank_update(moments, same, wanted, 1e-9)
    # to what lambda = 1e-9 leaves of two keys that are one, which differs between processors
    torch.testing.assert_close(same.T @ left @ right, wanted.mean(0).expand(2, -1), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("moved", "n"), [([1.0, 1.0, 1.0, 0.0], 3.0), ([2.0, 0.0], 1.0), ([0.0, 0.0], 0.0), ([3.0, 4.0], 625 / 337)]
)
def test_cells_touched_are_as_many_as_move_alike(moved: list[float], n: float) -> None:
    assert cells_touched(torch.tensor(moved, dtype=torch.float64)) == pytest.approx(n)
