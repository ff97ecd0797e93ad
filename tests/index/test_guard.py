"""A script that builds an index at its top level: every process that it starts would build one, too."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import ffmem
from ffmem import IndexOptions, RunOptions

SCRIPT = """
import sys, tempfile
import ffmem
from ffmem.index import build_text

build_text.LONG_BYTES = 0
model, corpus, folder = sys.argv[1:]
out = tempfile.mkdtemp(dir=folder)
options = ffmem.IndexOptions(max_tokens=500, top=3)
ffmem.build_index(model, corpus, out + "/index", options=options, run=ffmem.RunOptions(workers=1))
"""


def test_an_unguarded_script_builds_one_index_and_says_what_to_mend(
    tiny_folder: Callable[[str], Path], corpus: Path, tmp_path: Path
) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    folder = tmp_path / "out"
    folder.mkdir()
    command = [sys.executable, script, tiny_folder("gpt2"), corpus, folder]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True, env=os.environ)
    assert 'Put it below: if __name__ == "__main__":' in done.stderr
    (index,) = folder.glob("*/index/manifest.json")
    options = IndexOptions(max_tokens=500, top=3)
    here = ffmem.build_index(tiny_folder("gpt2"), corpus, tmp_path / "here", options=options, run=RunOptions(workers=0))
    assert here.manifest.counts == ffmem.open_index(index.parent).manifest.counts
