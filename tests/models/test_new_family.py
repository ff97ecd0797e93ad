"""A new family is one file: put beside the others, it is loaded, proved and indexed, and no other file knows of it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.conftest import byte_level_tokenizer, write_corpus

_USE = """
import json, sys
from pathlib import Path
import torch
from ffmem.models import families

families.__path__.append(sys.argv[1])
folder, corpus, out = map(Path, sys.argv[2:])

import ffmem
from ffmem.models.families.toy import ToyConfig, ToyForCausalLM
from ffmem.models.identities import measure_identities
from ffmem.analyses.explain import explain
from ffmem.analyses.attention.one_map import one_map

torch.set_num_threads(1)
torch.manual_seed(3)
made = ToyForCausalLM(ToyConfig())
for parameter in made.parameters():
    parameter.data.normal_(std=0.4)
made.save_pretrained(folder)
model = ffmem.load_model(folder)
ids = torch.arange(5, 25).view(2, 10)
identities = measure_identities(model, ids)
index = ffmem.build_index(folder, corpus, out, options=ffmem.IndexOptions(top=5, promoted=5), run=ffmem.RunOptions(workers=0))
explained = explain(model, "the river of winter", index=ffmem.open_index(out))
with torch.no_grad():
    own = made.eval()(torch.tensor([model.tokenizer("the river of winter").input_ids])).logits[0, -1]
print(json.dumps({
    "family": model.facts.family,
    "causal": model.facts.causal,
    "cells": [layer.n_cells for layer in model.facts.layers],
    "errors": [*identities.ff_sum_errors, *identities.residual_errors, identities.logit_error, identities.hook_error],
    "score": explained.own, "largest": float(own.max()), "error": explained.error,
    "map": one_map(model, "the river of winter").stream_error,
    "sentences": ffmem.open_index(out).text.n_sentences,
}))
"""


def test_a_file_put_beside_the_others_is_a_family(tmp_path: Path) -> None:
    families = tmp_path / "families"
    families.mkdir()
    shutil.copy(Path(__file__).parent / "toy_family.py", families / "toy.py")
    folder = tmp_path / "model"
    byte_level_tokenizer(False).save_pretrained(folder)  # type: ignore[attr-defined]
    corpus = write_corpus(tmp_path / "words.txt", 15)
    command = [sys.executable, "-c", _USE, str(families), str(folder), str(corpus), str(tmp_path / "index")]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=300, env=os.environ, check=False)
    assert ran.returncode == 0, ran.stderr[-3000:]
    answer = json.loads(ran.stdout.splitlines()[-1])
    assert (answer["family"], answer["causal"], answer["cells"]) == ("toy", True, [24, 24])
    assert max(answer["errors"]) < 1e-5
    assert abs(answer["score"] - answer["largest"]) < 1e-4
    assert answer["error"] < 1e-3 and answer["map"] < 1e-5
    assert answer["sentences"] > 20
