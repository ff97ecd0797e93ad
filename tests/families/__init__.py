"""Tiny models of each family, a file each: what the contracts hold is held for all that stands here.

A file is named as its family's in `ffmem.models.families`, and states EXAMPLES: by name, how each kind of model is made.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

D_MODEL, D_FF, N_LAYERS, CONTEXT = 32, 48, 3, 64

SIZES = {"hidden_size": D_MODEL, "num_hidden_layers": N_LAYERS, "num_attention_heads": 4}
SIZES |= {"max_position_embeddings": CONTEXT, "bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 1}
"""Under the names that most configs have."""
WIDE = SIZES | {"intermediate_size": D_FF}
GATED = WIDE | {"num_key_value_heads": 2, "head_dim": 8}
EXPERTS = GATED | {"num_experts_per_tok": 2}
WINDOW = {"sliding_window": 4, "layer_types": ["sliding_attention", "full_attention", "sliding_attention"]}


@dataclass(frozen=True)
class Example:
    """One kind of model of a family."""

    make: Callable[[int], Any]
    """A model as the library initialises it, from the size of its vocabulary; D_MODEL wide, with N_LAYERS layers a stack."""
    tokenizer: Literal["bytes", "bytes with a BOS", "word pieces"] = "bytes"
    d_ff: int = D_FF
    longest: int | None = CONTEXT
    """Its longest input; None: positions have no limit."""
    has_table: bool = False
    """Positions are rows of a table: with one token more than the longest input it cannot be run."""
    last_bits: bool = False
    """It adds up its stream in another order than its own list of states: the last bits differ, on some processors."""
    gauge: float | None = None
    """With gated or ReLU cells and no attention mask: what up key and value can be scaled with, without a trace."""
