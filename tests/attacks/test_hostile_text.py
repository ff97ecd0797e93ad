"""Hostile text through index, cell, cells, verify: kept to the byte, shown without harm, counted."""

import json
import subprocess
import sys
import time
import unicodedata
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

import ffmem
from ffmem import Index, IndexOptions, InputError, queries, render
from ffmem.cli.app import as_json
from ffmem.corpus.registry import open_corpus
from ffmem.corpus.sentences import split_sentences
from ffmem.index.verification.verify import verify_index
from tests.attacks.hostile import SHORT, long_texts
from tests.conftest import IN_PROCESS

OPTIONS = IndexOptions(top=40, promoted=5, holdout=0.0, duplicates="keep", batch_tokens=400)


def write_documents(path: Path, texts: dict[str, str]) -> Path:
    lines = [
        json.dumps({"id": text, "text": text, "note": {text: [text]}, "kind": name}) for name, text in texts.items()
    ]
    path.write_text("\n".join(lines))
    return path


@pytest.fixture(scope="module", params=["llama", "bert"])
def index(
    request: pytest.FixtureRequest, tiny_folder: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Index:
    folder = tmp_path_factory.mktemp("hostile")
    corpus = write_documents(folder / "\x1b[31mname.jsonl", SHORT)
    return ffmem.build_index(tiny_folder(request.param), corpus, folder / "index", options=OPTIONS, run=IN_PROCESS)


CONTROLS = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
"""Bidirectional classes that reorder what follows."""


def all_cells(index: Index) -> list[Any]:
    return [index.cells.cell_id(p, r) for p, cells in enumerate(index.cells.layers) for r in range(0, cells.n_cells, 5)]


def test_every_text_is_kept_to_the_byte_and_counted(index: Index) -> None:
    counts = index.manifest.counts
    expected = [
        (number, sentence.start_byte, sentence.text)
        for number, text in enumerate(SHORT.values())
        for sentence in split_sentences(text, "sentences")
    ]
    data = [text.encode() for text in SHORT.values()]
    rows = [index.text.sentence(i) for i in range(index.text.n_sentences)]
    for row in rows:
        stored = row.text.encode()
        assert data[row.document_id][row.start_byte : row.start_byte + len(stored)] == stored
    whole = {(row.document_id, row.start_byte) for row in rows}
    lost = [text for number, start, text in expected if (number, start) not in whole]
    assert len(lost) == counts.n_empty_sentences
    assert len(rows) == len(expected) - len(lost) - counts.n_long_sentences + counts.n_windows
    assert counts.n_documents == len(SHORT) and counts.n_documents_empty == 1
    assert [index.text.document(i).name for i in range(len(SHORT))] == list(SHORT.values())
    assert [index.text.document(i).metadata["note"] for i in range(len(SHORT))] == [{t: [t]} for t in SHORT.values()]


def test_triggers_join_to_their_text(index: Index) -> None:
    for cell_id in all_cells(index):
        for trigger in index.cell(cell_id).triggers:
            assert "".join(trigger.marked("", "")) == trigger.text
            start, end = trigger.span
            piece = trigger.text.encode()[start:end].decode(errors="backslashreplace")
            assert trigger.tokens[trigger.position] == piece


def test_a_terminal_is_not_disturbed(index: Index) -> None:
    shown = [render.cell(index.cell(cell_id), 40) for cell_id in all_cells(index)]
    shown += [render.cells(queries.cells(index, sort="max", limit=1000)), render.info(index)]
    shown += [render.summary(index, queries.highlights(index))]
    shown += [render.verification(verify_index(index, with_model=False))]
    assert {c for text in shown for c in text if not c.isprintable()} == {"\n"}
    assert "everything is in order" in shown[-1]


def test_json_is_json_and_gives_the_text_back(index: Index) -> None:
    for cell_id in all_cells(index):
        found = index.cell(cell_id)
        text = as_json(found)
        assert {c for c in text if unicodedata.category(c) == "Cc" or unicodedata.bidirectional(c) in CONTROLS} == {
            "\n"
        }
        read = json.loads(text, parse_constant=pytest.fail)
        assert [trigger["text"] for trigger in read["triggers"]] == [trigger.text for trigger in found.triggers]
    json.loads(as_json(queries.cells(index, limit=1000)), parse_constant=pytest.fail)
    assert json.loads(as_json({"a": [float("inf"), float("nan"), 1.5]})) == {"a": [None, None, 1.5]}


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.seen: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_comment(self, data: str) -> None:
        self.seen.add("comment")


def test_html_has_no_tag_but_ours(index: Index) -> None:
    parser = Tags()
    for cell_id in all_cells(index):
        parser.feed(index.cell(cell_id)._repr_html_())
    known = {"h4", "p", "br", "code", "small", "table", "thead", "tbody", "tr", "th", "td", "mark"}
    assert parser.seen <= known and parser.attributes <= {"style"}


def test_commands_in_an_ascii_terminal(index: Index) -> None:
    for verb in (["info"], ["cell", "L0.0", "--json"]):
        command = [sys.executable, "-m", "ffmem", verb[0], str(index.folder), *verb[1:]]
        environment = {"PYTHONIOENCODING": "ascii", "PYTHONPATH": ":".join(filter(None, sys.path)), "PATH": ""}
        ended = subprocess.run(command, capture_output=True, env=environment)
        assert ended.returncode == 0, ended.stderr.decode()
        assert all(32 <= byte < 127 or byte == 10 for byte in ended.stdout)


def test_names_of_a_hostile_path_do_not_disturb_the_terminal(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "ffmem", "info", str(tmp_path / "\x1b[2J\x9b31m\u202e")]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 1 and all(c.isprintable() or c == "\n" for c in ended.stderr)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_numbers_that_are_not_json_are_refused(tmp_path: Path, number: str) -> None:
    (tmp_path / "a.jsonl").write_text(f'{{"text": "a", "year": {number}}}')
    with pytest.raises(InputError, match=rf"line 1 of .*a\.jsonl is not JSON: {number} is not a JSON number"):
        list(open_corpus(str(tmp_path / "a.jsonl")))


def build_long(name: str, text: str, model: Path, folder: Path) -> tuple[float, float]:
    """Seconds and peak MB of a process that writes the text of one long line, split and tokenized, into a store."""
    (folder / "long.txt").write_text(text)
    code = (
        "import sys, resource, pathlib, json; from dataclasses import asdict; import ffmem; "
        "from ffmem.corpus.registry import open_corpus; from ffmem.index.text.writer import TextSource, write_text; "
        "from tokenizers import Tokenizer; "
        "t = Tokenizer.from_file(sys.argv[1] + '/tokenizer.json'); "
        "v = [t.id_to_token(i) for i in range(t.get_vocab_size())]; out = pathlib.Path(sys.argv[3]); out.mkdir(); "
        "c = write_text(out, TextSource([open_corpus(sys.argv[2])], t, None, v, 60), ffmem.IndexOptions(holdout=0)); "
        "print(json.dumps([asdict(c), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))"
    )
    begin = time.monotonic()
    command = [sys.executable, "-c", code, str(model), str(folder / "long.txt"), str(folder / f"out-{name}")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=1200)
    assert ended.returncode == 0, (name, ended.stderr)
    counts, peak_mb = json.loads(ended.stdout)
    assert counts["n_documents"] == 1 and counts["n_tokens"] > 0
    assert counts["n_windows"] > 0 or counts["n_long_sentences"] == 0
    return time.monotonic() - begin, peak_mb


@pytest.mark.soak
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("variant", ["llama", "bert"])
@pytest.mark.parametrize("name", list(long_texts(100)))
def test_a_line_of_ten_megabytes(tiny_folder: Callable[[str], Path], tmp_path: Path, variant: str, name: str) -> None:
    seconds, peak_mb = build_long(name, long_texts(10_000_000)[name], tiny_folder(variant), tmp_path)
    sys.stdout.write(f"{variant} {name}: {seconds:.1f} s, {peak_mb:,.0f} MB\n")
    assert seconds < 900 and peak_mb < 4000
