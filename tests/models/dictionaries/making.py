"""Dictionaries with known numbers, written as SAELens and Gemma Scope write theirs."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

NO_NORM = {"normalize_activations": "none", "apply_b_dec_to_input": False, "dtype": "float32", "device": "cpu"}


def saelens(folder: Path, cfg: Mapping[str, Any], **arrays: Tensor) -> Path:
    """A folder as ``SAE.save_model`` of SAELens 6 writes it: sizes at the top, where it stands in "metadata"."""
    hooks = {name: cfg[name] for name in ("hook_name", "hook_name_out") if name in cfg}
    top = {name: value for name, value in cfg.items() if name not in hooks}
    sizes = {"d_in": arrays["W_enc"].shape[0], "d_sae": arrays["W_dec"].shape[0], "reshape_activations": "none"}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cfg.json").write_text(
        json.dumps(NO_NORM | sizes | top | {"metadata": hooks | {"sae_lens_version": "6.21.0", "model_name": "tiny"}})
    )
    save_file({name: array.contiguous().clone() for name, array in arrays.items()}, folder / "sae_weights.safetensors")
    return folder


def gemma_scope(folder: Path, **arrays: Tensor) -> Path:
    """A folder with params.npz."""
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "params.npz", **{name: array.numpy() for name, array in arrays.items()})
    return folder


def mirror(d: int, centre: float = 0.0) -> dict[str, Tensor]:
    """An autoencoder that is exact: each direction once with either sign, and a bias that is taken off and put back."""
    both = torch.cat([torch.eye(d), -torch.eye(d)])
    return {"W_enc": both.T, "b_enc": torch.zeros(2 * d), "W_dec": both, "b_dec": torch.full((d,), centre)}
