"""Are plans right? `ffmem index --plan` against the build that follows it, each as a user runs them.

    python benchmarks/bench_plan.py --text ../shared/data/wikitext/valid.txt

Prints one JSON line a build: seconds planned (with bounds) and taken, from the start of the command to its end; peak
memory and disk planned and measured. The memory that is measured is that of the largest moment of the whole process
tree, each page that several processes share counted once (Linux only).
"""

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil

RUNS = {
    "smollm2, python-docs": ("smollm2", "python-docs", []),
    "smollm2, lines, 10,000 tokens": ("smollm2", "TEXT", ["--split", "lines", "--max-tokens", "10000"]),
    "smollm2, every position, top 10": (
        "smollm2",
        "TEXT",
        ["--per-sentence", "all", "--top", "10", "--max-tokens", "15000"],
    ),
    "minilm": ("minilm", "TEXT", ["--max-tokens", "60000"]),
    "smollm2, one worker": ("smollm2", "TEXT", ["--workers", "1", "--max-tokens", "5000"]),
}


class Watch(threading.Thread):
    """Largest memory of a process tree, and largest size of a folder."""

    def __init__(self, pid: int, folder: Path) -> None:
        super().__init__(daemon=True)
        self._process, self._folder = psutil.Process(pid), folder
        self.memory = self.disk = 0

    def run(self) -> None:
        """Look twice a second, until the process has ended."""
        while self._process.is_running() and self._process.status() != psutil.STATUS_ZOMBIE:
            try:
                tree = [self._process, *self._process.children(recursive=True)]
                self.memory = max(self.memory, sum(one.memory_full_info().pss for one in tree))
                self.disk = max(self.disk, sum(p.stat().st_size for p in self._folder.rglob("*") if p.is_file()))
            except (psutil.Error, OSError):
                pass  # something ended while it was looked at
            time.sleep(0.5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", default="../shared/data/wikitext/valid.txt")
    parser.add_argument("--only", help="a part of the name of the builds to run")
    arguments = parser.parse_args()
    for name, (model, corpus, options) in RUNS.items():
        if arguments.only is None or arguments.only in name:
            measure(name, model, arguments.text if corpus == "TEXT" else corpus, options)


def measure(name: str, model: str, corpus: str, options: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "index"
        command = [sys.executable, "-m", "ffmem", "index", model, corpus, "--out", str(out), *options]
        begin = time.monotonic()
        found = subprocess.run([*command, "--plan", "--json"], check=True, capture_output=True, text=True)
        plan_s = time.monotonic() - begin
        plan = json.loads(found.stdout)
        begin = time.monotonic()
        process = subprocess.Popen([*command, "--quiet"])
        watch = Watch(process.pid, out)
        watch.start()
        assert process.wait() == 0
        taken = time.monotonic() - begin
        stages = json.loads((out / "run.json").read_bytes())["runs"][-1]["stages_s"]
        index_bytes = sum(file["bytes"] for file in json.loads((out / "manifest.json").read_bytes())["files"].values())
    print(
        json.dumps(
            {
                "bench": "plan",
                "build": name,
                "plan_s": round(plan_s, 1),
                "planned_s": [round(plan["seconds"][end], 1) for end in ("low", "expected", "high")],
                "taken_s": round(taken, 1),
                "planned_over_taken": round(plan["seconds"]["expected"] / taken, 3),
                "stages_planned_s": {name: round(seconds, 1) for name, seconds in plan["stages_s"].items()},
                "stages_taken_s": stages,
                "memory_bytes": [plan["memory_bytes"], watch.memory],
                "disk_bytes": [plan["disk_bytes"], watch.disk],
                "memory_planned_over_measured": round(plan["memory_bytes"] / watch.memory, 3),
                "disk_planned_over_measured": round(plan["disk_bytes"] / watch.disk, 3),
                "index_planned_over_measured": round(plan["index_bytes"] / index_bytes, 3),
            }
        ),
        flush=True,
    )


if __name__ == "__main__":
    main()
