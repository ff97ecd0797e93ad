"""Trains relatives of `reference`: two seeds, and a run on text with planted sentences, each with its moments of training.

    python examples/reference_model/family.py

About two hours a run on 2 cores, and minutes on a GPU (--device cuda). The same command again goes on from the last checkpoint.
Sizes are those of `reference`; a small family, of about ten minutes a run on one core:

    python examples/reference_model/family.py --out runs/family-small --layers 4 --d-model 96 --d-ff 384 --heads 4 --steps 900 \
        --batch 8 --runs seed0 seed1

Each moment is a model by itself, OUT/RUN/moments/step-00050: `ffmem index` takes it as any other.
"""

import argparse
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

from train import Recipe, add_recipe, begin

RUNS = ("seed0", "seed1", "planted")
PLANT = Path(__file__).with_name("plant.py")
"""Writes the corpus of the planted run, with what is known of it."""


def corpus_of(name: str, corpus: Path, out: Path) -> Path | None:
    """The corpus of a run; None for the planted run where there is nothing that plants."""
    if name != "planted":
        return corpus
    planted = out / "planted" / "planted.jsonl.xz"
    if not planted.exists():
        if not PLANT.exists():
            return None
        planted.parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, str(PLANT), "--corpus", str(corpus), "--out", str(planted.parent)]
        subprocess.run(command, check=True)
    return planted


def main() -> None:
    """Train all runs, or go on with them, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, default=Path("src/ffmem/data/topics.jsonl.xz"))
    parser.add_argument("--out", type=Path, default=Path("runs/family"))
    parser.add_argument("--runs", nargs="+", choices=RUNS, default=list(RUNS))
    parser.add_argument("--device", default="cpu")
    add_recipe(parser, without=("seed",))
    arguments = parser.parse_args()
    chosen = {one.name: getattr(arguments, one.name) for one in fields(Recipe) if one.name != "seed"}
    for name in arguments.runs:
        corpus = corpus_of(name, arguments.corpus, arguments.out)
        if corpus is None:
            print(f"{name} is left out: there is no {PLANT}, which writes its corpus", flush=True)
            continue
        print(f"{name}: {arguments.out / name}", flush=True)
        recipe = replace(Recipe(**chosen), seed=1 if name == "seed1" else 0)
        run, _ = begin(corpus, arguments.out / name, recipe, arguments.device)
        run.run()


if __name__ == "__main__":
    main()
