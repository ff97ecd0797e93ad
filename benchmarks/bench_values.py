"""How long does projecting values take, by a shortlist and by all scores in float32?

One process, one thread. Both ways take the same blocks of 1,024 values in turn, as many as a layer may have; what is told of
each is the median of its processor time over the blocks; `products` are the bare products in float32 that the second way
consists of. Making a shortlist, once for a worker and a projection, is timed as well and counted for as many values as the
model has.

    python benchmarks/bench_values.py gemma3-270m
    python benchmarks/bench_values.py gpt2
    python benchmarks/bench_values.py smollm2

gemma3-270m and gpt2: random weights in their shapes; smollm2: trained ones. The check: the tokens of some values are those of
sorting scores in float64. Prints one JSON line.
"""

import argparse
import json
import sys
import time
from statistics import median

import numpy as np
import torch

import ffmem.index.scan.shortlist as shortlists
from ffmem.index.scan.promoted import promoted_tokens
from ffmem.index.scan.shortlist import Shortlist, has_fast_bytes
from ffmem.models.unembedding import LinearScores

SHAPES = {"gemma3-270m": (640, 262_144, 18 * 2048), "gpt2": (768, 50_257, 12 * 3072)}
"""d_model, d_vocab, values."""
_ROWS, _K = 1024, 50
_PRODUCTS = 256
"""Values whose bare products are made at a time: larger blocks were not faster."""


def weights(model: str) -> tuple[torch.Tensor, torch.Tensor, int]:
    """A matrix, two layers of values at most, and how many values the model has."""
    if model in SHAPES:
        d_model, d_vocab, n_values = SHAPES[model]
        generator = torch.Generator().manual_seed(0)
        return (
            torch.randn(d_vocab, d_model, generator=generator),
            torch.randn(4096, d_model, generator=generator),
            n_values,
        )
    from ffmem.models.registry import load_model

    loaded = load_model(model)
    last = loaded.facts.n_layers - 1
    rows = torch.cat([loaded.value_rows(layer) for layer in (last // 2, last)])
    n_values = sum(len(loaded.value_rows(layer)) for layer in range(last + 1))
    shuffled = torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))
    return loaded.projection_matrix(loaded.unembedding.projections[-1]), rows[shuffled], n_values


def agrees(rows: torch.Tensor, matrix: torch.Tensor, shortlist: Shortlist) -> bool:
    """Whether the tokens and scores of some rows are those of a full sort of products in float64."""
    found = promoted_tokens(rows, shortlist, len(matrix), _K)
    for row, vector in enumerate(rows):
        scores = (matrix.double() @ vector.double()).numpy().astype(np.float32)
        for sign, ids, own in (
            (1, found.promoted_ids[row].numpy(), found.promoted_scores[row].numpy()),
            (-1, found.suppressed_ids[row].numpy(), found.suppressed_scores[row].numpy()),
        ):
            expected = np.lexsort((np.arange(len(scores)), -sign * scores))[:_K]
            if not ((ids == expected).all() and (own == scores[expected]).all()):
                return False
    return True


def main() -> None:
    """Run, and print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "model", nargs="?", default="gemma3-270m", help=f"{', '.join(SHAPES)}, or what load_model takes"
    )
    parser.add_argument("--blocks", type=int, default=4, help=f"Blocks of {_ROWS} values, 4 at most.")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with torch.inference_mode():
        json.dump({"bench": "values", "model": arguments.model, **run(arguments.model, arguments.blocks)}, sys.stdout)
    print()


def run(model: str, n_blocks: int) -> dict[str, object]:
    """The ways in turn."""
    matrix, rows, n_values = weights(model)
    begin = time.process_time()
    shortlist = Shortlist(matrix)
    made_s = time.process_time() - begin
    plain, out = LinearScores(matrix), torch.empty(_PRODUCTS, len(matrix))
    n_exact: list[int] = []
    settle = shortlists.settle

    def counted(*given: object) -> tuple[int, int]:
        waiting, scored = settle(*given)
        n_exact.append(scored)
        return waiting, scored

    shortlists.settle = counted
    ways = {
        "shortlist": lambda some: promoted_tokens(some, shortlist, len(matrix), _K),
        "all_scores": lambda some: promoted_tokens(some, plain, len(matrix), _K),
        "products": lambda some: [plain(part, out) for part in some.split(_PRODUCTS)],
    }
    promoted_tokens(rows[:2], shortlist, len(matrix), _K)  # compiles
    n_exact.clear()
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for block in range(min(n_blocks, len(rows) // _ROWS)):
        for name, way in ways.items():
            begin = time.process_time()
            way(rows[block * _ROWS : (block + 1) * _ROWS])
            seconds[name].append(time.process_time() - begin)
    block_s = {name: median(own) for name, own in seconds.items()}
    whole_s = {name: own * n_values / _ROWS for name, own in block_s.items()}
    return {
        "d_vocab": len(matrix),
        "d_model": matrix.shape[1],
        "n_values": n_values,
        "in_bytes": has_fast_bytes(),
        "block_s": {name: round(own, 4) for name, own in block_s.items()},
        "make_s": round(made_s, 3),
        "exact_scores_a_value_and_end": round(sum(n_exact) / len(seconds["shortlist"]) / _ROWS / 2, 1),
        "all_scores_over_shortlist": round(block_s["all_scores"] / block_s["shortlist"], 2),
        "with_making_one_shortlist": round(whole_s["all_scores"] / (whole_s["shortlist"] + made_s), 2),
        "agrees": agrees(rows[:8], matrix, shortlist),
    }


if __name__ == "__main__":
    main()
