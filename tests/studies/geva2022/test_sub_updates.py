"""Numbers of layers are those of their positions."""

import numpy as np
import pytest

from ffmem.studies.geva2022.sub_updates import EXPERIMENT, at_positions, updates
from ffmem.studies.report import Report
from ffmem.studies.results import Findings, Results


@pytest.mark.parametrize("which", ["gated", "without_norm"])
def test_layers_are_means_over_positions(which: str, request: pytest.FixtureRequest) -> None:
    findings, report = request.getfixturevalue(which)
    result, found = updates(findings), at_positions(Results(findings.folder, findings.header)).found
    assert result.n_positions == len(found.document) == 120 and result.gated == (which == "gated")
    shares = [layer.saturates.value for layer in result.layers]
    assert sum(shares) == pytest.approx(1)
    for place, layer in enumerate(result.layers):
        assert layer.saturates.value == pytest.approx(np.mean(found.saturation_layer == place))
        changes = found.residual_top[:, place] != found.output_top[:, place]
        assert layer.changes.value == pytest.approx(changes.mean())
        assert layer.of_lengths.value == pytest.approx(np.nanmean(found.of_lengths[:, place]), rel=1e-5)
        scores = found.stats[:, place, :, 0, 0]
        assert layer.scored["final"].dominant["score"].value == pytest.approx(np.nanmean(scores[:, 0]), rel=1e-4)
        if changes.any():
            for number, token in ((1, "next"), (2, "candidate")):
                expected = np.nanmean(scores[changes, number])
                assert layer.scored[token].dominant["score"].value == pytest.approx(expected, rel=1e-4)  # type: ignore[index]
    assert report.charts["settles"].rows[1]["value"] == pytest.approx(shares[1])


def test_signs_are_told_of_gated_cells_alone(
    gated: tuple[Findings, Report], without_norm: tuple[Findings, Report]
) -> None:
    quantity = "dominant sub-updates with a coefficient below 0, mean of layers"
    told = [{one.quantity: one.ours for _, one in report.numbers} for _, report in (gated, without_norm)]
    assert quantity in told[0] and quantity not in told[1]
    dominant = Results(gated[0].folder, gated[0].header).load_arrays(EXPERIMENT)["dominant"]
    assert told[0][quantity] == pytest.approx(np.mean(dominant < 0), abs=1e-6) and 0.2 < told[0][quantity] < 0.8


def test_in_the_highest_layer_every_token_above_falls(gated: tuple[Findings, Report]) -> None:
    layers = updates(gated[0]).layers
    assert layers[-1].fallen.value == 1
    told = {one.quantity: one.ours for _, one in gated[1].numbers}
    number = told["tokens above the prediction that a layer puts below it, mean of layers but the highest"]
    assert number == pytest.approx(np.mean([layer.fallen.value for layer in layers[:-1]]))
