"""What the certificate of an index costs: processor time, forward passes, readings of the weights.

    python benchmarks/bench_certificate.py smollm2 topics --trees ../before .
    python benchmarks/bench_certificate.py smollm2 topics --model-memory 135MB --trees ../before .

Begins a build in a process of its own, takes the time of the certificate, and ends it there. With several trees (folders that
hold ``src/ffmem``) they run in turn. Prints one JSON line a tree: medians.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

_ONE = """
import json, os, sys, time
import torch
from ffmem import IndexOptions, RunOptions, build_index
from ffmem.index import build

model, corpus, out, max_tokens, memory = sys.argv[1:]
certify = build.certify


class Read(dict):
    n_bytes = 0

    def __setitem__(self, unit, copies):
        self.n_bytes += unit.n_bytes if unit.is_block else 0
        super().__setitem__(unit, copies)


def measured(loaded, *args, **named):
    n_passes, stream, here = [], loaded.stream, Read()
    if stream is not None:
        stream.give_back()
        stream._here = here
    loaded.module_before(0).register_forward_pre_hook(lambda *_: n_passes.append(1))
    begin, clock = time.process_time(), time.perf_counter()
    certify(loaded, *args, **named)
    found = {"processor_s": time.process_time() - begin, "clock_s": time.perf_counter() - clock, "passes": len(n_passes)}
    if stream is not None:
        found["readings"] = here.n_bytes / sum(unit.n_bytes for unit in stream._units if unit.is_block)
    print(json.dumps(found), flush=True)
    os._exit(0)


build.certify = measured
run = RunOptions(workers=0, model_memory=memory or None)
build_index(model, corpus, out, options=IndexOptions(max_tokens=int(max_tokens)), run=run)
"""


def one(tree: Path, arguments: list[str]) -> dict[str, float]:
    """What the certificate of one build took."""
    environment = os.environ | {"PYTHONPATH": str(tree.absolute() / "src"), "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory() as folder:
        model, corpus, *more = arguments
        command = [sys.executable, "-c", _ONE, model, corpus, f"{folder}/index", *more]
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise SystemExit(ended.stderr)
    found: dict[str, float] = json.loads(ended.stdout.splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("corpus")
    parser.add_argument("--max-tokens", type=int, default=10_000)
    parser.add_argument("--model-memory", default="")
    parser.add_argument("--trees", type=Path, nargs="+", default=[Path(__file__).parent.parent])
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    given = [args.model, args.corpus, str(args.max_tokens), args.model_memory]
    runs: list[list[dict[str, float]]] = [[] for _ in args.trees]
    for _ in range(args.repeats):
        for tree, found in zip(args.trees, runs, strict=True):
            found.append(one(tree, given))
    for tree, found in zip(args.trees, runs, strict=True):
        medians = {name: round(statistics.median(each[name] for each in found), 3) for name in found[0]}
        print(json.dumps({"tree": str(tree), "model": args.model, "repeats": args.repeats, **medians}), flush=True)


if __name__ == "__main__":
    main()
