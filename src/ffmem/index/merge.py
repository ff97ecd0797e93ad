"""Two indexes of one model over different corpora -> the index over both, without the model."""

import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from ffmem.errors import InputError
from ffmem.index.certificate import worst_of
from ffmem.index.finish import write_index, write_manifest
from ffmem.index.identity import hash_of, join_corpora, without_exclusions
from ffmem.index.inherit import copy_promoted, n_shards, states_of
from ffmem.index.state.layers import Shape
from ffmem.index.state.states import save_state, state_path
from ffmem.index.text.text_spool import TextSpool
from ffmem.index.text.writer import TextCounts
from ffmem.json_values import JsonObject
from ffmem.options import format_shards
from ffmem.store.fields import ACTIVE_SENTENCES
from ffmem.store.files import disk_errors, write_json
from ffmem.store.identity import differences
from ffmem.store.keys import NO_TOKEN
from ffmem.store.manifest import CorpusIdentity
from ffmem.store.paths import StorePaths, locked
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
        (open_index(first), open_index(second)), key=lambda index: hash_of(index.manifest.identity.corpus.json)
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
        options = pair[0].manifest.options
        shape = Shape(
            pair[0].cells.layers,
            pair[0].n_signs,
            options.top,
            options.per_sentence,
            quadrants=options.quadrants,
            sample=options.sample,
            active_sentences=all(index.manifest.has_active_sentences for index in pair),
        )
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
            {n: v for n, v in without_exclusions(one.manifest.identity.json).items() if n != "corpus"}
            for one in (first, second)
        )
    )
    if told:
        raise InputError(
            f"{first.folder} and {second.folder} cannot be merged: {told}",
            "Expected indexes of the same model with the same options, over different corpora",
            "Build one of them again with the options of the other",
        )
    ours, theirs = ({_content(c): c.name for c in one.manifest.identity.corpora} for one in (first, second))
    both = [name for content, name in ours.items() if content in theirs]
    if both:
        raise InputError(
            f"{first.folder} and {second.folder} both hold the corpus {both[0]}",
            "Expected indexes over different corpora: what is in both would be counted twice",
            "Merge indexes that share no corpus",
        )
    n_tokens = sum(one.manifest.counts.n_all_tokens for one in (first, second))
    if n_tokens >= NO_TOKEN:
        raise InputError(
            f"{first.folder} and {second.folder} have {n_tokens:,} tokens together",
            f"Expected at most {NO_TOKEN - 1:,}: token indices are stored in 32 bits",
            "Keep them apart",
        )


def _content(corpus: CorpusIdentity) -> str:
    return hash_of({name: value for name, value in corpus.json.items() if name != "name"})


def _check_empty(paths: StorePaths) -> None:
    others = sorted(p.name for p in paths.folder.iterdir() if p.name not in {"lock", "work"})
    if others:
        raise InputError(
            f"{paths.folder} is not empty (it holds {', '.join(others[:3])})",
            "Expected a new or empty folder",
            "Choose another folder with --out",
        )


def _merge_text(pair: list[Index], folder: Path) -> JsonObject:
    vocabulary = pair[0].text.token_strings(range(pair[0].manifest.model.d_vocab))
    counts = TextCounts()
    with TextSpool(folder, vocabulary) as spool:
        n_shared = 0
        for index in pair:
            _add(counts, index.manifest.counts.json)
            n_shared = spool.take(StorePaths(index.folder).index, index.manifest.counts.n_sentences)
        counts.n_sentences_shared += n_shared
        counts.n_held_out_also_indexed = spool.finish(counts.n_sentences)
    return dict(counts.__dict__)


def _add(counts: TextCounts, more: Mapping[str, Any]) -> None:
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
        offset += index.manifest.counts.n_tokens
    return states


def _exclusions(pair: list[Index]) -> tuple[str | None, list[dict[str, int]]]:
    """The shards that were left out of either, as the option and as the manifest tell them: those of the second follow."""
    shards: list[int] = []
    told: list[dict[str, int]] = []
    first_shard = first_sentence = 0
    for index in pair:
        for one in index.manifest.excluded_shards:
            moved = {"shard_id": first_shard, "first_sentence": first_sentence, "end_sentence": first_sentence}
            told.append({**one.json, **{name: getattr(one, name) + offset for name, offset in moved.items()}})
            shards.append(told[-1]["shard_id"])
        first_shard += n_shards(index)
        first_sentence += index.manifest.counts.n_sentences
    return format_shards(shards), told


def _manifest(pair: list[Index], counts: JsonObject) -> JsonObject:
    first, second = (index.manifest for index in pair)
    ours, theirs = first.same_bytes, second.same_bytes
    same = ours.holds and theirs.holds and ours.processor == theirs.processor
    why = ours.why if same else "merged from indexes that were not built alike: equal to rounding only"
    machines = sorted({*ours.machines, *theirs.machines})
    corpora = [corpus.json for one in (first, second) for corpus in one.identity.corpora]
    exclude_shards, excluded = _exclusions(pair)
    options = first.identity.json["options"] | {"exclude_shards": exclude_shards}
    certificates = first.certificate, second.certificate
    both_count = first.has_active_sentences and second.has_active_sentences
    return {
        **{name: value for name, value in first.json.items() if name not in ("files", "statistics")},
        **({"statistics": [ACTIVE_SENTENCES]} if both_count else {}),
        "identity": {**first.identity.json, "corpus": join_corpora(corpora), "options": options},
        "counts": counts,
        "excluded_shards": excluded,
        "same_bytes": {**ours.json, "holds": same, "why": why, "machines": machines},
        "certificate": {
            **first.certificate.json,
            "errors": worst_of([one.errors for one in certificates]),
            "n_sentences": sum(one.json["n_sentences"] for one in certificates),
            "sentence_ids": None,
        },
    }
