"""How long a build keeps one waiting before its first batch, and after its last: every phase, from the command line on.

    python benchmarks/bench_start.py reference topics --max-tokens 20000 --workers 1
    python benchmarks/bench_start.py smollm2 topics --max-tokens 3000 --trees ../before .

Runs `ffmem index` as a shell does, and takes the time of each line of its `--progress json`. With several trees (folders that
hold ``src/ffmem``) they run in turn, and medians stand beside each other. Prints one JSON line a tree.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ffmem.json_values import JsonObject

PHASES = ("imports", "load", "text", "certificate", "workers", "first batch", "pass", "files", "summary")
"""Each ends where the next begins; "workers" are ready at its end, and "summary" is all that follows "done"."""


def one_build(tree: Path, model: str, corpus: str, more: list[str]) -> dict[str, float]:
    """Seconds of each phase of one build; and of processors, over all of its processes."""
    environment = os.environ | {"PYTHONPATH": str(tree.absolute() / "src")}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "ffmem", "index", model, corpus, "--out", f"{folder}/index", *more]
        begin = time.perf_counter()
        ends: dict[str, float] = {}
        lines: list[str] = []
        with subprocess.Popen(
            [*command, "--progress", "json"],
            env=environment,
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        ) as process:
            assert process.stderr is not None
            for line in process.stderr:
                lines.append(line)
                if line.startswith("{"):
                    _take(json.loads(line), time.perf_counter() - begin, ends)
        ends["summary"] = time.perf_counter() - begin
        if process.returncode:
            raise SystemExit("".join(lines))
        stages = json.loads(Path(folder, "index", "run.json").read_bytes())["runs"][-1]["stages_s"]
        ends["certificate"] = ends["text"] + stages["certificate"]
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    found, last = {}, 0.0
    for phase in PHASES:
        found[phase] = ends[phase] - last
        last = ends[phase]
    found["to the first batch"] = ends["first batch"]
    found["beside imports, load and pass"] = ends["summary"] - found["imports"] - found["load"] - found["pass"]
    found["whole"] = ends["summary"]
    found["processors"] = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return found


def _take(line: JsonObject, at: float, ends: dict[str, float]) -> None:
    """What ends with this line of progress; the first line of its kind counts."""
    before = {"model": "imports", "text": "load", "certificate": "text", "files": "pass", "done": "files"}
    ended = before.get(line["stage"])
    if line["stage"] == "memories":
        ended = {"ready": "workers", "tokens": "first batch"}.get(line["event"])
    if ended is not None:
        ends.setdefault(ended, at)


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("corpus")
    parser.add_argument("--trees", type=Path, nargs="+", default=[Path(__file__).parent.parent])
    parser.add_argument("--repeats", type=int, default=3)
    arguments, more = parser.parse_known_args()
    found: dict[Path, list[dict[str, float]]] = {tree: [] for tree in arguments.trees}
    for _ in range(arguments.repeats):
        for tree, runs in found.items():
            runs.append(one_build(tree, arguments.model, arguments.corpus, more))
            print(json.dumps(runs[-1]), file=sys.stderr, flush=True)
    for tree, runs in found.items():
        median = {name: round(statistics.median(run[name] for run in runs), 2) for name in runs[0]}
        print(json.dumps({"tree": str(tree), "model": arguments.model, "options": more} | median))


if __name__ == "__main__":
    main()
