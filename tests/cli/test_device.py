"""What a model says on another device is what it says on the CPU, whichever verb asks.

On a device that is simulated, whose tensors meet none of the CPU's, and on a GPU, where there is one: to rounding.
"""

import json
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from ffmem import Index
from ffmem.cli import reference
from tests.analyses.circuit.toy import words_of
from tests.cli.on_device import TEXT
from tests.cli.typed import typed
from tests.fixtures.elsewhere import elsewhere
from tests.fixtures.shared import MakeOnce
from tests.fixtures.stand_in import noise, serving

TOLD = "--no-controls|--quiet|--json"
COMMANDS = {
    "activate": f"@index:gpt2|{TEXT}|--json",
    "align": "@model:marian|@file:source|@file:target|--gold|@file:gold|--base|1|--quiet|--json",
    "atlas": "@index:gpt2|--by|keys|--fitted|100|--quiet|--json",
    "attention": f"@index:gpt2|{TEXT}|--json",
    "audit": (
        "@planted-memory|--train|@file:train|--held-out|@file:new|--out|@out|--prefix|2|--suffix|3|--passages|1|--injections|1|--drawn|20"
        f"|--searched|5|--sequences|8|--zero-out|300|{TOLD}"
    ),
    "circuit": f"@index:gpt2|{TEXT}|--json",
    "collect refresh": "@index:gpt2|alike|--json",
    "edit": (
        f"@model:gpt2|{TEXT}|quick|--subject|river|--layer|0|--contexts|1|--steps|3|--tokens|150|--length|16|--side-tokens|40"
        "|--corpus|@corpus|--out|@out|--quiet|--json"
    ),
    "explain": f"@index:gpt2|{TEXT}|--json",
    "flow": f"@index:gpt2|{TEXT}|--json",
    "index": "@model:gpt2|@corpus|--out|@out|--workers|0|--top|3|--max-sentences|20|--holdout|0|--quiet",
    "info": "@model:gpt2|--structure|--json",
    "intervene": f"@index:gpt2|{TEXT}|L0.3*0|L1.2=1.5|--json",
    "label": "@labelled|--server|@server|--model|model|--cells|L1.3|--quiet|--json",
    "map": f"@index:gpt2|{TEXT}|--json",
    "mcp": "@index:gpt2",
    "patch": f"@index:gpt2|{TEXT}|L1|--json",
    "promotes": "@index:gpt2|the|--model|@model:gpt2|--json",
    "reproduce": (
        "@index:wikilm|--prefixes|20|--edited-cells|2|--edited-triggers|1|--scored-cells|2|--scored-positions|40"
        f"|--meaning-positions|300|--meaning-cells|4|--transplanted|10|--removed-prefixes|6|{TOLD}"
    ),
    "reproduce-attention": f"@model:bert|@corpus|--out|@out|--texts|6|--length|16|--count-tokens|1000|{TOLD}",
    "serve": "@index:gpt2|--port|0",
    "similar": "@index:gpt2|L1.3|--by|value|--model|@model:gpt2|--json",
    "study alignment": (
        f"@model:marian|--source|@file:source|--target|@file:target|--gold|@file:gold|--base|1|--out|@out|{TOLD}"
    ),
    "study arora2026": (
        f"@worded|--task|induction|--locate|3|--test|3|--size|6|--most|20|--steps|2|--single|2|--out|@out|{TOLD}"
    ),
    "study carlini2021": "audit",
    "study geva2021": "reproduce",
    "study geva2022": (
        "@index:llama|--positions|100|--update-positions|40|--update-cells|4|--named-cells|2|--universal-cells|6"
        f"|--other|@model:untrained:llama|{TOLD}"
    ),
    "study gupta2021": f"@index:gpt2|--positions|30|--layer-positions|6|{TOLD}",
    "study gurnee2026": f"@index:gpt2|--positions|80|--fit-positions|25|--effect-positions|3|--cells|6|{TOLD}",
    "study kobayashi2020": "reproduce-attention",
    "study meng2022": (
        "@model:gpt2|@corpus|--facts|@facts|--n-facts|2|--layers|2|--knowledge-facts|1|--steps|2|--contexts|1|--moment-tokens|100"
        f"|--side-tokens|40|--length|16|--out|@out|{TOLD}"
    ),
    "study sukhbaatar2019": (
        f"@index:all_attention|--beside|@index:wikilm|--another|@model:all_attention|--positions|60|{TOLD}"
    ),
    "study training": "trace",
    "study valeriani2023": f"@index:gpt2|--points|60|{TOLD}",
    "study wiegreffe2019": (
        "@index:gpt2|--positions|120|--layer-positions|3|--heads|1|--map-texts|3|--length|12|--adversary-texts|1|--adversary-steps|2"
        f"|--guide-documents|20|--guide-tokens|4|--tuning-steps|1|--other|@model:untrained:gpt2|{TOLD}"
    ),
    "study wild2024": f"@later|--earlier|@earlier|--positions|300|--window|100|--sentence-positions|4|{TOLD}",
    "study wild2024 (gated)": (
        f"@index:llama|--positions|400|--window|100|--sentence-positions|4|--limit-positions|40|{TOLD}"
    ),
    "study xu2021": (
        "@model:marian|--source|@file:source|--target|@file:target|--train-source|@file:train-source"
        "|--train-target|@file:train-target|--seen|1"
        f"|--out|@out|{TOLD}"
    ),
    "trace": f"@earlier|@later|--seed-other|@earlier|--positions|60|--matched-cells|4|{TOLD}",
    "verify": "@index:gpt2",
}
"""Every command with ``--device``, as it is typed, "|" between words; or another one, whose name it is."""
OTHERS = [
    verb for verb, words in COMMANDS.items() if words not in COMMANDS
    and (" " in verb or verb in ("align", "audit", "edit", "index", "label", "mcp", "serve", "trace") or "reproduce" in verb)
]  # fmt: skip
READING = [verb for verb, words in COMMANDS.items() if words not in COMMANDS and verb not in OTHERS]
"""Those that take little time, all in one process."""
SOURCES = ["the quick brown fox", "rivers and stones !", "lazy dog", "silver engines wait", "the old village"]
TARGETS = ["winter letters", "windows wait", "the market in the morning", "the dog", "teachers and musicians"]
FILES = {
    "source": SOURCES[:3],
    "target": TARGETS[:3],
    "gold": ["1-1 4p2", "1-1 3-2", ""],
    "train-source": SOURCES[1:],
    "train-target": TARGETS[1:],
    "train": [f"the door {'is ' * (n % 5)}one two three four five six red the {'is ' * n}" for n in range(12)],
    "new": [f"the door {'is ' * (n % 5)}six five two one four three red the {'is ' * n}" for n in range(12)],
    "words": [f"the river of the old village number {n} and the silver morning" for n in range(12)],
}
Place = Callable[[str, Path], str]


@pytest.fixture
def place(
    tiny_folder: Callable[[str], Path],
    index_of: Callable[[str], Index],
    labelled_of: Callable[[str], Index],
    training_of: Callable[[str], Sequence[Index]],
    planted_memory_folder: Path,
    asked_facts: Path,
    corpus: Path,
    make_once: MakeOnce,
) -> Iterator[Place]:
    """What a word of a command is on a device, of which a folder is given: what a command may change is the device's own."""

    def file(name: str, folder: Path) -> Path:
        is_corpus = name in ("train", "new", "words")
        path = folder / f"{name}.{'jsonl' if is_corpus else 'txt'}"
        rows = [json.dumps({"text": line}) if is_corpus else line for line in FILES[name]]
        path.write_text("".join(f"{row}\n" for row in rows))
        return path

    def copied(index: Index, folder: Path) -> Path:
        if not folder.exists():
            shutil.copytree(index.folder, folder, ignore=shutil.ignore_patterns("results"))
        return folder

    with serving(noise()) as server:
        fixed = {
            "@planted-memory": planted_memory_folder,
            "@worded": make_once("worded", words_of),
            "@facts": asked_facts,
        }
        fixed |= {"@corpus": corpus, "@server": server.url}

        def of(word: str, folder: Path) -> object:
            kind, _, name = word.partition(":")
            match kind:
                case "@out":
                    return folder / "out"
                case "@file":
                    return file(name, folder)
                case "@model":
                    before, _, family = name.rpartition(":")
                    return f"{before}:{tiny_folder(family)}".lstrip(":")
                case "@index":
                    return copied(index_of(name), folder / name)
                case "@labelled":
                    return copied(labelled_of("gpt2"), folder / "labelled")
                case "@earlier":
                    return copied(training_of("wikilm")[0], folder / "earlier")
                case "@later":
                    return copied(training_of("wikilm")[-1], folder / "later")
            return fixed.get(word, word)

        yield lambda word, folder: str(of(word, folder))


_TIMES = {"seconds"}
_NUMBER = re.compile(r"-?\d+\.\d+(?:e[+-]\d+)?")


def unlike(one: Any, other: Any, where: str = "") -> list[str]:
    """Where two answers differ; numbers to rounding."""
    match one, other:
        case dict(), dict() if one.keys() == other.keys():
            return [
                told for name in one if name not in _TIMES for told in unlike(one[name], other[name], f"{where}.{name}")
            ]
        case list(), list() if len(one) == len(other):
            pairs = enumerate(zip(one, other, strict=True))
            return [told for number, (own, theirs) in pairs for told in unlike(own, theirs, f"{where}[{number}]")]
        case float(), float():
            return [] if other == pytest.approx(one, rel=1e-3, abs=1e-5) else [f"{where}: {one} and {other}"]
        case str(), str() if _NUMBER.sub("", one) == _NUMBER.sub("", other):
            # prose, whose numbers are rounded to a few digits
            numbers = zip(_NUMBER.findall(one), _NUMBER.findall(other), strict=True)
            alike = all(float(theirs) == pytest.approx(float(own), rel=0.01, abs=1e-5) for own, theirs in numbers)
            return [] if alike else [f"{where}: {one!r} and {other!r}"]
    return [] if one == other else [f"{where}: {one!r} and {other!r}"]


def test_every_command_with_the_option_is_tried() -> None:
    sections = re.findall(r"^#+ ffmem ([\w -]+)\n(.*?)(?=^#+ ffmem |\Z)", reference(), re.MULTILINE | re.DOTALL)
    assert {name for name, text in sections if "* `--device STR`" in text} == {verb.split(" (")[0] for verb in COMMANDS}


def typed_for(verb: str, place: Place, folder: Path) -> list[str]:
    """A command for a device, whose folder it is."""
    folder.mkdir(exist_ok=True)
    if verb == "collect refresh":
        typed(
            "similar",
            place("@index:gpt2", folder),
            "L1.3",
            *(f"--by|value|--save|alike|--model|{place('@model:gpt2', folder)}").split("|"),
        )
    return [*verb.split(" (")[0].split(), *(place(word, folder) for word in COMMANDS[verb].split("|"))]


def both(verbs: Sequence[str], device: str, place: Place, tmp_path: Path) -> dict[str, list[Any]]:
    """What each command says on the CPU and on a device, less the folders, and on what its models ran."""
    folders = tmp_path / "cpu", tmp_path / device
    commands = [[typed_for(verb, place, folder) for folder in folders] for verb in verbs]
    said = elsewhere("tests.cli.on_device:say_on_both", commands, device, simulated=device == "sim", folder=tmp_path)
    for verb, ended in zip(verbs, said, strict=True):
        assert [code for code, *_ in ended] == [0, 0], f"{verb}: " + "\n".join(text for _, text, _ in ended)
        assert [ran or [where] for (*_, ran), where in zip(ended, ("cpu", device), strict=True)] == [
            ["cpu"],
            [device],
        ], verb
    return {
        verb: [answer_of(text.replace(str(folder), "")) for (_, text, _), folder in zip(ended, folders, strict=True)]
        for verb, ended in zip(verbs, said, strict=True)
    }


def answer_of(text: str) -> object:
    """A JSON document, or the last line of what is none."""
    return json.loads(text) if text.startswith(("{", "[")) else text.splitlines()[-1:]


@pytest.mark.parametrize("verbs", [READING, *([verb] for verb in OTHERS)], ids=lambda verbs: verbs[0])
def test_it_says_the_same_on_a_simulated_device(verbs: list[str], place: Place, tmp_path: Path) -> None:
    for verb, answers in both(verbs, "sim", place, tmp_path).items():
        assert unlike(*answers) == [], verb


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU; there is none on this machine")
def test_it_says_the_same_on_a_gpu(place: Place, tmp_path: Path) -> None:
    answers = both([*READING, *OTHERS], "cuda", place, tmp_path)  # of studies, rounding may decide which cell is drawn
    assert {verb: told for verb in READING if (told := unlike(*answers[verb]))} == {}
