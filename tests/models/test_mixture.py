"""A mixture's cells, against plain loops over positions and experts."""

import torch
from torch import Tensor

from ffmem.models.mixture import MixtureLayer
from tests.models.toy_mixture import D_FF, LAYOUT, Layer, coefficients, states


def test_coefficients_times_values_are_the_output() -> None:
    layer, x = Layer(), states()
    mixture = MixtureLayer(layer, LAYOUT, 0)
    seen: list[Tensor] = []
    plain = layer.mlp(x)
    stop = mixture.watch(seen.append)
    output = layer.mlp(x)
    stop()
    assert torch.allclose(seen[0], coefficients(layer, x), atol=1e-6)
    assert torch.allclose(seen[0] @ mixture.values(), plain, atol=1e-5)
    assert torch.allclose(output, plain, atol=1e-6)
    assert torch.equal(layer.mlp(x), plain) and len(seen) == 1


def test_shared_cells_are_two_more_groups_of_the_experts_size() -> None:
    layer = Layer()
    mixture, mlp = MixtureLayer(layer, LAYOUT, 2), layer.mlp
    assert (mixture.cells.d_ff, mixture.cells.n_cells) == (D_FF, 5 * D_FF)
    assert torch.equal(mixture.gate_keys()[D_FF : 2 * D_FF], mlp.experts.first[1, 1::2])
    assert torch.equal(mixture.up_keys()[-6:], mlp.up.weight)
    key_bias, up_bias = mixture.key_bias(), mixture.up_bias()
    assert key_bias is not None and torch.equal(key_bias[-6:], mlp.gate.bias)
    assert up_bias is not None and torch.equal(up_bias[:D_FF], mlp.experts.first_bias[0, ::2])
    assert torch.equal(up_bias[-6:], torch.zeros(6))  # the up matrix has no bias


def test_gates_are_above_0_only_where_a_position_is_routed() -> None:
    layer, x = Layer(), states()
    seen: list[tuple[Tensor, Tensor]] = []
    stop = MixtureLayer(layer, LAYOUT, 0).watch_gated(lambda m, gates: seen.append((m.clone(), gates.clone())))
    layer.mlp(x)
    stop()
    (m, gates), (chosen, _) = seen[0], layer.mlp.route(x)
    for position in range(len(x)):
        for expert in range(3):
            own = layer.mlp.experts.first[expert] @ x[position] + layer.mlp.experts.first_bias[expert]
            is_routed = expert in chosen[position].tolist()
            assert torch.equal(gates[position, expert * D_FF : (expert + 1) * D_FF], (own[1::2] > 0) & is_routed)
    assert torch.equal(gates[:, 9:], layer.mlp.gate(x) > 0)
    assert not bool(m[~gates].any())  # the activation is a ReLU


def test_a_changed_coefficient_is_worth_its_value() -> None:
    layer, x = Layer(), states()
    mixture, plain = MixtureLayer(layer, LAYOUT, 0), layer.mlp(x)
    change = torch.zeros(5, 15)
    change[1, 4], change[3, 12] = 2.0, -1.0
    stop = mixture.change(lambda m: m + change)
    changed = layer.mlp(x)
    stop()
    expected = torch.zeros(5, 4)
    expected[1], expected[3] = 2 * layer.mlp.experts.second[1, :, 1], -layer.mlp.down.weight[:, 3]
    assert torch.allclose(changed - plain, expected, atol=1e-5)
