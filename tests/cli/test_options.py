"""Every command with a model says how many processors it takes, and tells torch so before the model is loaded."""

import asyncio
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from ffmem import Index, InputError
from ffmem.cli import app, reference
from ffmem.models import registry
from ffmem.models.threads import torch_threads
from ffmem.server.opening import open_explorer

TEXT = ["MODEL", "the quick fox"]
COMMANDS = {
    "index": ["MODEL", "CORPUS", "--out", "OUT"],
    "verify": ["INDEX"],
    "promotes": ["INDEX", "the", "--model", "MODEL"],
    "similar": ["INDEX", "L0.0", "--model", "MODEL"],
    "activate": TEXT,
    "explain": TEXT,
    "intervene": [*TEXT, "L0.0*0"],
    "attention": TEXT,
    "patch": TEXT,
    "flow": TEXT,
    "circuit": TEXT,
    "audit": ["MODEL", "--train", "CORPUS", "--out", "OUT"],
    "trace": ["INDEX", "LATER"],
    "edit": [*TEXT, "dog", "--out", "OUT"],
    "atlas": ["INDEX", "--by", "keys"],
    "mcp": ["INDEX"],
    "map": TEXT,
    "reproduce-attention": ["MODEL", "CORPUS", "--out", "OUT"],
    "align": ["MODEL", "PAIRS", "--gold", "GOLD", "--base", "1"],
    "reproduce": ["INDEX"],
    "serve": ["INDEX"],
}
"""Every command with a model, as it is typed."""
LOADS_LATER = {"serve", "mcp"}  # in a thread of its own; when it is first asked


def test_every_command_with_a_model_has_the_option() -> None:
    sections = dict(re.findall(r"^## ffmem ([\w-]+)\n(.*?)(?=^## |\Z)", reference(), re.MULTILINE | re.DOTALL))
    with_model = {
        name for name, text in sections.items() if re.search(r"^\* `(MODEL|--model)(?![\w-])", text, re.MULTILINE)
    }
    elsewhere = {"study", "collect", "label"}  # verbs below it have models; the model of a server
    assert with_model - elsewhere == set(COMMANDS)
    for name in COMMANDS:
        (line,) = re.findall(r"^\* `--threads INT`: .*$", sections[name], re.MULTILINE)
        assert line.endswith("*[default: 1]*") or name == "verify", name


class _Loaded(Exception):  # noqa: N818 (no error: it ends a command where its model would be read)
    pass


@pytest.mark.parametrize("name", sorted(set(COMMANDS) - LOADS_LATER))
@pytest.mark.parametrize("threads", [1, 3])
def test_torch_is_told_before_the_model_is_loaded(
    name: str,
    threads: int,
    index_of: Callable[[str], Index],
    tiny_folder: Callable[[str], Path],
    corpus: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said = []

    def read(*_: object, **__: object) -> Path:
        said.append(torch.get_num_threads())
        raise _Loaded

    (tmp_path / "pairs").write_text("der Fuchs ||| the fox\n")
    (tmp_path / "gold").write_text("1-1 2-2\n")
    shutil.copytree(index_of("gpt2").folder, tmp_path / "index")  # a study leaves results there
    shutil.copytree(index_of("gpt2").folder, tmp_path / "later")
    places = {
        "LATER": tmp_path / "later",
        "MODEL": tiny_folder("gpt2"),
        "INDEX": tmp_path / "index",
        "CORPUS": corpus,
        "OUT": tmp_path / "out",
    }
    places |= {"PAIRS": tmp_path / "pairs", "GOLD": tmp_path / "gold"}
    typed = [name, *(str(places.get(word, word)) for word in COMMANDS[name])]
    monkeypatch.setattr(registry, "resolve", read)
    with torch_threads(2):
        with pytest.raises(_Loaded):
            app([*typed, *(["--threads", str(threads)] if threads != 1 else [])], exit_on_error=False)
        assert said == [threads]


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("threads", ["0", "-1", "1000000"])
def test_what_is_no_number_is_refused_before_anything_is_read(name: str, threads: str) -> None:
    with pytest.raises(InputError, match=f"--threads is {threads}"):  # nothing else that is typed is there
        app([name, *COMMANDS[name], "--threads", threads], exit_on_error=False)


@pytest.mark.parametrize("threads", [1, 3])
def test_the_explorer_tells_the_thread_of_its_model(index_of: Callable[[str], Index], threads: int) -> None:
    explorer = open_explorer(index_of("gpt2").folder, threads=threads)
    before = torch.get_num_threads()
    try:
        assert asyncio.run(explorer.model.ask(lambda _: torch.get_num_threads())) == threads
    finally:
        explorer.model.close()
        torch.set_num_threads(before)


def test_the_explorer_refuses_what_is_no_number(index_of: Callable[[str], Index]) -> None:
    with pytest.raises(InputError, match="--threads is -2"):
        open_explorer(index_of("gpt2").folder, threads=-2)
