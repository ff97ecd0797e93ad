"""The examples of the documentation run, each page's from top to bottom, and its commands are commands that there are."""

import ast
import os
import re
import shlex
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

import ffmem
from ffmem import IndexOptions
from ffmem.cli import app, reference
from tests.annotations.filling import fill
from tests.cli.typed import typed
from tests.conftest import IN_PROCESS, SMALL_STUDY, byte_level_tokenizer

ROOT = Path(__file__).parents[1]
PAGES = {
    page.relative_to(ROOT).as_posix(): page.read_text()
    for page in sorted([*ROOT.glob("docs/**/*.md"), ROOT / "README.md"])
}
NOTES = (
    '{"title": "Imports", "body": "The import statement names a module. An import module is found first."}\n'
    '{"title": "Winds", "body": "Warm air rises. Cold air takes its place, and so the wind blows."}\n'
)
TRANSLATION = {
    "test.de": "der Fuchs springt\ndie alte Stadt\n",
    "test.en": "the fox jumps\nthe old village\n",
    "alignment.talp": "1-1 2-2 3-3\n1-1 2-2 3-3\n",
}
INSTEAD = {
    "docs/concepts.md": {'"runs/from-python", ': '"runs/from-python", run=ffmem.RunOptions(workers=0), '},
    "docs/reference/python.md": {
        '"smollm2"': '"models/smollm2"',
        '"python-docs"': '"notes.txt"',
        '"runs/demo-smollm2"': '"runs/new", options=ffmem.IndexOptions(holdout=0), run=ffmem.RunOptions(workers=0)',
    },
    "docs/how-to/reproduce-the-paper.md": {
        '"runs/demo"': '"runs/tiny"',
        "reproduce(index)": f"reproduce(index, reproduce.__defaults__[0].__class__(**{SMALL_STUDY}), controls=False)",
    },
}
"""What a test has in the place of what takes long: workers that are processes, a model of half a gigabyte, a whole study. On
every page, random weights in the shape of SmolLM2 stand in for it, and one layer and 2,000 tokens for runs/demo."""


@pytest.fixture(scope="session")
def desk(
    tiny_folder: Callable[[str], Path], index_of: Callable[[str], ffmem.Index], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A folder with what the pages have made before their examples."""
    folder = tmp_path_factory.mktemp("desk")
    small = IndexOptions(max_tokens=2000, top=10, cells="L12")
    (folder / "notes.jsonl").write_text(NOTES)
    (folder / "notes.txt").write_text("\n\n".join(re.findall(r'"body": "(.*?)"', NOTES)))
    for name, text in TRANSLATION.items():
        (folder / name).write_text(text)
    shutil.copytree(tiny_folder("marian"), folder / "runs/translation-model")
    shutil.copytree(index_of("wikilm").folder, folder / "runs/tiny")
    smollm2 = _of_the_shape_of_smollm2(folder / "models/smollm2")
    ffmem.build_index(
        smollm2, folder / "notes.txt", folder / "runs/demo-smollm2", options=IndexOptions(holdout=0), run=IN_PROCESS
    )
    demo = ffmem.build_index("reference", "topics", folder / "runs/demo", options=small, run=IN_PROCESS)
    _annotate(demo, folder / "sheets")
    typed("collect", "add", demo.folder, "water", "L12.97", "--note", "rivers, not rain")
    return folder


def _of_the_shape_of_smollm2(folder: Path) -> Path:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer: Any = byte_level_tokenizer(False)
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    sizes = {"hidden_size": 8, "intermediate_size": 1536, "num_hidden_layers": 30, "num_attention_heads": 1}
    LlamaForCausalLM(LlamaConfig(**sizes, vocab_size=len(tokenizer), bos_token_id=0, eos_token_id=0)).save_pretrained(
        folder
    )
    return folder


def _annotate(index: ffmem.Index, sheets: Path) -> None:
    from ffmem.annotations import batches, store

    drawn = batches.draw(index, "batch-1", layers=[0], per_layer=4, n_triggers=5)
    for seed, file in enumerate(store.write_sheets(index, drawn, ("ann", "bob"), sheets)):
        if file.suffix == ".csv":
            store.import_files(index, [fill(file, seed)])


def _blocks(page: str, *languages: str) -> list[str]:
    found = re.findall(r"^( *)```(\w+)\n(.*?)^\1```$", PAGES[page], re.MULTILINE | re.DOTALL)
    return [
        re.sub(f"^{indent}", "", body, flags=re.MULTILINE) for indent, language, body in found if language in languages
    ]


@pytest.mark.parametrize("page", [page for page in PAGES if _blocks(page, "python")])
def test_the_examples_in_python_run(page: str, desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(desk)
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)  # an environment that is activated
    names: dict[str, Any] = {"__name__": "__main__"}  # as a file, or one cell of a notebook after the other
    instead = dict(INSTEAD.get(page, {}))
    for block in _blocks(page, "python"):
        code = block
        for written in [one for one in instead if one in block]:
            code = code.replace(written, instead.pop(written))
        with redirect_stdout(StringIO()):
            exec(compile(code, page, "exec"), names)
    assert not instead, "what stands in for something is on the page no more"


def test_an_example_with_a_wrong_name_would_fail(desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = "import ffmem\nfrom ffmem.studies import charts\ncharts.agreement(0)\n"
    monkeypatch.setitem(PAGES, "wrong.md", f"```python\n{wrong}```\n")
    with pytest.raises(AttributeError, match="agreement"):
        test_the_examples_in_python_run("wrong.md", desk, monkeypatch)


def _commands(page: str) -> Iterator[str]:
    """Each command line of a page that calls ffmem, without what a shell does itself."""
    for block in _blocks(page, "sh", "bash", "console"):
        for line in block.replace("\\\n", " ").splitlines():
            found = re.search(r"(?:^|[\s$])(ffmem [a-z].*)", line)
            if found and not line.lstrip().startswith("#"):
                yield found[1]


def _arguments(command: str) -> list[str]:
    lexer = shlex.shlex(command, posix=True, punctuation_chars="|>&;")
    lexer.whitespace_split = True
    words = list(lexer)
    end = next((i for i, word in enumerate(words) if re.fullmatch(r"[|>&;]+", word)), len(words))
    return words[1:end]


GENERATED = "docs/reference/cli.md"
COMMANDS = [(page, command) for page in PAGES if page != GENERATED for command in _commands(page)]


@pytest.mark.parametrize(("page", "command"), COMMANDS)
def test_the_commands_are_understood(page: str, command: str) -> None:
    app.parse_args(_arguments(command), exit_on_error=False, print_error=False)


def test_there_are_commands_on_the_pages() -> None:
    assert len(COMMANDS) > 70 and {page for page, _ in COMMANDS} >= {
        "README.md",
        "docs/tutorial.md",
        "docs/how-to/explore.md",
    }
    with pytest.raises(Exception, match="--no-such"):
        test_the_commands_are_understood("", "ffmem info runs/demo --no-such | head -1")


OPTIONS = {*re.findall(r"`(--[a-z][a-z-]*)", reference()), "--help", "--version", "--debug", "--no-shared"}
OF_OTHERS = {
    "docs/errors.md": {"--no-deps"},  # pip
    "docs/how-to/cluster.md": {"--num-gpus", "--gpus-per-node"},  # ray, sbatch
    "docs/how-to/index-your-own.md": {"--no-deps"},
    "docs/reference/families.md": {"--page"},  # the report of the zoo
    "docs/performance.md": {
        "--files",
        "--fresh",
        "--laptop",
        "--layers",
        "--published-sentences",
        "--rounds",
        "--states",
        "--times",
        "--trees",
    },  # benchmarks
    "src/ffmem/models/loading/hub.py": {"--exclude", "--local-dir"},  # hf
    "src/ffmem/models/loading/sources.py": {"--no-deps"},
    "src/ffmem/markup.py": {"--share"},  # a variable of CSS
}
"""Options of other programs that our texts name."""


def _unknown(path: str, texts: Iterable[str]) -> set[str]:
    """The options in some texts that no command has."""
    named = {option for text in texts for option in re.findall(r"(?<![\w-])--[a-z][a-z-]*", text)}
    others = OF_OTHERS.get(path, set())
    assert others <= named, "it names them no more"
    return named - OPTIONS - others


def test_the_options_that_pages_name_exist() -> None:
    fence = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)
    inline = {page: re.findall(r"(?<!`)`([^`\n]+)`(?!`)", fence.sub("", text)) for page, text in PAGES.items()}
    unknown = {page: found for page, texts in inline.items() if page != GENERATED and (found := _unknown(page, texts))}
    assert not unknown
    assert _unknown("", ["write `--no-such N`"]) == {"--no-such"}


def test_the_options_that_messages_name_exist() -> None:
    unknown = {}
    for path in sorted((ROOT / "src/ffmem").rglob("*.py")):
        nodes = [node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant)]
        name = path.relative_to(ROOT).as_posix()
        unknown[name] = _unknown(name, [text for text in nodes if isinstance(text, str)])
    assert not {name: found for name, found in unknown.items() if found}
