"""Tiny random models of the Transformer architectures that people use, each with a truth that was written by hand.

`zoo/` has the models, a file for each kind; `truth.py` the hooks that the truths are made of; `comparison.py` holds ffmem to
them, and `report.py` counts (`make architectures`). A truth is read off the class's own forward in transformers, one line for
one class: it must not search a model's modules, which is what it is the judge of.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from tests.architectures.truth import Place

D_MODEL, D_FF = 32, 24
_HEADS = {"num_attention_heads": 4, "max_position_embeddings": 128}
_TOKENS = {"bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 1}
SIZES = _HEADS | _TOKENS | {"hidden_size": D_MODEL, "num_hidden_layers": 2}
"""Under the names that most configs have."""
GATED = SIZES | {"intermediate_size": D_FF, "num_key_value_heads": 2, "head_dim": 8}
WINDOW = {"sliding_window": 4, "layer_types": ["sliding_attention", "full_attention"]}


@dataclass(frozen=True)
class Architecture:
    """One architecture of the zoo."""

    name: str
    year: int
    hub: str
    """A model of the hub that has it."""
    make: Callable[[int], Any]
    """A model as the library initialises it, from the size of its vocabulary."""
    truth: Callable[[Any], list[Place]]
    """The feed-forward layers with cells, in order; an encoder's before its decoder's."""
    final: Callable[[Any], Any] | None = None
    """The module whose input is the final state, from which the logits come: the final norm or the head. None: there is no
    vocabulary to project on."""
    tokenizer: Literal["bytes", "word pieces"] = "bytes"
    labels: bool = False
    """Its logits are those of labels, not of tokens."""
    text: bool = True
    """Whether it reads tokens at all."""
    note: str = ""
    """What is odd about it, for who reads it by rules."""
