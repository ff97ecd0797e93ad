"""End to end: `ffmem index` against TransformerLens with a per-sequence maximum, on the same model and tokens.

The rival is what one writes with TransformerLens today: boot the model, hook the input of every second feed-forward
matrix, take each sequence's maximum (and, of gated cells, minimum) and its position, keep a running top-k a layer; then
multiply all values with the unembedding for their tokens. It is given the same sentences, all threads of the machine,
and no writing of text or statistics; once in batches of 32 in the order of the corpus, padded to their longest, as one
would write it, and once in the batches that ffmem makes (sorted by length, little padding).

    pip install transformer-lens==4.3.0
    python benchmarks/bench_rivals.py --text ../shared/data/wikitext/valid.txt

Each side is a process of its own. Prints one JSON line: seconds, peak memory and bytes on disk of each, their ratios, and
whether every cell's list of triggers is the same: coefficients to rounding, sentences wherever neighbours in the list
differ by more than rounding, and positions in all but the few slots where a sentence has its maximum twice, to rounding.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

TOP = 20
SENTENCES_A_BATCH = 32
MOST_OTHER_POSITIONS = 1e-4  # share of slots whose sentence has its maximum twice, to rounding


def ours(model: str, text: str, max_tokens: int, out: Path) -> None:
    import ffmem
    from ffmem import IndexOptions

    options = IndexOptions(top=TOP, holdout=0, max_tokens=max_tokens, projection="raw")
    ffmem.build_index(model, text, out, options=options)


def batches_of(model: str, folder: Path, order: str) -> list[tuple[Any, Any, Any, int]]:
    """Token ids, lengths, first tokens and first position of every batch."""
    import torch

    import ffmem
    from ffmem.index.scan.batches import plan_shards
    from ffmem.index.scan.shard_text import ShardText, read_tokens
    from ffmem.models.registry import load_model

    plain, opened = load_model(model), ffmem.open_index(folder)
    options = opened.manifest.options
    starts = opened.text.sentence_start
    shards = plan_shards(starts, opened.manifest.counts.n_sentences_by_corpus, options.shard_tokens)
    text = ShardText(read_tokens(folder / "index"), plain, options)
    batches = []
    for shard in shards:
        for batch in text.batches(shard):
            places = text.places(batch)
            lengths, first = torch.from_numpy(places.lengths), torch.from_numpy(places.tokens[:, 0])
            batches.append((text.inputs(batch)[0], lengths, first, places.first_position))
    return batches if order == "sorted" else in_corpus_order(batches)


def in_corpus_order(batches: list[tuple[Any, Any, Any, int]]) -> list[tuple[Any, Any, Any, int]]:
    """The same sentences, a fixed number a batch, in the order of the corpus."""
    import torch

    skip = batches[0][3]
    rows = [
        (int(first), ids[: skip + int(length)])
        for inputs, lengths, firsts, _ in batches
        for ids, length, first in zip(inputs, lengths, firsts, strict=True)
    ]
    rows.sort(key=lambda row: row[0])
    made = []
    for start in range(0, len(rows), SENTENCES_A_BATCH):
        some = rows[start : start + SENTENCES_A_BATCH]
        inputs = torch.nn.utils.rnn.pad_sequence([ids for _, ids in some], batch_first=True)
        made.append(
            (inputs, torch.tensor([len(ids) - skip for _, ids in some]), torch.tensor([n for n, _ in some]), skip)
        )
    return made


def rival(model: str, index: Path, out: Path, order: str) -> None:
    import torch
    from transformer_lens.model_bridge import TransformerBridge

    import ffmem
    from ffmem.models.loading.sources import resolve

    torch.set_num_threads(os.cpu_count() or 1)
    opened = ffmem.open_index(index)
    batches = batches_of(model, index, order)  # only to have the same tokens; not timed
    begin = time.monotonic()
    bridge = TransformerBridge.boot_transformers(str(resolve(model)), device="cpu")
    n_layers, n_signs = opened.n_layers, opened.n_signs
    names = {f"blocks.{layer}.mlp.out.hook_in": layer for layer in range(n_layers)}
    keys = {(layer, sign): (torch.empty(0), torch.empty(0)) for layer in range(n_layers) for sign in range(n_signs)}

    with torch.inference_mode():
        for token_ids, lengths, first, skip in batches:
            padding = torch.arange(token_ids.shape[1])[None] >= skip + lengths[:, None]
            padding[:, :skip] = True

            def keep(values, hook, padding=padding, first=first, skip=skip):  # type: ignore[no-untyped-def]
                layer = names[hook.name]
                for sign in range(n_signs):
                    signed = (-values if sign else values).masked_fill(padding[:, :, None], -torch.inf)
                    best, position = signed.max(1)
                    scores, tokens = keys[layer, sign]
                    scores = torch.cat((scores, best)) if len(scores) else best
                    fired = first[:, None] + position - skip
                    tokens = torch.cat((tokens, fired)) if len(tokens) else fired
                    top, where = scores.topk(min(TOP, len(scores)), dim=0)
                    keys[layer, sign] = top, tokens.gather(0, where)

            bridge.run_with_hooks(token_ids, fwd_hooks=[(name, keep) for name in names])
        for layer in range(n_layers):
            scores = bridge.blocks[layer].mlp.out.weight.T @ bridge.unembed.W_U
            scores.topk(50, dim=1), (-scores).topk(50, dim=1)
    elapsed = time.monotonic() - begin
    arrays = {
        f"{layer}.{sign}.{i}": part.numpy() for (layer, sign), pair in keys.items() for i, part in enumerate(pair)
    }
    np.savez(out, s=elapsed, **arrays)


def same(index_folder: Path, found: Path) -> bool:
    """Whether all lists agree."""
    import ffmem
    from ffmem.store.keys import NO_TOKEN

    index, theirs = ffmem.open_index(index_folder), np.load(found)
    starts = np.asarray(index.text.sentence_start)
    n_compared = n_elsewhere = 0
    for layer in range(index.n_layers):
        arrays = index.layer(layer)
        for sign in range(index.n_signs):
            scores, tokens = (theirs[f"{layer}.{sign}.{i}"].T for i in (0, 1))
            own = np.abs(arrays.trigger_coefficient[:, sign])
            filled = arrays.trigger_token[:, sign] != NO_TOKEN
            tolerance = 1e-4 * np.maximum(own[:, :1], 1e-3)
            if (np.abs(scores[:, :TOP] - own)[filled] > np.broadcast_to(tolerance, own.shape)[filled]).any():
                return False
            gaps = np.abs(np.diff(own, axis=1))
            alone = filled.copy()
            alone[:, 1:] &= gaps > 2 * tolerance
            alone[:, :-1] &= gaps > 2 * tolerance
            alone[:, -1] = False  # what follows it is not stored
            ours, their = arrays.trigger_token[:, sign][alone].astype(np.int64), tokens[alone]
            if (np.searchsorted(starts, ours, "right") != np.searchsorted(starts, their, "right")).any():
                return False
            n_compared += len(ours)
            n_elsewhere += int((ours != their).sum())
    return n_compared > 0 and n_elsewhere <= MOST_OTHER_POSITIONS * n_compared


def run(*arguments: str) -> tuple[float, int]:
    """Seconds and peak bytes of this script in a process of its own, its children included."""
    before = time.monotonic()
    done = subprocess.run([sys.executable, __file__, *arguments], check=False, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    return time.monotonic() - before, int(done.stdout.rsplit(maxsplit=1)[1])


def peak_bytes() -> int:
    """Largest resident size of this process or one of its children."""
    return max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) * 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("side", nargs="?", choices=["ours", "rival"])
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--text", default="../shared/data/wikitext/valid.txt")
    parser.add_argument("--max-tokens", type=int, default=20_000)
    parser.add_argument("--order", choices=["corpus", "sorted"], default="corpus")
    parser.add_argument("--index")
    parser.add_argument("--out")
    arguments = parser.parse_args()
    if arguments.side == "ours":
        ours(arguments.model, arguments.text, arguments.max_tokens, Path(arguments.out))
        print("peak", peak_bytes())
    elif arguments.side == "rival":
        rival(arguments.model, Path(arguments.index), Path(arguments.out), arguments.order)
        print("peak", peak_bytes())
    elif find_spec("transformer_lens") is None:
        print("bench_rivals: transformer_lens is not installed, so there is nothing to compare with", file=sys.stderr)
    else:
        compare(arguments)


def compare(arguments: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as folder:
        index, lists = Path(folder) / "index", Path(folder) / "lists.npz"
        shared = ["--model", arguments.model, "--text", arguments.text, "--max-tokens", str(arguments.max_tokens)]
        our_s, our_peak = run("ours", *shared, "--out", str(index))
        manifest = json.loads((index / "manifest.json").read_bytes())
        line = {
            "bench": "rivals",
            "rival": "TransformerLens 4.3.0, per-sequence maximum",
            "model": arguments.model,
            "n_tokens": manifest["counts"]["n_tokens"],
            "ours_s": round(our_s, 1),
            "ours_peak_bytes_of_a_process": our_peak,
            "ours_disk_bytes": sum(file["bytes"] for file in manifest["files"].values()),
        }
        for order in ("corpus", "sorted"):
            _, peak = run("rival", *shared, "--index", str(index), "--out", str(lists), "--order", order)
            seconds = float(np.load(lists)["s"])
            line[order] = {
                "rival_s": round(seconds, 1),
                "rival_over_ours": round(seconds / our_s, 2),
                "same_triggers": same(index, lists),
                "rival_peak_bytes": peak,
                "rival_disk_bytes": lists.stat().st_size,
            }
        print(json.dumps(line))


if __name__ == "__main__":
    main()
