"""What the page says of effects, against the arrays beside it."""

import numpy as np
import pytest

from ffmem.studies.gurnee2026.effects import DRAWN, STRONGEST, effects
from ffmem.studies.results import Results
from ffmem.studies.runner import findings_of


def test_the_numbers_of_the_page_are_those_of_the_arrays(read: Results) -> None:
    found, arrays = effects(findings_of(read)), read.load_arrays("effects")
    assert found.n == 6 and len(arrays["document"]) == 6
    for kind, name in enumerate((STRONGEST, DRAWN)):
        for number, layer in enumerate(found.layers):
            expected = np.nanmean(np.asarray(arrays["correlation"])[:, number, kind], axis=0)
            assert [layer.by[name][lens].value for lens in found.lenses] == pytest.approx(expected.tolist(), rel=1e-4)


def test_in_the_last_layer_the_jacobian_says_the_effect(read: Results) -> None:
    """Exactly; folded but for the norm's scale, which a cell changes a little."""
    last = effects(findings_of(read)).layers[-1].by[STRONGEST]
    assert last["jacobian"].value == last["own"].value == pytest.approx(1, abs=1e-4)
    assert 1 > last["folded"].value > 0.8 > abs(last["random"].value) + 0.3
