"""Trains relatives of `reference`: other seeds, softmax memories, planted sentences; each with its moments of training.

    python examples/reference_model/family.py

About two hours a run on 2 cores, and minutes on a GPU (--device cuda). The same command again goes on from the last checkpoint.
Sizes are those of `reference`; a small family, of about ten minutes a run on one core:

    python examples/reference_model/family.py --out runs/family-small --layers 4 --d-model 96 --d-ff 384 --heads 4 --steps 900 \
        --batch 8 --runs seed0 seed1

Runs named `softmax0`, ... have as many memories in the attention of each head as those named `seed0`, ... have cells in a
feed-forward layer, and no feed-forward layers: what `ffmem study sukhbaatar2019` holds against each other. Both have as many
parameters, but for biases and norms of feed-forward layers; the first line that a run prints tells them.

Each moment is a model by itself, OUT/RUN/moments/step-00050: `ffmem index` takes it as any other.
"""

import argparse
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

from train import Recipe, add_recipe, begin

RUNS = ("seed0", "seed1", "seed2", "softmax0", "softmax1", "softmax2", "planted")
USUAL = ("seed0", "seed1", "planted")
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


def recipe_of(name: str, recipe: Recipe) -> Recipe:
    """The recipe of a run: its seed stands at the end of its name."""
    memories = "softmax" if name.startswith("softmax") else "relu"
    return replace(recipe, seed=int(name[-1]) if name[-1].isdigit() else 0, memories=memories)


def main() -> None:
    """Train all runs, or go on with them, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, default=Path("src/ffmem/data/topics.jsonl.xz"))
    parser.add_argument("--out", type=Path, default=Path("runs/family"))
    parser.add_argument("--runs", nargs="+", choices=RUNS, default=list(USUAL))
    parser.add_argument("--device", default="cpu")
    of_run = ("seed", "memories")
    add_recipe(parser, without=of_run)
    arguments = parser.parse_args()
    chosen = Recipe(**{one.name: getattr(arguments, one.name) for one in fields(Recipe) if one.name not in of_run})
    for name in arguments.runs:
        corpus = corpus_of(name, arguments.corpus, arguments.out)
        if corpus is None:
            print(f"{name} is left out: there is no {PLANT}, which writes its corpus", flush=True)
            continue
        print(f"{name}: {arguments.out / name}", flush=True)
        run, _ = begin(corpus, arguments.out / name, recipe_of(name, chosen), arguments.device)
        run.run()


if __name__ == "__main__":
    main()
