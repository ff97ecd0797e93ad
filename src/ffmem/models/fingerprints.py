"""What a model, its config and its tokenizer are known by: hashes of their content."""

import hashlib
import json
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from ffmem.models.present import parameters_of
from ffmem.models.streaming.weights import stream_of


def weights_hash(module: Any) -> str:
    """SHA-256 over names, shapes, types and bytes of all parameters, by name."""
    digest = hashlib.sha256()
    stream = stream_of(module)
    held: Iterable[tuple[str, Tensor]] = parameters_of(module) if stream is None else stream.contents()
    for name, parameter in held:
        digest.update(f"{name} {tuple(parameter.shape)} {parameter.dtype}\n".encode())
        data: Any = parameter.detach().cpu().contiguous()
        digest.update(data.view(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def config_hash(config: Any) -> str:
    """SHA-256 of a config, less what says where it came from: the same weights can be run in other ways."""
    fields = config.to_dict()
    identifying = {name: fields[name] for name in fields if not name.startswith("_") and "version" not in name}
    return hashlib.sha256(json.dumps(identifying, sort_keys=True, default=str).encode()).hexdigest()


def tokenizer_hash(tokenizer: Any) -> str:
    """SHA-256 of a fast tokenizer's definition."""
    return hashlib.sha256(tokenizer.backend_tokenizer.to_str().encode()).hexdigest()
