"""Where a model's memories lie, as text."""

from typing import Any

from ffmem.render.structure import structure

FOUND: dict[str, Any] = {
    "model": "m",
    "architecture": "OddForCausalLM",
    "read_by": "its structure",
    "cells": "2 layers x 9 cells",
    "activation": "relu",
    "kinds": [{"layers": "L0 to L1", "list": "body.layers", "memories": "a(keys) -> values", "stream": "o = r + y"}],
    "head": "norm -> unembedding",
    "longest_input": None,
    "errors": {"stream": 0.000000123, "logits": 0.0},
}


def test_every_fact_has_its_line() -> None:
    assert structure(FOUND).split("\n") == [
        "model        m (OddForCausalLM), read by its structure",
        "cells        2 layers x 9 cells; a is relu",
        "layers       L0 to L1 of body.layers",
        "  memories   a(keys) -> values",
        "  stream     o = r + y",
        "head         norm -> unembedding",
        "longest      no limit",
        "identities   stream 1.2e-07, logits 0.0e+00 (largest relative errors)",
    ]


def test_what_only_some_models_have() -> None:
    kind = FOUND["kinds"][0] | {"after": "layers without memories"}
    more = {"kinds": [kind], "longest_input": 64, "attention": "refused: x", "no_scores": "it gives 2 scores"}
    lines = structure(FOUND | more | {"errors_of_the_search": {"keys": 2e-6}}).split("\n")
    assert "layers       L0 to L1 of body.layers, after layers without memories" in lines
    assert "head         norm -> unembedding (it gives 2 scores)" in lines
    assert "longest      64" in lines and "attention    refused: x" in lines
    assert lines[-1] == "the search   keys 2.0e-06 (largest relative errors)"
