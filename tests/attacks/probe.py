"""Damages copies of an index and asks each every question; a process of its own, so that a crash is one finding.

    python -m tests.attacks.probe INDEX OTHER WORK FIRST LAST

Writes a line of JSON before ("begin") and after each mutation.
"""

import faulthandler
import json
import resource
import shutil
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ffmem
from ffmem import FfmemError, queries, render
from ffmem.cli.app import as_json
from ffmem.index.verification.verify import verify_index
from ffmem.json_values import to_json
from ffmem.store.reader import Index
from tests.attacks.mutations import mutate

TIME_LIMIT_S = 30
"""For one mutation, every question together; a second is usual on a slow machine."""
MEMORY_LIMIT = 3 * 2**30
"""Address space of the process; it needs about one third."""


def questions(index: Index) -> dict[str, Callable[[Index], Any]]:
    """Every verb that reads, asked of cells, sentences and documents all over an index."""
    ids = [index.cells.cell_id(p, r) for p, cells in enumerate(index.cells.layers) for r in (0, 17, cells.n_cells - 1)]
    sentences = [0, 1, index.text.n_all_sentences // 2, index.text.n_all_sentences - 1]
    asked: dict[str, Callable[[Index], Any]] = {"info": _info}
    for cell_id in ids:
        asked[f"cell {cell_id}"] = lambda opened, cell_id=cell_id: _cell(opened, str(cell_id))
    for sort in ("max", "min", "mean", "mean-square", "active", "top", "index"):
        asked[f"cells by {sort}"] = lambda opened, sort=sort: _cells(opened, sort)
    for number in sentences:
        asked[f"sentence {number}"] = lambda opened, number=number: _sentence(opened, number)
        asked[f"cells of sentence {number}"] = lambda opened, number=number: opened.cells_of_sentence(number)
        asked[f"document {number // 20}"] = lambda opened, number=number: opened.text.document(number // 20)
    asked["highlights"] = lambda opened: [(one.why, str(one.cell.cell)) for one in queries.highlights(opened)]
    return asked


def _info(index: Index) -> str:
    found = queries.info(index)
    return render.info(index) + repr(index) + as_json(found)


def _cell(index: Index, cell_id: str) -> str:
    found = queries.cell(index, cell_id)
    found._repr_html_()
    render.cell(found, 5)
    return as_json(to_json(found) | {"projection": "the manifest's word"})


def _cells(index: Index, sort: Any) -> str:
    rows = queries.cells(index, sort=sort, limit=4)
    render.cells(rows)
    return as_json(rows)


def _sentence(index: Index, number: int) -> Any:
    row = index.text.sentence(number)
    return row.text, row.document_id, row.start_byte, row.n_occurrences, row.token_ids.tolist(), row.token_strings()


def ask(folder: Path, asked: dict[str, Callable[[Index], Any]]) -> dict[str, str]:
    """The answer to each question, or "error: " and the message."""
    try:
        index = ffmem.open_index(folder)
    except FfmemError as error:
        return {"open": _message(error)}
    found = {}
    for name, question in asked.items():
        try:
            answer = question(index)
            found[name] = answer if isinstance(answer, str) else repr(answer)
        except FfmemError as error:
            found[name] = _message(error)
    try:
        problems = verify_index(index, with_model=False).problems
        found["verify"] = f"error: {problems[0]}" if problems else "sound"
    except FfmemError as error:
        found["verify"] = _message(error)
    return found


def _message(error: FfmemError) -> str:
    assert error.got and error.expected and error.mend
    return f"error: {error}"


def judge(found: dict[str, str], right: dict[str, str], what: str) -> str:
    """ "refused", "right", "noticed" (wrong until verify looks), or what is not allowed."""
    differing = [n for n, answer in found.items() if not answer.startswith("error: ") and answer != right.get(n)]
    if what.startswith(("manifest: ", "swap: manifest")) or what.endswith("lengths agree"):
        # the manifest tells about itself, and nothing else can contradict it
        differing = [name for name in differing if not name.startswith("info")]
    if differing and not found["verify"].startswith("error: "):
        return f"WRONG and unnoticed: {differing[0]}: {found[differing[0]][:300]}"
    if differing:
        return "noticed"
    return "refused" if any(answer.startswith("error: ") for answer in found.values()) else "right"


def _say(line: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def main(index: Path, other: Path, work: Path, first: int, last: int) -> None:
    warnings.simplefilter("error")
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT, MEMORY_LIMIT))
    asked = questions(ffmem.open_index(index))
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(index, work)
    right = ask(work, asked)  # where the copies will be: answers name their folder
    for seed in range(first, last):
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(index, work)
        what = mutate(work, other, seed)
        _say({"begin": seed, "what": what})
        faulthandler.dump_traceback_later(TIME_LIMIT_S, exit=True)
        try:
            verdict = judge(ask(work, asked), right, what)
        except Exception as error:  # noqa: BLE001 (the finding itself)
            import traceback

            verdict = f"RAISED {error!r} at " + " < ".join(
                f"{f.filename.rsplit('/', 1)[-1]}:{f.lineno}"
                for f in traceback.extract_tb(error.__traceback__)[::-1][:5]
            )
        faulthandler.cancel_dump_traceback_later()
        _say({"end": seed, "what": what, "verdict": verdict})


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]), int(sys.argv[4]), int(sys.argv[5]))
