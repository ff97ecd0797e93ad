"""The fields of a cfg.json of SAELens that decide what its dictionary computes; files.py tells where they were read from."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ffmem.dictionaries import Attachment, StatesAt
from ffmem.errors import InputError
from ffmem.models.dictionaries.training_names import TRAINING_NAMES
from ffmem.store.facts import Activation

_ARCHITECTURES: dict[str, tuple[Activation, bool]] = {
    "standard": ("relu", False),
    "topk": ("topk", False),
    "jumprelu": ("jumprelu", False),
    "transcoder": ("relu", True),
    "skip_transcoder": ("relu", True),
    "jumprelu_transcoder": ("jumprelu", True),
    "jumprelu_skip_transcoder": ("jumprelu", True),
}
"""The activation of each, and whether it maps one place to another."""
_SKIPS = ("skip_transcoder", "jumprelu_skip_transcoder")
_READ = """
architecture activation_fn activation_fn_str activation_fn_kwargs k rescale_acts_by_decoder_norm apply_b_dec_to_input
normalize_activations finetuning_scaling_factor reshape_activations hook_name hook_name_out hook_point hook_head_index
hook_head_index_out hook_point_head_index hf_hook_name hf_hook_name_out d_in d_sae d_out meta metadata
"""
_NAMES = frozenset(_READ.split())
"""The names that are looked at here."""

_HOOKS: dict[str, StatesAt] = {
    "hook_resid_pre": "resid-pre",
    "hook_resid_mid": "resid-mid",
    "hook_resid_post": "resid-post",
    "hook_mlp_out": "update",
    "mlp.hook_in": "mlp-input",
    "mlp.hook_out": "mlp-output",
}
"""Places by their names in TransformerLens (``transformer_lens/components/transformer_block.py``; ``mlp.hook_in`` and ``_out``
are the TransformerBridge's). hook_mlp_out comes behind a norm that follows the layer."""
_MODULES: dict[str, StatesAt] = {
    "output": "resid-post",
    "mlp.input": "mlp-input",
    "mlp.output": "mlp-output",
    "pre_feedforward_layernorm.output": "mlp-input",
    "post_feedforward_layernorm.output": "update",
}
"""Places by their modules in transformers, as Gemma Scope 2 names them (behind ``model.layers.9.``)."""
_EITHER: dict[str, tuple[StatesAt, StatesAt]] = {
    "hook_mlp_in": ("resid-mid", "mlp-input"),
    "ln2.hook_normalized": ("mlp-input", "normalized"),
}
"""Names that have had two meanings: HookedTransformer's hook_mlp_in comes before the norm, the bridge's behind it. A
LayerNorm's hook_normalized comes behind gain and bias (``components/layer_norm.py``), and before them in the bridge, and where
they were folded into the layer (``layer_norm_pre.py``). An RMSNorm's always comes before its gain (``rms_norm.py``)."""


@dataclass(frozen=True)
class Fields:
    """What decides what a dictionary computes."""

    architecture: str
    activation: Activation
    k: int | None
    rescaled: bool
    """Products with keys are multiplied with the length of the value, which then has length 1."""
    centred: bool
    """b_dec is taken off what is read."""
    reads: StatesAt | None
    """None: by a name that depends on the model's norms; see `normalized_of`."""
    writes: StatesAt
    skip: bool | None = False
    """Whether a matrix of its own carries what it reads past the cells; None: if there is one among its arrays."""
    sizes: Mapping[str, int] = field(default_factory=dict)
    """How long "d_in", "d_sae" and "d_out" are said to be, where that is said."""


def read_fields(attachment: Attachment, cfg: Mapping[str, Any]) -> Fields:
    """Those of a cfg.json.

    Raises:
        InputError: one of them has a value that is not known, or that cannot be computed exactly.
    """
    told = _told(attachment, cfg)
    old = told.get("activation_fn_str") or told.get("activation_fn") or "relu"
    architecture = told.get("architecture") or "standard"
    if old == "topk" and architecture == "standard":
        architecture = "topk"
    if not isinstance(architecture, str) or architecture not in _ARCHITECTURES:
        raise _wrong(attachment, "architecture", architecture, f"one of {', '.join(_ARCHITECTURES)}")
    activation, maps = _ARCHITECTURES[architecture]
    if old not in ("relu", "topk"):
        raise _wrong(attachment, "activation_fn", old, "relu or topk")
    rescaled = _flag(attachment, told, "rescale_acts_by_decoder_norm", False)
    if rescaled and activation != "topk":
        raise _wrong(attachment, "rescale_acts_by_decoder_norm", True, f"false for {architecture}")
    centred = _flag(attachment, told, "apply_b_dec_to_input", not maps)
    if centred and maps:
        raise _wrong(attachment, "apply_b_dec_to_input", True, "false for a transcoder, whose b_dec is of its output")
    _check_plain(attachment, told)
    reads, by_name = _reads(attachment, told)
    return Fields(
        architecture=architecture,
        activation=activation,
        k=_k(attachment, told) if activation == "topk" else None,
        rescaled=rescaled,
        centred=centred,
        reads=reads,
        writes=_writes(attachment, told, maps, by_name if reads is None else reads),
        skip=architecture in _SKIPS,
        sizes={
            name: _size(attachment, told, name) for name in ("d_in", "d_sae", "d_out") if told.get(name) is not None
        },
    )


def _told(attachment: Attachment, cfg: Mapping[str, Any]) -> dict[str, Any]:
    """All names of a cfg.json with their values; what SAELens calls metadata decides nothing but the hooks."""
    told, unknown = dict(cfg), sorted(cfg.keys() - _NAMES - TRAINING_NAMES)
    if unknown:
        raise InputError(
            f"the dictionary at {attachment.path} has {unknown[0]!r} in its cfg.json, which is not known",
            "Expected names that SAELens gives to the kinds that are read",
            "If it changes nothing of what the dictionary computes, take it out of cfg.json",
        )
    for part in ("meta", "metadata"):
        beside = cfg.get(part) or {}
        if not isinstance(beside, dict):
            raise _wrong(attachment, part, beside, "an object")
        told |= beside
    return told


def _check_plain(attachment: Attachment, told: Mapping[str, Any]) -> None:
    """Refuse what changes what is read, or what comes out, beyond the arrays."""
    normalised = told.get("normalize_activations", "none")
    if normalised not in ("none", None, False):
        raise InputError(
            f"the dictionary at {attachment.path} has normalize_activations {normalised!r}: it rescales what it reads by "
            "what is not in its files, or differs from position to position",
            "Expected none",
            "For expected_average_only_in, fold the factor into the weights with SAELens "
            "(sae.fold_activation_norm_scaling_factor(factor)), and save it again",
        )
    if told.get("finetuning_scaling_factor") not in (None, False):
        raise _wrong(attachment, "finetuning_scaling_factor", told["finetuning_scaling_factor"], "none")
    for name in ("hook_head_index", "hook_head_index_out", "hook_point_head_index"):
        if told.get(name) is not None:
            raise _wrong(attachment, name, told[name], "none")
    if told.get("reshape_activations", "none") not in ("none", None):
        raise _wrong(attachment, "reshape_activations", told["reshape_activations"], "none")


def _flag(attachment: Attachment, told: Mapping[str, Any], name: str, default: bool) -> bool:
    found = told.get(name)
    if found is not None and not isinstance(found, bool):
        raise _wrong(attachment, name, found, "true or false")
    return default if found is None else found


def _size(attachment: Attachment, told: Mapping[str, Any], name: str) -> int:
    size = told[name]
    if type(size) is not int or size < 1:
        raise _wrong(attachment, name, size, "how many numbers")
    return size


def _k(attachment: Attachment, told: Mapping[str, Any]) -> int:
    before = told.get("activation_fn_kwargs") or {}
    k = told["k"] if "k" in told else before.get("k") if isinstance(before, dict) else None
    if type(k) is not int or k < 1:
        raise _wrong(attachment, "k", k, "how many cells topk lets through")
    return k


def _reads(attachment: Attachment, told: Mapping[str, Any]) -> tuple[StatesAt | None, StatesAt]:
    """The place that it reads, None where the model's norm decides, and what an SAE then writes."""
    hook = told.get("hf_hook_name") or told.get("hook_name") or told.get("hook_point")
    if attachment.reads is not None and not hook:
        return attachment.reads, attachment.reads
    place = _place(attachment, "hook_name", hook)
    if attachment.reads is not None:
        return attachment.reads, attachment.reads
    known = _HOOKS.get(place) or _MODULES.get(place)
    if known is not None:
        return known, known
    if place == "ln2.hook_normalized":
        return None, "normalized"
    raise ambiguous(attachment, str(hook), _EITHER[place])


def _writes(attachment: Attachment, told: Mapping[str, Any], maps: bool, reads: StatesAt) -> StatesAt:
    if not maps:
        return reads
    hook = told.get("hf_hook_name_out") or told.get("hook_name_out")
    if not hook:
        return "update"
    place = _place(attachment, "hook_name_out", hook)
    known = _HOOKS.get(place) or _MODULES.get(place)
    if known is None:
        raise _wrong(attachment, "hook_name_out", hook, "the output of the layer, such as hook_mlp_out")
    return known


def place_of(attachment: Attachment, name: Any) -> StatesAt:
    """The place that transformers' modules have by this name, which must be of the attachment's layer.

    Raises:
        InputError: it is another layer's, or no place around a feed-forward layer.
    """
    place = _place(attachment, "hook", name)
    if place not in _MODULES:
        raise _wrong(attachment, "hook", name, f"model.layers.N. and one of {', '.join(_MODULES)}")
    return _MODULES[place]


def _place(attachment: Attachment, field: str, hook: Any) -> str:
    """A hook's name without its layer, which must be the attachment's."""
    found = re.fullmatch(r"blocks\.(\d+)\.(.+)", str(hook), re.ASCII)
    if found is not None and found[2] in _MODULES:
        found = None
    if found is None:
        module = re.fullmatch(r"(?:\w+\.)*(?:layers|h)\.(\d+)\.(.+)", str(hook), re.ASCII)
        found = module if module is not None and module[2] in _MODULES else None
    if found is None or found[2] not in {*_HOOKS, *_EITHER, *_MODULES}:
        known = ", ".join([*_HOOKS, *_EITHER])
        if attachment.reads is not None and field == "hook_name":
            return ""
        raise InputError(
            f"the dictionary at {attachment.path} has the {field} {hook!r}",
            f"Expected blocks.N. and one of: {known}; or model.layers.N. and one of: {', '.join(_MODULES)}",
            f"If it stands beside a feed-forward layer, write what it reads: {attachment.layer}={attachment.name}@PLACE:...",
        )
    if f"L{int(found[1])}" != attachment.layer.rpartition(".")[2]:
        raise InputError(
            f"the dictionary at {attachment.path} has the {field} {hook!r}, and --dictionary gives it to {attachment.layer}",
            "Expected the layer that it was trained on",
            f"Write --dictionary L{int(found[1])}={attachment.name}:...",
        )
    return found[2]


def ambiguous(attachment: Attachment, hook: str, places: tuple[StatesAt, StatesAt]) -> InputError:
    """The error for a hook's name that can mean two places."""
    one, other = (f"{attachment.layer}={attachment.name}@{place}:..." for place in places)
    return InputError(
        f"the dictionary at {attachment.path} reads {hook!r}, which has meant two places",
        f"Expected to be told which: {places[0]} or {places[1]} (see docs/how-to/dictionaries.md)",
        f"Write --dictionary {one} or {other}; `ffmem info` shows how well it then reconstructs",
    )


def normalized_of(attachment: Attachment, norm: str) -> StatesAt:
    """What ln2.hook_normalized is in a model with this kind of norm.

    Raises:
        InputError: it may be either of two places.
    """
    if norm == "rmsnorm":
        return "normalized"
    raise ambiguous(attachment, "ln2.hook_normalized", _EITHER["ln2.hook_normalized"])


def _wrong(attachment: Attachment, field: str, value: Any, expected: str) -> InputError:
    return InputError(
        f"the dictionary at {attachment.path} has {field} {value!r}",
        f"Expected {expected}",
        "Give a dictionary of another kind: docs/how-to/dictionaries.md lists those that are read",
    )
