"""A loaded model is held to its identities; one that computes something else is refused with the identity that fails."""

from collections.abc import Callable
from types import MethodType

import pytest

from ffmem.models.identity_proof import LIMIT, prove_identities
from ffmem.models.structure.refusal import NotProvenError
from ffmem.models.transformer import Transformer


def test_identities_hold_and_a_changed_layer_is_named(loaded: Callable[[str], Transformer]) -> None:
    model = loaded("llama")
    found = prove_identities(model)
    assert set(found) >= {"sums of values", "keys", "norms", "stream", "logits"}
    assert max(found.values()) < LIMIT["float32"] and found["hooks"] == 0
    mlp = model.module.model.layers[1].mlp
    own = type(mlp).forward
    mlp.forward = MethodType(lambda self, x: own(self, x) + 0.05 * x, mlp)
    try:
        with pytest.raises(NotProvenError, match=r"the stream plus memories against the output of layer L1 miss by"):
            prove_identities(model)
    finally:
        del mlp.forward
    assert prove_identities(model) == found
