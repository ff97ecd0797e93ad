"""How does a build scale past one worker, and what does it cost to make one index of what a thousand workers found?

    python benchmarks/bench_scale.py workers --model smollm2 --text python-docs --max-tokens 30000
    python benchmarks/bench_scale.py merge --layers 32 --cells 14336 --top 50 --states 1000 --files 16

`workers`: builds with 1 and with 2 workers in turn, with each executor; speed from the moment that all workers are ready to the
last token. Beside them what the machine can give: two builds with 1 worker at the same time, each on its own, against 1. Of
each also which share of that time a worker ran, and which it waited for a processor that others had; the rest it was idle.

`merge`: states as workers leave them, merged in groups and made into an index's layers; what is read, merged and written, the
largest memory, the disk. See synthetic_states.py for how a few files stand in for many states. Each number of states is a
process of its own, so that each has a peak of its own.

Without arguments both run small. Prints one JSON line for each; docs/performance.md is made from such lines.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from safetensors.numpy import save

sys.path.insert(0, str(Path(__file__).parent))
from synthetic_states import JOB, TurnedState, clocks, link_states, shape_of, write_files

from ffmem.index import finish
from ffmem.index.finish import write_index
from ffmem.index.progress import Progress
from ffmem.index.resources import layers_bytes, state_bytes
from ffmem.index.scan.worker import promoted_path
from ffmem.index.state import states, tree
from ffmem.index.state.layers import Shape
from ffmem.index.state.states import Account
from ffmem.index.state.topk import merge
from ffmem.index.state.tree import merge_states
from ffmem.store.files import atomic_write, map_arrays, sha256_of
from ffmem.store.keys import pack
from ffmem.store.paths import StorePaths


class Parts:
    """Seconds of merging, by what they were spent on: of the clock, and of processors, which neighbours stretch less."""

    def __init__(self, threads: int | None) -> None:
        self._threads = threads
        self._merging: list[tuple[float, float]] = []
        self._waiting = np.zeros(2)

    def __enter__(self) -> "Parts":
        TurnedState.reads.clear()
        self._merged, self._layers = states._merged, states.merged_layers

        def merged(*arguments: Any) -> Any:
            begin = clocks()
            found = self._merged(*arguments)
            self._merging.append(clocks() - begin)
            return found

        def layers(*arguments: Any) -> Iterator[Any]:
            made = self._layers(*arguments, threads=self._threads)
            while True:
                begin = clocks()
                layer = next(made, None)
                self._waiting += clocks() - begin
                if layer is None:
                    return
                yield layer

        states._merged, tree.merged_layers, finish.merged_layers = merged, layers, layers
        self._begin, self._cpu = clocks(), time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self._spent, self._cpu = clocks() - self._begin, time.process_time() - self._cpu
        states._merged = self._merged
        tree.merged_layers = finish.merged_layers = self._layers

    def to_json(self) -> dict[str, Any]:
        """Pairs are seconds of the clock and of processors; reading and merging summed over threads."""
        read = np.array([spent for _, spent in TurnedState.reads]).sum(0)
        return {
            "s": round(float(self._spent[0]), 2),
            "cpu_s": round(self._cpu, 2),
            "read": np.round(read, 2).tolist(),
            "merge": np.round(np.array(self._merging).sum(0) - read, 2).tolist(),
            "write": np.round(self._spent - self._waiting, 2).tolist(),
            "read_gb": round(sum(n_bytes for n_bytes, _ in TurnedState.reads) / 1e9, 2),
        }


def measure_merge(files: list[Path], shape: Shape, arguments: argparse.Namespace) -> dict[str, Any]:
    """One number of states: merge them, finish, and check some lists against a sort of everything."""
    folder = Path(arguments.folder) / "run"
    paths = StorePaths(folder)
    shutil.rmtree(folder, ignore_errors=True)
    paths.work.mkdir(parents=True)
    turned = link_states(files, paths.work, arguments.n_states)
    expected = brute_force(turned, shape, place=len(shape.layers) - 1, row=3)
    TurnedState.turned, TurnedState.cold = turned, arguments.cold
    states.SavedState = TurnedState
    disk = [arguments.n_states * state_bytes(shape)]
    accounts = {path: Account(frozenset({slot}), frozenset({"m"})) for slot, path in enumerate(turned)}
    written = 0

    def say(_: str) -> None:
        disk.append(sum(path.stat().st_size for path in paths.work.glob("state-*")))

    result: dict[str, Any] = {"n_states": arguments.n_states, "cold": arguments.cold, "fan_in": arguments.fan_in}
    warm_up()
    forget_peak()
    before = peak_bytes()
    with Parts(arguments.threads) as parts:
        merged = merge_states(accounts, shape, JOB, say, arguments.fan_in)
    result["groups"] = parts.to_json()
    written = len(disk) - 1
    say("")
    result |= {"n_groups": written, "written_gb": round(written * state_bytes(shape) / 1e9, 2)}
    tops = {"first": disk[0], "most": max(disk) + state_bytes(shape), "last": disk[-1]}
    result["disk_gb"] = {name: round(n_bytes / 1e9, 1) for name, n_bytes in tops.items()}
    write_promoted(paths.work, shape)
    with Parts(arguments.threads) as parts:
        write_index(paths, list(merged), shape)
    result["finish"] = parts.to_json()
    begin = time.perf_counter()
    layers = sorted(paths.index.rglob("L*.safetensors"))
    for path in layers:
        sha256_of(path)
    result["finish"]["hashes_s"] = round(time.perf_counter() - begin, 2)
    result["finish"]["layers_gb"] = round(sum(path.stat().st_size for path in layers) / 1e9, 3)
    result["peak_mb"] = round(peak_bytes() / 1e6, 1)
    result["peak_before_mb"] = round(before / 1e6, 1)
    for name in ("s", "cpu_s"):
        whole = result["groups"][name] + result["finish"][name]
        result[f"{name}_per_state"] = round(whole / arguments.n_states, 4)
    arrays = map_arrays(layers[-1])
    found = pack(np.abs(arrays["trigger_coefficient"][3]), arrays["trigger_token"][3].astype(np.int64))
    assert np.array_equal(found, expected), "merged lists differ from a sort of all lists"
    shutil.rmtree(folder)
    return result


def brute_force(turned: dict[Path, int], shape: Shape, place: int, row: int) -> np.ndarray:
    """The lists of one cell, from a sort of all its keys in all states."""
    rows = []
    for path, shift in turned.items():
        state = states.SavedState(path, shape)
        begin, _ = state._span(place)
        n_cells = shape.layers[place].n_cells
        with path.open("rb") as file:
            for sign in range(shape.n_signs):
                file.seek(state._begin + begin + 8 * shape.top * (sign * n_cells + (row - shift) % n_cells))
                rows.append(np.frombuffer(file.read(8 * shape.top), dtype=np.int64))
    keys = np.stack(rows).reshape(len(turned), shape.n_signs, shape.top)
    return np.stack([np.sort(keys[:, sign].ravel())[::-1][: shape.top] for sign in range(shape.n_signs)])


def write_promoted(work: Path, shape: Shape, promoted: int = 50) -> None:
    """Promoted tokens of some values, and the files of the text, so that an index can be written."""
    for place, cells in enumerate(shape.layers):
        ids = np.zeros((cells.n_cells, promoted), dtype=np.uint32)
        scores = np.zeros((cells.n_cells, promoted), dtype=np.float32)
        arrays = {"promoted_ids": ids, "promoted_scores": scores, "suppressed_ids": ids, "suppressed_scores": scores}
        atomic_write(promoted_path(work, place), save(arrays))
    (work / "text").mkdir()
    for name in ("text.sqlite", "tokenizer.json", "tokens.safetensors"):
        (work / "text" / name).touch()


def compare_merges(files: list[Path], shape: Shape) -> dict[str, float]:
    """Seconds to merge the keys of a layer of each further file into those of the first: ours, and as tensors."""
    one = shape_of(1, shape.layers[0].n_cells, shape.top)
    keys = []
    for path in files:
        with path.open("rb") as file:
            state = states.SavedState(path, shape)
            file.seek(state._begin)
            n_bytes = 8 * shape.n_signs * one.layers[0].n_cells * shape.top
            keys.append(np.frombuffer(file.read(n_bytes), np.int64).reshape(-1, shape.top))
    warm_up()
    torch.set_num_threads(1)
    ours, theirs = keys[0].copy(), torch.from_numpy(keys[0].copy())
    ours_s, theirs_s = [], []
    for more in (array.copy() for array in keys[1:]):
        begin = time.perf_counter()
        states.merge_lists(ours, more)
        middle = time.perf_counter()
        theirs = merge(theirs, torch.from_numpy(more))
        theirs_s.append(time.perf_counter() - middle)
        ours_s.append(middle - begin)
    assert np.array_equal(ours, theirs.numpy())
    return {
        "first_ms": round(1e3 * ours_s[0], 2),
        "last_ms": round(1e3 * ours_s[-1], 2),
        "tensors_first_ms": round(1e3 * theirs_s[0], 2),
        "tensors_last_ms": round(1e3 * theirs_s[-1], 2),
        "tensors_over_ours": round(sum(theirs_s) / sum(ours_s), 1),
    }


def warm_up() -> None:
    """Have the compiled loop compiled."""
    states.merge_lists(np.zeros((1, 2), dtype=np.int64), np.ones((1, 2), dtype=np.int64))


def peak_bytes() -> int:
    """The largest resident memory that this process had since `forget_peak`."""
    told = Path("/proc/self/status").read_text()
    return int(next(line.split()[1] for line in told.splitlines() if line.startswith("VmHWM"))) * 1024


def forget_peak() -> None:
    """Begin to look for the largest memory anew."""
    Path("/proc/self/clear_refs").write_text("5")


def bench_merge(arguments: argparse.Namespace) -> dict[str, Any]:
    """All numbers of states."""
    shape = shape_of(arguments.layers, arguments.cells, arguments.top)
    with tempfile.TemporaryDirectory(dir=arguments.scratch) as folder:
        files = write_files(Path(folder), shape, min(arguments.files, max(arguments.states)), max(arguments.states))
        result: dict[str, Any] = {
            "bench": "merge",
            "shape": {"layers": arguments.layers, "cells": arguments.cells, "signs": 2, "top": arguments.top},
            "state_mb": round(state_bytes(shape) / 1e6, 1),
            "layers_mb": round(layers_bytes(shape, 50) / 1e6, 1),
            "n_files": len(files),
            "keys_of_a_layer": compare_merges(files, shape),
            "runs": [],
        }
        for n_states in arguments.states:
            command = [sys.executable, __file__, "merge", "--folder", folder, "--n-states", n_states]
            for name in ("layers", "cells", "top", "fan_in"):
                command += [f"--{name.replace('_', '-')}", getattr(arguments, name)]
            command += ["--cold"] if arguments.cold else []
            command += ["--threads", arguments.threads] if arguments.threads else []
            done = subprocess.run([*map(str, command)], check=True, stdout=subprocess.PIPE, text=True)
            result["runs"].append(json.loads(done.stdout))
            print(done.stdout, file=sys.stderr, end="")
    return result


class _Enough(BaseException):
    """The last token is done."""


def one_build(arguments: argparse.Namespace) -> dict[str, Any]:
    """A build up to its last token: when each worker was ready, and when how many tokens were done, on the system's clock."""
    import ffmem

    ready: list[float] = []
    done: list[tuple[float, int]] = []
    clocks: list[dict[int, np.ndarray]] = []

    def hear(now: Progress) -> None:
        if now.event == "ready":
            ready.append(time.monotonic())
            clocks.append(clocks_of_children())
        elif now.event == "tokens":
            done.append((time.monotonic(), now.n_tokens))
            if now.n_tokens == now.n_tokens_all:
                clocks.append(clocks_of_children())
                raise _Enough

    if arguments.executor == "ray":  # of our own: a cluster that runs here already is somebody else's
        import ray

        ray.init(address="local", num_cpus=arguments.workers, include_dashboard=False, log_to_driver=False)

    options = ffmem.IndexOptions(max_tokens=arguments.max_tokens, shard_tokens=arguments.shard_tokens, holdout=0)
    run = ffmem.RunOptions(workers=arguments.workers, executor=arguments.executor)
    with tempfile.TemporaryDirectory(dir=arguments.scratch) as folder, suppress(_Enough):
        ffmem.build_index(arguments.model, arguments.text, folder, options=options, run=run, progress=hear)
    spent = [clocks[-1][pid] - clocks[-2].get(pid, 0) for pid in clocks[-1]]
    running, queued = sum(sorted(spent, key=lambda one: -one[0])[: arguments.workers])
    wall_s = arguments.workers * (done[-1][0] - ready[-1])
    return {"ready": ready, "done": done, "running": running / wall_s, "queued": queued / wall_s}


def clocks_of_children() -> dict[int, np.ndarray]:
    """Of each process below this one: seconds that it ran, and that it waited for a processor that others had."""
    found = {}
    for child in psutil.Process().children(recursive=True):
        with suppress(OSError):
            found[child.pid] = np.array(Path(f"/proc/{child.pid}/schedstat").read_text().split()[:2], dtype=float) / 1e9
    return found


def builds(arguments: argparse.Namespace, executor: str, workers: int, at_once: int = 1) -> list[dict[str, Any]]:
    """Some builds at the same time, a process each."""
    command = [sys.executable, __file__, "workers", "--executor", executor, "--workers", workers]
    for name in ("model", "text", "max_tokens", "shard_tokens"):
        command += [f"--{name.replace('_', '-')}", getattr(arguments, name)]
    command += ["--scratch", arguments.scratch] if arguments.scratch else []
    started = [subprocess.Popen([*map(str, command)], stdout=subprocess.PIPE, text=True) for _ in range(at_once)]
    return [json.loads(process.communicate()[0]) for process in started]


def tokens_per_s(found: list[dict[str, Any]]) -> float:
    """Speed of all of them together, from the moment that all workers are ready to the end of the first build."""
    begin = max(time for build in found for time in build["ready"])
    end = min(build["done"][-1][0] for build in found)
    n_tokens = 0.0
    for build in found:
        times, counts = zip(*build["done"], strict=True)
        n_tokens += np.interp(end, times, counts) - np.interp(begin, times, counts, left=0)
    return n_tokens / (end - begin)


def bench_workers(arguments: argparse.Namespace) -> dict[str, Any]:
    """Rounds of one worker, two, and two builds side by side."""
    rounds: list[dict[str, float]] = []
    shares: dict[str, list[list[float]]] = {}
    ways = {f"{executor}_{workers}": (executor, workers) for executor in arguments.executors for workers in (1, 2)}
    for _ in range(arguments.rounds):
        found = {name: builds(arguments, *way) for name, way in ways.items()}
        found["apart_2"] = builds(arguments, "local", 1, at_once=2)
        rounds.append({name: round(float(tokens_per_s(built)), 1) for name, built in found.items()})
        for name, built in found.items():
            share = np.mean([[build["running"], build["queued"]] for build in built], axis=0)
            shares.setdefault(name, []).append(np.round(share, 3).tolist())
        print(rounds[-1], {name: of[-1] for name, of in shares.items()}, file=sys.stderr)
    result = {name: getattr(arguments, name) for name in ("model", "text", "max_tokens", "shard_tokens")}
    for name in [*arguments.executors, "apart"]:
        base = f"{name if name in arguments.executors else arguments.executors[0]}_1"
        result[f"{name}_2_over_1"] = [round(one[f"{name}_2"] / one[base], 3) for one in rounds]
    return {"bench": "workers", **result, "tokens_per_s": rounds, "running_and_queued": shares}


def main() -> None:
    """Run, and print JSON lines."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", choices=["all", "workers", "merge"], default="all")
    parser.add_argument("--scratch", help="where to put files")
    of_workers = parser.add_argument_group("workers")
    of_workers.add_argument("--model", default="reference")
    of_workers.add_argument("--text", default="topics")
    of_workers.add_argument("--max-tokens", type=int, default=40_000)
    of_workers.add_argument(
        "--shard-tokens", type=int, default=1024, help="small, so that workers end at the same time"
    )
    of_workers.add_argument("--rounds", type=int, default=1)
    of_workers.add_argument("--executors", nargs="+", default=["local"], help="local, ray")
    of_workers.add_argument("--executor", help=argparse.SUPPRESS)
    of_workers.add_argument("--workers", type=int, help=argparse.SUPPRESS)
    of_merge = parser.add_argument_group("merge")
    of_merge.add_argument("--layers", type=int, default=4)
    of_merge.add_argument("--cells", type=int, default=2048)
    of_merge.add_argument("--top", type=int, default=50)
    of_merge.add_argument("--states", type=int, nargs="+", default=[20, 60])
    of_merge.add_argument(
        "--files", type=int, default=8, help="states that are really written; others are these, turned"
    )
    of_merge.add_argument("--fan-in", type=int, default=tree.FAN_IN)
    of_merge.add_argument("--threads", type=int)
    of_merge.add_argument("--cold", action="store_true", help="drop each file from the page cache before it is read")
    of_merge.add_argument("--folder", help=argparse.SUPPRESS)
    of_merge.add_argument("--n-states", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.executor is not None:  # one build of a round
        print(json.dumps(one_build(arguments)))
        return
    if arguments.n_states is not None:  # one number of states
        shape = shape_of(arguments.layers, arguments.cells, arguments.top)
        files = sorted(Path(arguments.folder).glob("file-*"))
        print(json.dumps(measure_merge(files, shape, arguments)))
        return
    if arguments.what in ("all", "workers"):
        print(json.dumps(bench_workers(arguments)))
    if arguments.what in ("all", "merge"):
        print(json.dumps(bench_merge(arguments)))


if __name__ == "__main__":
    main()
