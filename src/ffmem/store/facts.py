"""What is known of a model as plain data: the same facts of a loaded model and of one that an index was built from."""

from dataclasses import asdict, dataclass
from typing import Literal

from ffmem.dictionaries import StatesAt
from ffmem.ids import CellSpace, LayerCells
from ffmem.json_values import JsonObject, Record

Projection = Literal["raw", "final-norm", "folded", "adaptive"]
"""How a vector becomes scores over the vocabulary, with U the unembedding, n the final norm, b the output bias:
"raw" U h (Geva et al. 2021); "final-norm" U n(h) + b (the model's own logits of a final state; "logit lens");
"folded" U' h, where U' holds the norm's gain and centring: linear, so contributions add up, up to n's positive scale;
"adaptive" the log-probabilities of an adaptive softmax for h, all its bands: not linear, so that the length of h matters."""

Activation = Literal["relu", "topk", "jumprelu"]
"""What turns a dictionary's products with keys into coefficients: none below 0; of those the k largest of a position; each
above a threshold of its own."""

NormPlacement = Literal["pre", "post", "sandwich", "shared"]
"""Where the norm of a feed-forward layer stands: o = r + FF(n(r)); o = n(r + FF(r)); o = r + n2(FF(n1(r))); and, where
the stream goes on from the normed state, r = n(h), o = r + FF(r)."""


@dataclass(frozen=True)
class DictionaryFacts(Record):
    """A dictionary beside a layer of a model: what its entries, its cells, are and which states they stand between."""

    layer: int
    """Of the layer that it stands beside, from 0 within its stack."""
    stack: str
    name: str
    d_ff: int
    """Its cells."""
    architecture: str
    """As its files call it: "standard", "topk", "jumprelu", "transcoder", ..."""
    activation: Activation
    k: int | None
    """How many cells "topk" lets through."""
    reads: StatesAt
    """The states that its keys are compared with."""
    writes: StatesAt
    """The states that its values add up to."""
    skip: bool
    """Whether a matrix of its own carries what it reads past the cells."""
    layout: Literal["saelens", "gemma-scope"]
    sha256: str
    """Of its arrays."""

    @property
    def cells(self) -> LayerCells:
        """Its cells, as those of a layer of their own."""
        return LayerCells(self.layer, self.d_ff, stack=self.stack, dictionary=self.name)

    @classmethod
    def from_json(cls, values: JsonObject) -> "DictionaryFacts":
        """What `to_json` gave; further names are left out.

        Raises:
            KeyError: a fact is missing.
        """
        return cls(**{name: values[name] for name in cls.__dataclass_fields__})


@dataclass(frozen=True)
class ModelFacts:
    """Facts of a model, as plain data."""

    name: str
    family: str
    architecture: str
    n_layers: int
    """Feed-forward layers, those of all stacks together."""
    layers: tuple[LayerCells, ...]
    """Each of them; the place in this tuple is what every other interface calls the layer."""
    d_model: int
    d_ff: int
    """Cells of the first layer, or of each of its experts."""
    d_vocab: int
    activation: str
    gated: bool
    key_bias: bool
    value_bias: bool
    norm: str
    norm_placement: NormPlacement
    parallel: bool
    causal: bool
    """Whether a prefix has the same coefficients alone and at the beginning of a longer text, as measured on this model; where
    not, a trigger is a position in a sentence."""
    max_length: int | None
    """Longest input in tokens; None if positions have no limit."""
    projections: tuple[Projection, ...]
    """Those that this model has."""
    dtype: str
    labels: tuple[str, ...] = ()
    """Of a classifier whose scores are linear in the final state: what it tells apart."""

    @property
    def n_signs(self) -> int:
        """Trigger lists of a cell: 2 where the sign of a coefficient is a gauge (gated cells), else 1."""
        return 2 if self.gated else 1

    @property
    def two_stacks(self) -> bool:
        """Whether the model is an encoder-decoder."""
        return any(layer.stack for layer in self.layers)

    @property
    def predicts_next_token(self) -> bool:
        """Whether the model is a causal language model: one causal stack, which is never loaded without its head."""
        return self.causal and not self.two_stacks

    def to_json(self) -> JsonObject:
        """As plain JSON values."""
        values = asdict(self)
        labels = values.pop("labels")  # which only classifiers have
        own = {"layers": CellSpace(self.layers).to_json(), "projections": list(self.projections)}
        return values | own | ({"labels": list(labels)} if labels else {})

    @classmethod
    def from_json(cls, values: JsonObject) -> "ModelFacts":
        """What `to_json` gave; further names are left out.

        Raises:
            KeyError: a fact is missing.
        """
        facts = {name: values[name] for name in cls.__dataclass_fields__ if name != "labels"}
        facts["layers"] = CellSpace.from_json(facts["layers"]).layers
        labels = tuple(values.get("labels", ()))
        return cls(**facts | {"projections": tuple(facts["projections"])}, labels=labels)
