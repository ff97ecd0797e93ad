"""The files of a dictionary -> its arrays, and what they say of it.

Two layouts. **SAELens** (a folder with cfg.json and sae_weights.safetensors), as its ``sae_lens/saes/sae.py``, ``topk_sae.py``,
``jumprelu_sae.py``, ``transcoder.py`` and ``loading/pretrained_sae_loaders.py`` write and read it, 6 and before. Fields:

    architecture               which one; absent before version 3: "standard"
    activation_fn_str,         "relu" or "topk", before version 6; k then stands in activation_fn_kwargs
    activation_fn, k
    rescale_acts_by_decoder_norm   topk: products are multiplied with the length of the value, which then has length 1
    apply_b_dec_to_input       b_dec is taken off the input; true where it is absent, but for transcoders, which never do
    normalize_activations      "none" or null; all else rescales what is read, by a number that is not in the files
    finetuning_scaling_factor  with the array scaling_factor: a further factor of each coefficient
    hook_name, hook_name_out   at the top or in "metadata" ("meta"); before version 1 hook_point: see places.py
    hook_head_index            a dictionary of one attention head
    arrays                     W_enc (d_in, cells), b_enc, W_dec (cells, d_out), b_dec; threshold of jumprelu;
                               W_skip (d_out, d_in) of skip transcoders

**Gemma Scope** (params.npz; Gemma Scope 2: params.safetensors and config.json): the same arrays under these names or in small
letters, all jumprelu, b_dec not taken off; ``affine_skip_connection`` (d_in, d_out) is W_skip with its axes changed. What they
read stands in config.json of the second (hf_hook_point_in and _out, names of modules); of the first the names of the folders
say it, as Google's repositories have them (gemma-scope-2b-pt-res, -mlp, -transcoders; layer_9), or the user.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from ffmem.dictionaries import Attachment, StatesAt
from ffmem.errors import InputError
from ffmem.models.dictionaries.fields import Fields, place_of, read_fields

_GEMMA_SCOPE = (
    (r"gemma-scope[\w.-]*-res\b|resid_post", "resid-post"),
    (r"gemma-scope[\w.-]*-mlp\b|mlp_out", "update"),
    (r"gemma-scope[\w.-]*-transcoders?\b|transcoder", "normalized"),
)
"""What stands in a path, and what such a dictionary reads. Transcoders: behind the norm before the layer, whose gain is folded
into the layer (Lieberum et al. 2024, "Language model technical details", and the card of gemma-scope-2b-pt-transcoders). Those
of Gemma Scope 2 read what the module of the norm gives, behind its gain."""
_CONFIG = {
    "hf_hook_point_in",
    "hf_hook_point_out",
    "width",
    "model_name",
    "architecture",
    "l0",
    "affine_connection",
    "type",
}
"""The names in a config.json of Gemma Scope 2."""
_ARRAYS = {"w_enc": "W_enc", "w_dec": "W_dec"}
_EXPECTED = "Expected W_enc (inputs, cells), W_dec (cells, outputs), and finite numbers"


@dataclass(frozen=True)
class DictionaryFiles:
    """What the files of a dictionary hold."""

    layout: Literal["saelens", "gemma-scope"]
    fields: Fields
    arrays: Mapping[str, Tensor]
    """By their names in SAELens, float32."""
    sha256: str
    """Of the arrays."""


def read_files(attachment: Attachment) -> DictionaryFiles:
    """Read the files of a dictionary.

    Raises:
        InputError: they are not there or damaged, or it is one that cannot be read exactly; the message says why.
    """
    path = attachment.path
    folder = path if path.is_dir() else path.parent
    if path.name == "cfg.json" or (path.is_dir() and (folder / "cfg.json").is_file()):
        fields = read_fields(attachment, _json(folder / "cfg.json"))
        return _found("saelens", fields, _arrays(folder / "sae_weights.safetensors"), attachment)
    names = [path] if path.is_file() else [folder / "params.npz", folder / "params.safetensors"]
    params = next((one for one in names if one.is_file() and one.name.startswith("params.")), None)
    if params is None:
        raise InputError(
            f"there is no dictionary at {path}",
            "Expected a folder with cfg.json and sae_weights.safetensors (SAELens), or with params.npz (Gemma Scope)",
            "Check the path of --dictionary",
        )
    config = folder / "config.json"
    second = params.suffix == ".safetensors"
    fields = _of_config(attachment, _json(config)) if config.is_file() else _of_folders(attachment, second)
    return _found("gemma-scope", fields, _arrays(params), attachment)


def _of_config(attachment: Attachment, config: Mapping[str, Any]) -> Fields:
    """What Gemma Scope 2 says of a dictionary."""
    unknown = sorted(config.keys() - _CONFIG)
    if unknown:
        raise refused(
            attachment, f"has {unknown[0]!r} in its config.json, which is not known", "Expected Gemma Scope 2's names"
        )
    if config.get("architecture") != "jump_relu" or config.get("type", "sae") not in ("sae", "transcoder"):
        kind = f"{config.get('architecture')!r}, {config.get('type')!r}"
        raise refused(attachment, f"is of the kind {kind}", "Expected 'jump_relu', and 'sae' or 'transcoder'")
    first = config.get("hf_hook_point_in")
    reads, writes = (place_of(attachment, one) for one in (first, config.get("hf_hook_point_out") or first))
    maps, width, skip = reads != writes, config.get("width"), config.get("affine_connection")
    if (width is not None and type(width) is not int) or not (skip is None or isinstance(skip, bool)):
        raise refused(
            attachment, f"has the width {width!r} and affine_connection {skip!r}", "Expected a number, and a flag"
        )
    if attachment.reads is not None:
        reads, writes = attachment.reads, writes if maps else attachment.reads
    name = "jumprelu_transcoder" if maps else "jumprelu"
    return Fields(name, "jumprelu", None, False, False, reads, writes, skip, {} if width is None else {"d_sae": width})


def _of_folders(attachment: Attachment, second: bool) -> Fields:
    path = attachment.path.as_posix()
    layer = re.findall(r"layer_(\d+)", path)
    if layer and f"L{int(layer[-1])}" != attachment.layer:
        raise InputError(
            f"{path} is by its name a dictionary of layer {layer[-1]}, and --dictionary gives it to {attachment.layer}",
            "Expected the layer that it was trained on",
            f"Write --dictionary L{int(layer[-1])}={attachment.name}:...",
        )
    reads: StatesAt | None = attachment.reads or next(
        (place for pattern, place in _GEMMA_SCOPE if re.search(pattern, path)),  # type: ignore[misc]
        None,
    )
    if second and attachment.reads is None and reads == "normalized":
        reads = "mlp-input"
    if reads is None:
        raise InputError(
            f"nothing in {path} says what this dictionary reads",
            "Expected the name of the repository in the path (gemma-scope-2b-pt-res, -mlp, -transcoders), or the place itself",
            f"Write {attachment.layer}={attachment.name}@resid-post:..., or @update (SAEs of the layer's output), or "
            "@normalized (transcoders)",
        )
    maps = reads in ("normalized", "mlp-input")
    name = "jumprelu_transcoder" if maps else "jumprelu"
    return Fields(name, "jumprelu", None, False, False, reads, "update" if maps else reads, skip=None)


def _found(
    layout: Literal["saelens", "gemma-scope"], fields: Fields, arrays: dict[str, Tensor], attachment: Attachment
) -> DictionaryFiles:
    digest = hashlib.sha256()
    for name in sorted(arrays):
        digest.update(f"{name}{tuple(arrays[name].shape)}".encode())
        digest.update(arrays[name].contiguous().numpy().tobytes())
    arrays = _without_ones(arrays, attachment)
    _check(fields, arrays, attachment)
    return DictionaryFiles(layout, fields, arrays, digest.hexdigest())


def _without_ones(arrays: dict[str, Tensor], attachment: Attachment) -> dict[str, Tensor]:
    """Without a scaling factor that changes nothing, which some versions of SAELens wrote."""
    factor = arrays.get("scaling_factor")
    if factor is not None and not bool((factor == 1).all()):
        raise refused(attachment, "has a scaling_factor", "Expected coefficients without a further factor")
    return {name: array for name, array in arrays.items() if name != "scaling_factor"}


def _check(fields: Fields, arrays: Mapping[str, Tensor], attachment: Attachment) -> None:
    needed = {"W_enc", "b_enc", "W_dec", "b_dec"} | ({"threshold"} if fields.activation == "jumprelu" else set())
    needed |= {"W_skip"} if fields.skip else set()
    allowed = needed | ({"W_skip"} if fields.skip is None else set())
    missing, unknown = sorted(needed - arrays.keys()), sorted(arrays.keys() - allowed)
    if missing or unknown:
        what = f"no array {missing[0]}" if missing else f"an array {unknown[0]}, which its kind does not have"
        raise refused(attachment, f"has {what}", f"Expected {', '.join(sorted(needed))}")
    matrices = [arrays[name] for name in ("W_enc", "W_dec")]
    if any(one.ndim != 2 or 0 in one.shape for one in matrices):
        raise refused(attachment, "has no matrices W_enc and W_dec of any size", _EXPECTED)
    (d_in, n_cells), d_out = matrices[0].shape, matrices[1].shape[1]
    shapes = {"W_enc": (d_in, n_cells), "b_enc": (n_cells,), "W_dec": (n_cells, d_out)}
    shapes |= {"b_dec": (d_out,), "threshold": (n_cells,), "W_skip": (d_out, d_in)}
    for name, array in arrays.items():
        if tuple(array.shape) != shapes[name]:
            raise refused(attachment, f"has {name} of the shape {tuple(array.shape)}, not {shapes[name]}", _EXPECTED)
        if not bool(torch.isfinite(array).all()):
            raise refused(attachment, f"has NaN or infinity in {name}", _EXPECTED)
    for name, size in (("d_in", d_in), ("d_sae", n_cells), ("d_out", d_out)):
        said = fields.sizes.get(name, size)
        if said != size:
            raise refused(
                attachment, f"has arrays with {name} {size}, and says {said}", "Expected files of one dictionary"
            )


def refused(attachment: Attachment, what: str, expected: str) -> InputError:
    """The error for a dictionary that cannot be read exactly."""
    return InputError(
        f"the dictionary at {attachment.path} {what}", expected, "Give another dictionary, or save it again"
    )


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}", "Expected JSON", "Copy the file again") from error
    if not isinstance(found, dict):
        raise InputError(f"{path} holds no object", "Expected what SAELens wrote", "Copy the file again")
    return found


def _arrays(path: Path) -> dict[str, Tensor]:
    try:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as file:
                found = {name: torch.from_numpy(np.array(file[name])) for name in file.files}
        else:
            found = load_file(path)
    except (OSError, ValueError, KeyError, TypeError, EOFError, SafetensorError) as error:
        raise InputError(f"{path} cannot be read: {error}", "Expected arrays", "Copy the file again") from error
    for name, array in found.items():
        if not array.is_floating_point():
            raise InputError(
                f"{path} has {name} in {str(array.dtype).removeprefix('torch.')}",
                "Expected floating-point numbers: whole ones need a scale, which no such file has",
                "Save the dictionary again, in float32",
            )
    named = {_ARRAYS.get(name, name): array.float() for name, array in found.items()}
    affine = named.pop("affine_skip_connection", None)
    if affine is not None:
        named["W_skip"] = affine.T.contiguous()
    return named
