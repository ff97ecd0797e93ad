"""What a family states about itself, as data, and what is known of a loaded model."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from ffmem.store.facts import NormPlacement

CallArguments = dict[str, Any]
"""What a module is called with, by name: tensors, flags, caches."""

ConfigFile = dict[str, Any]
"""The content of a config.json, or of another file of settings, as it is written."""


@dataclass(frozen=True)
class AttentionLayout:
    """Where one attention sub-layer lies: dotted paths from a Transformer layer."""

    module: str
    """What returns the weights, as the last of its outputs."""
    value: str
    """W_V, alone or fused with those of queries and keys."""
    output: str
    """W_O: its input is the heads' weighted values, one head after the other."""
    norm: str = ""
    """The norm before it, which reads the stream ("pre", "sandwich", "shared")."""
    after: str = ""
    """The norm behind its residual sum ("post"), or behind its output ("sandwich")."""
    cross: bool = False
    """Its sources are the encoder's final states."""
    fused: tuple[int, int] | None = None
    """Of a fused matrix: in how many groups of head-sized slots its outputs come, and how many slots at the end of each
    group are values. None: W_V stands alone."""
    n_heads: str = "num_attention_heads"
    """Name of the config's field with the number of heads."""
    step_by_step: Callable[[CallArguments], CallArguments] | None = None
    """From the module's named arguments to those that make it compute what it should where it computes the weights as such,
    if it is at fault there; None: it is not."""


@dataclass(frozen=True)
class Layout:
    """Where things lie in a family's modules: dotted paths from the model (backbone, layers, ...) or from a layer."""

    backbone: str
    """The model without its head, or one stack of an encoder-decoder; "" if the head is missing altogether."""
    layers: str
    """List of layers, from the backbone."""
    value: str
    """Second feed-forward matrix, from a layer: its input is the coefficients, its weight holds the values."""
    key: str = ""
    """First feed-forward matrix of ungated cells."""
    gate_key: str = ""
    """First feed-forward matrix of gated cells whose output goes through the activation."""
    up_key: str = ""
    """The other one."""
    experts: str = ""
    """The experts of a mixture: one module of stacked weights. Layers without it are read by the paths above."""
    ff_norm: str = ""
    """The norm before the feed-forward layer ("pre", "sandwich", "shared") or after its residual sum ("post")."""
    post_ff_norm: str = ""
    """The norm that the output passes before it is added ("sandwich")."""
    attention: tuple[AttentionLayout, ...] = ()
    """The attention sub-layers, in the order in which they run."""
    final_norm: str = ""
    """The norm before the unembedding, from the backbone; "" if there is none."""
    project_out: str = ""
    """A matrix between final norm and unembedding, from the backbone; "" if there is none."""
    placement: NormPlacement = "pre"
    parallel: bool = False
    """Attention and feed-forward layer read the same state; then r = h + attention, so that o = r + y still holds."""
    norm: Literal["layernorm", "rmsnorm"] = "layernorm"
    norm_offset: float = 0.0
    """What is added to a norm's weight to give its gain."""
    softcap: float | None = None
    """Final logits are softcap * tanh(logits / softcap)."""
    head_transform: Callable[[Any, Any], Any] | None = None
    """A non-linear head before the unembedding, a masked language model's: from the model and states to states."""
    log_probabilities: Callable[[Any, Any], Any] | None = None
    """A head that is no matrix but an adaptive softmax: from the model and states to log-probabilities."""
    direction: Callable[[Any, int], Any] | None = None
    """With it: from the model and a token to the vector whose product with a final state is the token's own score."""
    normalisers: Callable[[Any, Any, int], Any] | None = None
    """With it: from the model, a final state in float64 and a token to what is taken off that score to give the
    log-probability."""
    slopes: Callable[[Any], Any] | None = None
    """With it: from the model to the derivatives of all log-probabilities at a state of zeros, a row for each token."""
    stack: str = ""
    """"enc" or "dec" in an encoder-decoder."""
    output_bias: str = ""
    """A buffer beside the unembedding that is added to the logits, from the model; "" if there is none."""
    output_scale: float = 1.0
    """What the final state is multiplied with before the unembedding."""


Rows = Literal["padded", "equal-length", "alone"]
"""Which sentences may share a forward pass: any, the shorter ones padded on the right; those of equal length; none."""


@dataclass(frozen=True)
class Batching:
    """How sentences may be run so that each has the coefficients that it has alone: measured on the model, see proof.py."""

    causal: bool
    """Whether no position sees what is on its right; otherwise a mask says which positions are padding."""
    rows: Rows = "padded"
    fresh: bool = False
    """Whether the model changes with what it is given, so that it is put back before each pass."""

    def stricter(self, other: "Batching") -> "Batching":
        """What is right where both are."""
        rows: Rows = max(self.rows, other.rows, key=get_args(Rows).index)
        return Batching(self.causal and other.causal, rows, self.fresh or other.fresh)


def max_positions(config: Any) -> int:
    """The longest input in tokens, under the name that all configs with a limit answer to."""
    limit: int = config.max_position_embeddings
    return limit


@dataclass(frozen=True)
class Family:
    """What an architecture family states about itself."""

    name: str
    architectures: Mapping[str, str]
    """Names that stand under "architectures" in a Hugging Face config -> the transformers class that loads them."""
    layout: Callable[[Any], Layout | tuple[Layout, ...]]
    """From the model's config to its layout (of an encoder-decoder: two); most families ignore the config."""
    activation: str
    """Name of the config's field that names the activation; of the activation itself, where no config chooses."""
    causal: bool = True
    """What its models are meant to be: false where a position sees what is on its right. The model itself is asked at load:
    see proof.py."""
    max_length: Callable[[Any], int | None] = max_positions
    """From the model's config to its longest input in tokens; None if positions have no limit."""


@dataclass(frozen=True)
class Origin:
    """What a model's folder brought beside the weights that it was loaded from."""

    identity: Mapping[str, str] = field(default_factory=dict)
    """What else tells it from other models: an adapter that was merged, code that was run."""
    unused: Mapping[str, int] = field(default_factory=dict)
    """Tensors of its files that no analysis asks, counted by the part that they belong to: poolers, heads."""
    not_read: tuple[str, ...] = ()
    """Further files with weights: copies of what was read, or of other frameworks."""
