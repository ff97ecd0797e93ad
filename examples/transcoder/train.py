"""Trains a small transcoder on one layer of the model `reference`, over the text of `topics`, and saves it as SAELens does.

    python examples/transcoder/train.py --out runs/transcoder

A transcoder of a layer (Dunefsky et al. 2024) reads x, which the layer's own keys read, and is trained to give what the layer
adds to the stream, from few active cells: y' = sum of relu(x . e_i + b_i) v_i + b. Here the penalty is on the sum of
coefficients times lengths of values (Conerly et al. 2024). Every tenth document is held out, to measure the error on.
"""

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from ffmem import load_model
from ffmem.corpus.registry import open_corpus
from ffmem.models.fidelity import Fidelity
from ffmem.models.inputs import padded_rows
from ffmem.models.tracing import trace
from ffmem.models.transformer import Transformer

LAYER, LENGTH, BATCH = 12, 128, 512


class Transcoder(nn.Module):
    """As many cells as asked for, between states of ``d`` numbers."""

    def __init__(self, d: int, n_cells: int, mean: Tensor) -> None:
        super().__init__()
        values = torch.randn(n_cells, d)
        values /= values.norm(dim=1, keepdim=True)
        self.W_enc = nn.Parameter(0.5 * values.T.clone())
        self.b_enc = nn.Parameter(torch.zeros(n_cells))
        self.W_dec = nn.Parameter(0.1 * values)
        self.b_dec = nn.Parameter(mean.clone())

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Coefficients, and what they add up to."""
        m = torch.relu(x @ self.W_enc + self.b_enc)
        return m, m @ self.W_dec + self.b_dec


def texts(model: Transformer, held_out: bool) -> Iterator[list[int]]:
    """Runs of at most LENGTH tokens, paragraph by paragraph."""
    for number, document in enumerate(open_corpus("topics")):
        if (number % 10 == 0) == held_out:
            for paragraph in filter(str.strip, document.text.split("\n")):
                ids = model.tokenizer(paragraph, add_special_tokens=False).input_ids
                yield from (ids[first : first + LENGTH] for first in range(0, len(ids), LENGTH))


def states(model: Transformer, n_tokens: int, held_out: bool) -> tuple[Tensor, Tensor]:
    """X and what the layer adds to the stream, at about so many tokens."""
    prefix, suffix = model.special_tokens("auto")
    read, written, n, batch = [], [], 0, []
    for ids in texts(model, held_out):
        batch.append(ids)
        if len(batch) == 16:
            batch.sort(key=len, reverse=True)
            rows, mask = (torch.from_numpy(one) for one in padded_rows(batch, prefix, suffix, model.pad_id))
            layer = trace(model, rows, mask)[LAYER]
            for row, own in enumerate(batch):
                own_positions = slice(len(prefix), len(prefix) + len(own))
                read.append(layer.ff_input[row, own_positions].clone())
                written.append(layer.ff_update[row, own_positions].clone())
            n, batch = n + sum(map(len, batch)), []
            if n >= n_tokens:
                break
    return torch.cat(read), torch.cat(written)


def train(model: Transcoder, x: Tensor, y: Tensor, n_steps: int, penalty: float) -> None:
    """Fit it by Adam; the penalty grows over the first fifth, the rate falls over the last."""
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    variance = (y - y.mean(0)).square().sum(1).mean()
    for step in range(n_steps):
        for group in optimizer.param_groups:
            group["lr"] = 2e-3 * min(1.0, 5 * (1 - step / n_steps))
        rows = torch.randint(len(x), (BATCH,))
        m, found = model(x[rows])
        error = (found - y[rows]).square().sum(1).mean() / variance
        sparsity = (m * model.W_dec.norm(dim=1)).sum(1).mean() / variance.sqrt()
        loss = error + penalty * min(1.0, 5 * step / n_steps) * sparsity
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 250 == 0:
            active = float((m > 0).float().sum(1).mean())
            print(
                f"step {step:5}: {error.item():.4f} of the variance unexplained, {active:.1f} cells active", flush=True
            )


def measure(model: Transcoder, x: Tensor, y: Tensor) -> Fidelity:
    """How well it reconstructs."""
    with torch.no_grad():
        m, found = model(x)
    error, square = (float(one.double().square().sum()) for one in (y - found, y))
    variance = float((y - y.mean(0)).double().square().sum())
    active = float((m > 0).double().sum(1).mean())
    return Fidelity("mlp-input", "update", error / variance, error / square, active, len(x))


def save(model: Transcoder, folder: Path) -> None:
    """As SAELens saves a transcoder."""
    folder.mkdir(parents=True, exist_ok=True)
    d, n_cells = model.W_enc.shape
    cfg = {
        "architecture": "transcoder", "d_in": d, "d_sae": n_cells, "d_out": d, "dtype": "float32", "device": "cpu",
        "apply_b_dec_to_input": False, "normalize_activations": "none", "reshape_activations": "none",
        "metadata": {
            "model_name": "reference", "hook_name": f"blocks.{LAYER}.mlp.hook_in",
            "hook_name_out": f"blocks.{LAYER}.hook_mlp_out",
        },
    }  # fmt: skip
    (folder / "cfg.json").write_text(json.dumps(cfg, indent=2) + "\n")
    save_file(
        {name: array.detach().contiguous() for name, array in model.named_parameters()},
        folder / "sae_weights.safetensors",
    )


def main() -> None:
    """Train, save, measure."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--cells", type=int, default=1152)
    parser.add_argument("--tokens", type=int, default=20_000)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--penalty", type=float, default=0.02)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    begin = time.monotonic()
    reference = load_model("reference")
    x, y = states(reference, arguments.tokens, held_out=False)
    print(f"{len(x):,} positions of layer L{LAYER} after {time.monotonic() - begin:.0f} s", flush=True)
    model = Transcoder(x.shape[1], arguments.cells, y.mean(0))
    train(model, x, y, arguments.steps, arguments.penalty)
    save(model, arguments.out)
    found = measure(model, *states(reference, arguments.tokens // 10, held_out=True))
    (arguments.out / "evaluation.json").write_text(json.dumps(found.to_json(), indent=2) + "\n")
    print(f"held out: {found}; {time.monotonic() - begin:.0f} s in all")


if __name__ == "__main__":
    main()
