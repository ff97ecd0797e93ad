"""The recipe of the model of genera: its tokens are read from a pickle that may run nothing."""

import importlib.util
import io
import os
import pickle
from pathlib import Path
from typing import Any

import pytest

RECIPE = Path(__file__).parents[1] / "examples" / "genus_model" / "make.py"


@pytest.fixture(scope="module")
def recipe() -> Any:
    spec = importlib.util.spec_from_file_location("genus_model", RECIPE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class MicroTokenizer:
    def __init__(self, vocab: dict[str, int]) -> None:
        self.vocab = vocab


class Runs:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, ("true",)


def test_tokens_come_in_the_order_of_their_ids(recipe: Any) -> None:
    file = io.BytesIO(pickle.dumps(MicroTokenizer({"g__Vibrio": 2, "<pad>": 0, "g__Blautia": 1})))
    assert recipe.read_tokens(file) == ["<pad>", "g__Blautia", "g__Vibrio"]


def test_a_pickle_that_names_anything_else_is_refused(recipe: Any) -> None:
    with pytest.raises(pickle.UnpicklingError, match="system"):
        recipe.read_tokens(io.BytesIO(pickle.dumps(Runs())))
