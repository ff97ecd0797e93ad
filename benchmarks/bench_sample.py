"""What does a sample of positions cost beside the indexing pass?

One process, one thread, one interleaved run over the text of an index: each batch goes through the model with all that an index
keeps, once without a sample and once with one, in turn first; processor time. In the end each form gives its state, as at a
checkpoint. What both keep but for the sample is compared.

    python benchmarks/bench_sample.py INDEX --max-tokens 20000
    python benchmarks/bench_sample.py INDEX --max-tokens 5000 --quadrants

Prints one JSON line; docs/performance.md is made from such lines.
"""

import argparse
import json
import sys
import time
from collections import defaultdict
from dataclasses import replace

import numpy as np
import torch

from ffmem import open_index
from ffmem.index.indexed_model import load_indexed_model
from ffmem.index.scan.accumulators import accumulator_shape, make_accumulator
from ffmem.index.scan.batches import Batch, plan_shards
from ffmem.index.scan.shard_text import ShardText, read_tokens
from ffmem.index.state.accumulator import Accumulator
from ffmem.models.transformer import Transformer
from ffmem.store.paths import StorePaths


def through(model: Transformer, text: ShardText, batch: Batch, kept: Accumulator, quadrants: bool) -> float:
    """Processor seconds of a batch, its input included."""
    begin = time.process_time()
    inputs, places = text.inputs(batch), text.places(batch)
    if quadrants:
        watch = model.watch_gated_coefficients(lambda n, m, gates: kept.observe(n, m, places, open_gates=gates))
    else:
        watch = model.watch_coefficients(lambda n, m: kept.observe(n, m, places))
    with watch:
        model.forward(*inputs)
    return time.process_time() - begin


def main() -> None:
    """Run, and print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("index", help="whose model and text they are")
    parser.add_argument("--max-tokens", type=int, default=20_000)
    parser.add_argument("--sample", type=int, default=24)
    parser.add_argument("--quadrants", action="store_true", help="beside an index by quadrant")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    index = open_index(arguments.index)
    model = load_indexed_model(index, None, "cpu")
    plain = replace(index.manifest.options, sample=0, quadrants=arguments.quadrants)
    tokens = read_tokens(StorePaths(index.folder).index)
    shards = plan_shards(index.text.sentence_start, index.manifest.counts.n_sentences_by_corpus, plain.shard_tokens)
    forms = []
    for name, options in (("without", plain), ("with", replace(plain, sample=arguments.sample))):
        shape = accumulator_shape(model, options)
        forms.append((name, ShardText(tokens, model, options), make_accumulator(shape, "cpu")))
    spent: dict[str, list[float]] = defaultdict(list)
    n_tokens = number = 0
    with torch.inference_mode():
        for shard in shards:
            for batch in forms[0][1].batches(shard):
                for name, text, kept in forms if number % 2 else forms[::-1]:
                    spent[name].append(through(model, text, batch, kept, arguments.quadrants))
                n_tokens, number = n_tokens + batch.n_tokens, number + 1
                if n_tokens >= arguments.max_tokens:
                    break
            if n_tokens >= arguments.max_tokens:
                break
    state_s = {}
    for name, _, kept in forms:
        begin = time.process_time()
        kept.close_shard(0, "this machine")
        kept.dump("bench")
        state_s[name] = round(time.process_time() - begin, 3)
    first, second = (kept.layer(0) for _, _, kept in forms)
    first_batch = {name: times.pop(0) for name, times in spent.items()}  # it compiles
    half = number // 2
    result = {
        "bench": "sample",
        "model": index.manifest.identity.model.name,
        "quadrants": arguments.quadrants,
        "n_tokens": n_tokens,
        "with_over_without": round(sum(spent["with"]) / sum(spent["without"]), 4),
        "first_half": round(sum(spent["with"][:half]) / sum(spent["without"][:half]), 4),
        "second_half": round(sum(spent["with"][half:]) / sum(spent["without"][half:]), 4),
        "seconds": {name: round(sum(times), 2) for name, times in spent.items()},
        "first_batch_s": {name: round(one, 2) for name, one in first_batch.items()},
        "state_s": state_s,
        "same_otherwise": all(np.array_equal(first[name], second[name]) for name in first),
    }
    json.dump(result, sys.stdout)
    print()


if __name__ == "__main__":
    main()
