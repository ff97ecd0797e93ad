"""Two indexes of one model over different corpora -> the index over both, without the model."""

import shutil
import time
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

from ffmem.errors import InputError
from ffmem.index.certificate import worst_of
from ffmem.index.finish import write_index, write_manifest
from ffmem.index.identity import corpora_of, hash_of, join_corpora, without_exclusions
from ffmem.index.inherit import copy_promoted, n_shards, states_of
from ffmem.index.state.layers import Shape
from ffmem.index.state.states import save_state, state_path
from ffmem.index.text.text_spool import TextSpool
from ffmem.index.text.writer import TOKEN_LIMIT, TextCounts
from ffmem.options import format_shards
from ffmem.store.arrays import StorePaths, locked
from ffmem.store.files import disk_errors, write_json
from ffmem.store.identity import differences
from ffmem.store.reader import Index, open_index


def merge_indexes(
    first: str | Path, second: str | Path, out: str | Path, *, progress: Callable[[str], None] | None = None
) -> Index:
    """The index over the corpora of two indexes, and open it.

    It is the same, whichever is named first: their corpora follow each other in the order of their hashes. Lists,
    statistics and text are those of one build over both in that order, unless a sentence stands in both and repeats are
    indexed once: one build would have left out the second, and here both stay, and are counted.

    Args:
        first: a finished index.
        second: another one, of the same model, with the same options.
        out: folder of the merged index; made if it is not there.
        progress: called with what is done next.

    Raises:
        InputError: they differ in more than their corpora, share a corpus, or ``out`` is not empty.
        StoreError: one of them is damaged, or ``out`` cannot be written.

    Cost: reads both once; memory of one layer, a few times.
    """
    say = progress or (lambda _: None)
    pair = sorted(
        (open_index(first), open_index(second)), key=lambda index: hash_of(index.manifest["identity"]["corpus"])
    )
    _check(*pair)
    paths = StorePaths(Path(out))
    with disk_errors(paths.folder):
        paths.folder.mkdir(parents=True, exist_ok=True)
    with locked(paths.folder):
        _check_empty(paths)
        shutil.rmtree(paths.work, ignore_errors=True)
        begin = time.monotonic()
        with disk_errors(paths.work):
            (paths.work / "text").mkdir(parents=True)
        say("text")
        counts = _merge_text(pair, paths.work / "text")
        shutil.copyfile(StorePaths(pair[0].folder).index / "tokenizer.json", paths.work / "text" / "tokenizer.json")
        say("memories")
        options = pair[0].manifest["identity"]["options"]
        shape = Shape(pair[0].cells.layers, pair[0].n_signs, options["top"], options["per_sentence"])
        states = _save_states(pair, shape, paths.work)
        copy_promoted(pair[0], paths.work)
        say("files")
        write_index(paths, states, shape)
        write_json(paths.run, {"merged_from": [str(index.folder) for index in pair], "s": time.monotonic() - begin})
        write_manifest(paths, _manifest(pair, counts))
        shutil.rmtree(paths.work)
    return open_index(paths.folder)


def _check(first: Index, second: Index) -> None:
    told = differences(
        *(
            {n: v for n, v in without_exclusions(one.manifest["identity"]).items() if n != "corpus"}
            for one in (first, second)
        )
    )
    if told:
        raise InputError(
            f"{first.folder} and {second.folder} cannot be merged: {told}",
            "Expected indexes of the same model with the same options, over different corpora",
            "Build one of them again with the options of the other",
        )
    ours, theirs = ({_content(c): c["name"] for c in corpora_of(i.manifest["identity"])} for i in (first, second))
    both = [name for content, name in ours.items() if content in theirs]
    if both:
        raise InputError(
            f"{first.folder} and {second.folder} both hold the corpus {both[0]}",
            "Expected indexes over different corpora: what stands in both would be counted twice",
            "Merge indexes that share none",
        )
    n_tokens = sum(one.manifest["counts"][n] for one in (first, second) for n in ("n_tokens", "n_tokens_held_out"))
    if n_tokens >= TOKEN_LIMIT:
        raise InputError(
            f"{first.folder} and {second.folder} have {n_tokens:,} tokens together",
            f"Expected at most {TOKEN_LIMIT - 1:,}: token indices are stored in 32 bits",
            "Keep them apart",
        )


def _content(corpus: dict[str, Any]) -> str:
    return hash_of({name: value for name, value in corpus.items() if name != "name"})


def _check_empty(paths: StorePaths) -> None:
    others = sorted(p.name for p in paths.folder.iterdir() if p.name not in {"lock", "work"})
    if others:
        raise InputError(
            f"{paths.folder} is not empty (it holds {', '.join(others[:3])})",
            "Expected a new or empty folder",
            "Choose another folder with --out",
        )


def _merge_text(pair: list[Index], folder: Path) -> dict[str, Any]:
    vocabulary = pair[0].text.token_strings(range(pair[0].manifest["model"]["d_vocab"]))
    counts = TextCounts()
    with TextSpool(folder, vocabulary) as spool:
        n_shared = 0
        for index in pair:
            _add(counts, index.manifest["counts"])
            n_shared = spool.take(StorePaths(index.folder).index, index.manifest["counts"]["n_sentences"])
        counts.n_sentences_shared += n_shared
        counts.n_held_out_also_indexed = spool.finish(counts.n_sentences)
    return dict(counts.__dict__)


def _add(counts: TextCounts, more: dict[str, Any]) -> None:
    for field in fields(TextCounts):
        here = getattr(counts, field.name)
        there = more.get(field.name, 0)  # older indexes do not count lines
        setattr(counts, field.name, (here or there) if field.name == "stopped_by" else here + there)


def _save_states(pair: list[Index], shape: Shape, work: Path) -> list[Path]:
    states, offset = [], 0
    for number, index in enumerate(pair):
        path = state_path(work, "merge", number)
        save_state(path, shape, states_of(index, offset), "merge", {number})
        states.append(path)
        offset += index.manifest["counts"]["n_tokens"]
    return states


def _exclusions(pair: list[Index]) -> tuple[str | None, list[dict[str, int]]]:
    """The shards that were left out of either, as the option and as the manifest tell them: those of the second follow."""
    shards: list[int] = []
    told: list[dict[str, int]] = []
    first_shard = first_sentence = 0
    for index in pair:
        for one in index.manifest.get("excluded_shards", ()):
            moved = {"shard_id": first_shard, "first_sentence": first_sentence, "end_sentence": first_sentence}
            told.append(one | {name: one[name] + offset for name, offset in moved.items()})
            shards.append(told[-1]["shard_id"])
        first_shard += n_shards(index)
        first_sentence += index.manifest["counts"]["n_sentences"]
    return format_shards(shards), told


def _manifest(pair: list[Index], counts: dict[str, Any]) -> dict[str, Any]:
    first, second = (index.manifest for index in pair)
    exact = {"processor", "holds"}
    same = (
        all(first["same_bytes"][name] == second["same_bytes"][name] for name in exact) and first["same_bytes"]["holds"]
    )
    why = (
        first["same_bytes"]["why"] if same else "merged from indexes that were not built alike: equal to rounding only"
    )
    machines = sorted({name for one in (first, second) for name in one["same_bytes"].get("machines", ())})
    corpora = [corpus for one in (first, second) for corpus in corpora_of(one["identity"])]
    kept = {name: value for name, value in first.items() if name != "files"}
    exclude_shards, excluded = _exclusions(pair)
    options = first["identity"]["options"] | {"exclude_shards": exclude_shards}
    return kept | {
        "identity": first["identity"] | {"corpus": join_corpora(corpora), "options": options},
        "counts": counts,
        "excluded_shards": excluded,
        "same_bytes": first["same_bytes"] | {"holds": same, "why": why, "machines": machines},
        "certificate": first["certificate"]
        | {
            "errors": worst_of([first["certificate"]["errors"], second["certificate"]["errors"]]),
            "n_sentences": first["certificate"]["n_sentences"] + second["certificate"]["n_sentences"],
            "sentence_ids": None,
        },
    }
