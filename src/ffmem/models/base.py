"""What a family states about itself, as data, and what is known of a loaded model."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from ffmem.store.facts import NormPlacement

CallArguments = dict[str, Any]
"""What a module is called with, by name: tensors, flags, caches."""

ConfigFile = dict[str, Any]
"""The content of a config.json, or of another file of settings, as it is written."""


Axes = Literal["batch keys outputs", "batch 1 keys outputs", "batch keys heads outputs"]
"""Of what a module gives whose outputs are values."""


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
    """Of a fused matrix: in how many groups its outputs come, and how many head-sized slots at the end of each group are
    values. None: W_V stands alone."""
    n_heads: str = "num_attention_heads"
    """Name of the config's field with the number of heads."""
    heads: int = 0
    """That number itself, where it was found; 0: the config says it."""
    step_by_step: Callable[[CallArguments], CallArguments] | None = None
    """From the module's named arguments to those that make it compute what it should where it computes the weights as such,
    if it is at fault there; None: it is not."""
    value_axes: Axes = "batch keys outputs"
    """Of what the module named by ``value`` gives; with heads, that is a norm of each head's values behind W_V."""
    value_scale: float = 1.0
    """What the outputs of W_V are multiplied with."""
    scale: float = 1.0
    """What its output is multiplied with on its way into the stream."""
    stream_scale: float = 1.0
    """What the stream is multiplied with there."""
    sink: bool = False
    """Some of the weight goes to no source: what sources get adds up to less than 1."""
    asked: bool = False
    """It gives its weights only where the config asks for them."""


Outputs = tuple[int | None, int | None, int | None]
"""Some of a matrix's outputs: where they begin and end, and at which step; None as in a slice."""


@dataclass(frozen=True)
class Stacked:
    """How a module holds the weights of all experts in two tensors, (experts, outputs, inputs), and what it makes of them."""

    first: str = "gate_up_proj"
    first_bias: str = ""
    second: str = "down_proj"
    second_bias: str = ""
    transposed: bool = False
    """(experts, inputs, outputs) instead."""
    gated: bool = True
    halves: tuple[Outputs, Outputs] | None = None
    """Which outputs of the first matrix are products with gate keys, and which with up keys; None: first those, then these."""
    activate: Callable[[Any, Any], Any] | None = None
    """From the module and all products to activations; None: its ``act_fn`` on the gate, times up."""
    weighted_inputs: bool = False
    """Every expert is given all positions, each multiplied with its routing weight: 0 where it is not routed there."""
    scale: float = 1.0
    """What the sum of the experts is multiplied with on its way into the layer's output."""


@dataclass(frozen=True)
class SharedCells:
    """Cells beside a mixture's experts that every position sees: dotted paths from a Transformer layer."""

    gate_key: str
    up_key: str
    value: str
    halves: tuple[Outputs, Outputs] | None = None
    gate: str = ""
    """A matrix of one output whose sigmoid the cells' sum is multiplied with."""
    scale: float = 1.0
    """What it is multiplied with besides."""


@dataclass(frozen=True)
class LabelHead:
    """A matrix from the final state to scores of labels: paths from the model."""

    matrix: str
    norm: str
    """The norm that the final state passes before it; "" if there is none."""
    names: tuple[str, ...]
    """Of the labels, as the config has them."""


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
    in_attention: str = ""
    """Where memories stand in the softmax of the layer's attention: the module whose output is y, what they add. ``value`` is
    then that of their keys and values, whose input is the coefficients, and ``key`` W_Q; layers are "parallel"."""
    halves: tuple[Outputs, Outputs] | None = None
    """Of a matrix that holds gate keys and up keys: which of its outputs are which."""
    experts: str = ""
    """The experts of a mixture: one module of stacked weights. Layers without it are read by the paths above."""
    stacked: Stacked = Stacked()
    """How that module holds them."""
    shared: tuple[SharedCells, ...] = ()
    """Cells beside the experts that every position sees."""
    sums: tuple[str, ...] = ()
    """Of a mixture: the modules whose outputs add up to y; none named: the module that the experts are in."""
    runs: tuple[int, int] = (0, 1)
    """Which run of its modules in a pass the layer is, and of how many: layers may share their weights."""
    update_scale: float = 1.0
    """What y, or its norm, is multiplied with before it is added."""
    residual_scale: float = 1.0
    """What the stream is multiplied with when it is added."""
    beside: str = ""
    """What else is added, one module's output: in "parallel" layers, if it is not that of attention; in others, behind them."""
    beside_scale: float = 1.0
    """What that is multiplied with."""
    before: str = ""
    """Where layers without memories come before it: the module whose input is the stream before those, from the backbone."""
    activation: Callable[[Any], Any] | None = None
    """What products with keys go through, where that is not what its name says everywhere."""
    by_layer: "tuple[Layout | None, ...]" = ()
    """Where layers differ, the layout of each; None: it has no memories."""
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
    final_state: str = ""
    """Where the model has no part that is given ids and gives the final state: the module whose output is that."""
    headless: bool = False
    """What the model gives behind its layers, if anything, is no score for each token of a vocabulary."""
    has_vocabulary: bool = True
    """Whether there is a matrix whose rows are tokens, as wide as the stream."""
    labels: LabelHead | None = None
    """Where the model's own scores are of labels, and linear in the final state."""
    embedding_map: str = ""
    """Where tokens have fewer numbers than the stream is wide: the matrix that takes them into it, from the model."""
    unembedding: str = ""
    """The module with that matrix, from the model, where the model does not say which it is."""


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
    by_structure: bool = False
    """It is one model's, found in its modules: see models/structure."""


@dataclass(frozen=True)
class Origin:
    """What a model's folder brought beside the weights that it was loaded from."""

    identity: Mapping[str, str] = field(default_factory=dict)
    """What else tells it from other models: an adapter that was merged, code that was run."""
    unused: Mapping[str, int] = field(default_factory=dict)
    """Tensors of its files that no analysis asks, counted by the part that they belong to: poolers, heads."""
    not_read: tuple[str, ...] = ()
    """Further files with weights: copies of what was read, or of other frameworks."""
