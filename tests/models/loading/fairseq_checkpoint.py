"""Checkpoints in fairseq's format, written from nothing but its names, and a slow reading of what they mean."""

import argparse
import math
import sys
from collections import OrderedDict
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch

WORDS = [f"w{number}" for number in range(35)] + ["madeupword0000"]
N_WORDS = 4 + len(WORDS)
D, HEADS, D_FF, LAYERS, CUTOFFS, FACTOR = 16, 2, 24, 2, [12, 24], 2


def arguments(**changes: Any) -> dict[str, Any]:
    """What fairseq keeps of its command line, for `transformer_lm_wiki103` in small."""
    cutoffs = ",".join(map(str, CUTOFFS))
    return {
        "arch": "transformer_lm_wiki103",
        "task": "language_modeling",
        "criterion": "adaptive_loss",
        "activation_fn": "relu",
        "dropout": 0.3,
        "attention_dropout": 0.1,
        "activation_dropout": 0.1,
        "decoder_embed_dim": D,
        "decoder_output_dim": D,
        "decoder_input_dim": D,
        "decoder_ffn_embed_dim": D_FF,
        "decoder_layers": LAYERS,
        "decoder_attention_heads": HEADS,
        "decoder_normalize_before": True,
        "no_decoder_final_norm": True,
        "adaptive_softmax_cutoff": cutoffs,
        "adaptive_softmax_dropout": 0.2,
        "adaptive_softmax_factor": FACTOR,
        "no_token_positional_embeddings": False,
        "character_embeddings": False,
        "adaptive_input": True,
        "adaptive_input_factor": FACTOR,
        "adaptive_input_cutoff": cutoffs,
        "tie_adaptive_weights": True,
        "tie_adaptive_proj": True,
        "decoder_learned_pos": False,
        "tokens_per_sample": 64,
        "max_target_positions": 64,
        **changes,
    }


def state_dict(seed: int = 0, in_proj: bool = False, final_norm: bool = False) -> "OrderedDict[str, torch.Tensor]":
    """Random weights under fairseq's names; tied ones stand twice, as it saves them."""
    generator = torch.Generator().manual_seed(seed)

    def random(*shape: int, std: float = 0.3) -> torch.Tensor:
        return torch.randn(*shape, generator=generator) * std

    state: OrderedDict[str, torch.Tensor] = OrderedDict()
    state["decoder.version"] = torch.tensor([3.0])
    edges = [0, *CUTOFFS, N_WORDS]
    words, softmax = "decoder.embed_tokens", "decoder.adaptive_softmax"
    for band in range(3):
        size = D // FACTOR**band
        state[f"{words}.embeddings.{band}.0.weight"] = random(edges[band + 1] - edges[band], size)
        state[f"{words}.embeddings.{band}.1.weight"] = random(D, size)
    state[f"{words}._float_tensor"] = torch.zeros(1)
    state["decoder.embed_positions._float_tensor"] = torch.zeros(1)
    for layer in range(LAYERS):
        stem = f"decoder.layers.{layer}"
        if in_proj:
            state[f"{stem}.self_attn.in_proj_weight"] = random(3 * D, D)
            state[f"{stem}.self_attn.in_proj_bias"] = random(3 * D)
        else:
            for part in "kvq":
                state[f"{stem}.self_attn.{part}_proj.weight"] = random(D, D)
                state[f"{stem}.self_attn.{part}_proj.bias"] = random(D)
        state[f"{stem}.self_attn.out_proj.weight"] = random(D, D)
        state[f"{stem}.self_attn.out_proj.bias"] = random(D)
        for norm in ("self_attn_layer_norm", "final_layer_norm"):
            state[f"{stem}.{norm}.weight"] = 1 + random(D)
            state[f"{stem}.{norm}.bias"] = random(D)
        state[f"{stem}.fc1.weight"], state[f"{stem}.fc1.bias"] = random(D_FF, D), random(D_FF)
        state[f"{stem}.fc2.weight"], state[f"{stem}.fc2.bias"] = random(D, D_FF), random(D)
    if final_norm:
        state["decoder.layer_norm.weight"], state["decoder.layer_norm.bias"] = 1 + random(D), random(D)
    state[f"{softmax}.buffer"] = torch.zeros(1)
    state[f"{softmax}.head.word_proj.weight"] = state[f"{words}.embeddings.0.0.weight"]
    state[f"{softmax}.head.class_proj.weight"] = random(2, D)
    for tail in range(2):
        state[f"{softmax}.tail.{tail}.0.weight"] = state[f"{words}.embeddings.{tail + 1}.1.weight"]
        state[f"{softmax}.tail.{tail}.2.weight"] = state[f"{words}.embeddings.{tail + 1}.0.weight"]
    return state


def checkpoint(state: Any, form: str = "old", **changes: Any) -> dict[str, Any]:
    """The nesting that fairseq saves: "old" with a Namespace under "args", "new" with dicts under "cfg"."""
    given = arguments(**changes)
    if form == "old":
        head: dict[str, Any] = {"args": argparse.Namespace(**given)}
    else:
        head = {"args": None, "cfg": {"_name": None, "model": {"_name": "transformer_lm_wiki103", **given}}}
    return {
        **head,
        "model": state,
        "optimizer_history": [{"criterion_name": "AdaptiveLoss", "best_loss": 3.2, "num_updates": 286_000}],
        "extra_state": {"epoch": 98, "train_iterator": {"epoch": 98}, "val_loss": 3.2},
        "last_optimizer_state": None,
    }


class FairseqMeters:
    """While it is entered, ``fairseq.meters.AverageMeter`` exists, as on the machine that wrote the checkpoint."""

    def __enter__(self) -> type:
        package, module = ModuleType("fairseq"), ModuleType("fairseq.meters")
        meter = type("AverageMeter", (), {"__module__": "fairseq.meters"})
        module.AverageMeter = meter  # type: ignore[attr-defined]
        sys.modules.update({"fairseq": package, "fairseq.meters": module})
        return meter

    def __exit__(self, *_: object) -> None:
        del sys.modules["fairseq"], sys.modules["fairseq.meters"]


def write(folder: Path, content: Any, zipped: bool = True) -> Path:
    """The two files."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(content, folder / "model.pt", _use_new_zipfile_serialization=zipped)
    (folder / "dict.txt").write_text("".join(f"{word} {100 - number}\n" for number, word in enumerate(WORDS)))
    return folder


def log_probabilities(state: Any, token_ids: list[int], final_norm: bool = False) -> np.ndarray:
    """What the model means, (positions, words): word by word, position by position, in float64, from fairseq's names."""
    w = {name: tensor.double().numpy() for name, tensor in state.items()}
    edges = [0, *CUTOFFS, N_WORDS]

    def band_of(word: int) -> int:
        return next(band for band in range(3) if edges[band] <= word < edges[band + 1])

    def vector(word: int) -> np.ndarray:
        band = band_of(word)
        stem = f"decoder.embed_tokens.embeddings.{band}"
        return np.asarray(w[f"{stem}.1.weight"] @ w[f"{stem}.0.weight"][word - edges[band]])

    def wave(position: int) -> np.ndarray:
        half = D // 2
        angles = [(position + 2) * math.exp(-i * math.log(10_000) / (half - 1)) for i in range(half)]
        return np.array([*map(math.sin, angles), *map(math.cos, angles)])

    def norm(x: np.ndarray, stem: str) -> np.ndarray:
        return np.asarray((x - x.mean()) / np.sqrt(x.var() + 1e-5) * w[f"{stem}.weight"] + w[f"{stem}.bias"])

    def log_softmax(x: np.ndarray) -> np.ndarray:
        return np.asarray(x - x.max() - np.log(np.exp(x - x.max()).sum()))

    states = [math.sqrt(D) * vector(word) + wave(position) for position, word in enumerate(token_ids)]
    for layer in range(LAYERS):
        stem = f"decoder.layers.{layer}"
        normed = [norm(x, f"{stem}.self_attn_layer_norm") for x in states]
        if f"{stem}.self_attn.in_proj_weight" in w:
            matrices = np.split(w[f"{stem}.self_attn.in_proj_weight"], 3)
            biases = np.split(w[f"{stem}.self_attn.in_proj_bias"], 3)
        else:
            matrices = [w[f"{stem}.self_attn.{part}_proj.weight"] for part in "qkv"]
            biases = [w[f"{stem}.self_attn.{part}_proj.bias"] for part in "qkv"]
        queries, keys, values = (
            [matrix @ x + bias for x in normed] for matrix, bias in zip(matrices, biases, strict=True)
        )
        size = D // HEADS
        after = []
        for j in range(len(states)):
            mixed = np.zeros(D)
            for head in range(HEADS):
                part = slice(head * size, (head + 1) * size)
                scores = np.array([queries[j][part] @ keys[i][part] / math.sqrt(size) for i in range(j + 1)])
                for i, weight in enumerate(np.exp(log_softmax(scores))):
                    mixed[part] += weight * values[i][part]
            added = w[f"{stem}.self_attn.out_proj.weight"] @ mixed + w[f"{stem}.self_attn.out_proj.bias"]
            after.append(states[j] + added)
        states = []
        for x in after:
            hidden = w[f"{stem}.fc1.weight"] @ norm(x, f"{stem}.final_layer_norm") + w[f"{stem}.fc1.bias"]
            states.append(x + w[f"{stem}.fc2.weight"] @ np.maximum(hidden, 0) + w[f"{stem}.fc2.bias"])
    if final_norm:
        states = [norm(x, "decoder.layer_norm") for x in states]
    softmax = "decoder.adaptive_softmax"
    found = np.empty((len(states), N_WORDS))
    for j, x in enumerate(states):
        head = log_softmax(
            np.concatenate((w[f"{softmax}.head.word_proj.weight"] @ x, w[f"{softmax}.head.class_proj.weight"] @ x))
        )
        for word in range(N_WORDS):
            band = band_of(word)
            if band == 0:
                found[j, word] = head[word]
            else:
                shorter = w[f"{softmax}.tail.{band - 1}.0.weight"].T @ x
                within = log_softmax(w[f"{softmax}.tail.{band - 1}.2.weight"] @ shorter)
                found[j, word] = head[CUTOFFS[0] + band - 1] + within[word - edges[band]]
    return found
