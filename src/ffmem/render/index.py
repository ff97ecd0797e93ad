"""What an index is, and what was found when it was checked."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ffmem.queries import Highlight
from ffmem.render.cells import trigger_line
from ffmem.render.terminal import called, one_line, tokens, width
from ffmem.store.manifest import Counts, Manifest, Proof
from ffmem.store.paths import read_run
from ffmem.store.reader import Index

if TYPE_CHECKING:
    from ffmem.index.verification.result import Verification

_LONGEST = 60
"""Of an option's value; a list of cells can have thousands."""


def summary(index: Index, highlights: list[Highlight]) -> str:
    """The end of `ffmem index`: what was built, three cells, and what to try next."""
    counts, folder = index.manifest.counts, index.folder
    lines = [
        "",
        f"{index.manifest.identity.model.name} over {index.manifest.identity.corpus.name}",
        f"  layers     {index.n_own_layers}",
        f"  cells      {_amount(index.n_cells, index.cells.whole.n_cells)} ({index.cells.describe()})",
        f"  documents  {counts.n_documents:,}, {counts.n_documents_held_out:,} of them held out{_lines(counts)}",
        f"  sentences  {counts.n_sentences:,} indexed; {counts.n_duplicates:,} repeats counted with their first; "
        f"{counts.n_sentences_held_out:,} held out",
        f"  tokens     {counts.n_tokens:,} indexed",
        f"  speed      {_speed(index)}",
    ]
    lines += [f"  note       {note}" for note in _notes(index.manifest)]
    for highlight in highlights:
        strongest = [trigger for trigger in highlight.cell.triggers[:5] if trigger.sign == 1]
        lines += [
            "",
            f"{highlight.cell.cell}: {highlight.why}{''.join(map(called, highlight.cell.names))}",
            *(trigger_line(one, width()) for one in strongest),
        ]
        lines += [f"  promotes {tokens(highlight.cell.promoted[:10])}"]
    example = highlights[0].cell.cell if highlights else "L0.0"
    last = index.cells.whole_place(index.n_own_layers - 1)
    lines += [
        "",
        "Try next:",
        f"  ffmem info {folder}",
        f"  ffmem cell {folder} {example}",
        f"  ffmem cells {folder} --layer {last} --sort max",
        f"  ffmem verify {folder}",
    ]
    return "\n".join(map(one_line, lines))  # names, too, come from elsewhere


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _amount(n: int, n_all: int) -> str:
    return f"{n:,}" if n == n_all else f"{n:,} of {n_all:,}"


def _speed(index: Index) -> str:
    runs = (read_run(index.folder) or {}).get("runs", [])
    if not runs:
        return "not recorded"
    last = runs[-1]
    if last["n_tokens"]:
        speed = f"{last['tokens_per_s']:,.0f} tokens/s" if last.get("tokens_per_s") else "not recorded"
        return f"{speed}, for the {last['n_tokens']:,} tokens that were left to read" if last.get("resumed") else speed
    earlier = [entry["tokens_per_s"] for entry in runs if entry.get("tokens_per_s")]
    before = f"{earlier[-1]:,.0f} tokens/s in a run before" if earlier else "that of earlier runs is not recorded"
    return f"nothing was left to read in this run; {before}"


def _lines(counts: Counts) -> str:
    n = counts.n_lines
    return f"; read from {n:,} {'line' if n == 1 else 'lines'}" if n else ""


def _notes(manifest: Manifest) -> Iterator[str]:
    counts, excluded = manifest.counts, manifest.excluded_shards
    if excluded:
        ranges = ", ".join(f"{one.first_sentence} to {one.end_sentence - 1}" for one in excluded[:5])
        yield (
            f"{len(excluded):,} {'shard was' if len(excluded) == 1 else 'shards were'} left out: "
            f"{sum(one.n_tokens for one in excluded):,} tokens neither compete nor count (sentences {ranges}"
            f"{', ...' if len(excluded) > 5 else ''})"
        )
    if manifest.certificate.proof is not None:
        yield from manifest.certificate.proof.notes
    if counts.n_undecodable_bytes:
        yield f"{counts.n_undecodable_bytes:,} bytes could not be decoded and became U+FFFD"
    if counts.n_long_sentences:
        yield f"{counts.n_long_sentences:,} sentences were longer than the context: cut into {counts.n_windows:,} windows"
    if counts.n_context_tokens:
        yield f"{counts.n_context_tokens:,} of the tokens are only context before a window's own, and did not compete again"
    if counts.n_sentences_shared:
        yield f"{counts.n_sentences_shared:,} sentences are in more than one of the merged indexes, and compete in each"
    if counts.n_documents_empty:
        yield f"{counts.n_documents_empty:,} documents had no sentence"
    if counts.stopped_by:
        yield f"the corpus was read up to --{counts.stopped_by.replace('_', '-')}"


def info(index: Index) -> str:
    """`ffmem info`."""
    manifest = index.manifest
    identity, model, counts, errors = manifest.identity, manifest.model, manifest.counts, manifest.certificate.errors
    options = ", ".join(
        f"{name} {_short(value)}"
        for name, value in identity.json["options"].items()
        if value is not None and name not in ("dictionary", "patch")  # they have lines of their own
    )
    lines = [
        f"model        {identity.model.name} ({model.family}, {model.activation}{', gated' if model.gated else ''})",
        f"cells        {_amount(index.n_cells, index.cells.whole.n_cells)}: {index.cells.describe()}",
        f"corpus       {identity.corpus.name} ({identity.corpus.kind})",
        f"documents    {counts.n_documents:,}, {counts.n_documents_held_out:,} of them held out{_lines(counts)}",
        f"sentences    {counts.n_sentences:,} indexed, {counts.n_duplicates:,} repeats, "
        f"{counts.n_sentences_held_out:,} held out",
        f"tokens       {counts.n_tokens:,} indexed, {counts.n_tokens_held_out:,} held out",
        *(f"note         {note}" for note in _notes(manifest)),
        f"projection   {manifest.projection}{_borrowed(manifest)}",
        *([f"labels       {', '.join(model.labels)}"] if model.labels else []),
        f"options      {options}",
        f"certificate  sum of coefficients x values + bias = output: {max(errors['ff_sum_errors']):.1e}; "
        f"residual + output: {max(errors['residual_errors']):.1e} (largest relative errors)",
        *(f"dictionary   {one}" for one in _dictionaries(manifest)),
        *(f"patch        {one}" for one in manifest.options.patch),
        f"proof        {_proof(manifest.certificate.proof)}",
        f"bytes        {manifest.same_bytes.why}",
        f"size         {manifest.n_bytes / 1e6:,.1f} MB, format {manifest.format}, ffmem {identity.ffmem}",
    ]
    return "\n".join(map(one_line, lines))  # names, too, come from elsewhere


def _dictionaries(manifest: Manifest) -> Iterator[str]:
    """What each dictionary is, and how well it reconstructs."""
    measured = manifest.certificate.json.get("dictionaries", {})
    for one, attachment in zip(manifest.dictionaries, manifest.options.attachments, strict=True):
        name, k = one.cells.name, f" {one.k}" if one.k else ""
        between = one.reads if one.reads == one.writes else f"{one.reads} to {one.writes}"
        told = f"{name}: {one.architecture} ({one.activation}{k}) of {one.d_ff:,} cells, {between}"
        found = measured.get(name)
        yield (
            told
            + (
                f"; leaves {found['unexplained']:.4f} of the variance unexplained (normalised MSE "
                f"{found['normalised_mse']:.4f}), with {found['n_active']:.1f} cells active a position, over "
                f"{found['n_positions']:,} positions"
                if found
                else ""
            )
            + f"; of {attachment.path}"
        )


def _borrowed(manifest: Manifest) -> str:
    """What values are scored with where the model has no unembedding."""
    why = manifest.certificate.no_scores
    return f", with the embedding: {why}" if why else ""


def _proof(proof: Proof | None) -> str:
    """How the model was held to its own plain call."""
    if proof is None:
        return "none: built by an earlier ffmem; ffmem verify holds it to the model's own call now"
    lengths, errors = proof.lengths, proof.errors
    told = ", ".join(f"{name} {error:.1e}" for name, error in errors.items())
    rows = {"padded": "padded in batches", "equal-length": "in batches of equal length", "alone": "each alone"}
    return (
        f"{len(lengths)} sentences of {min(lengths)} to {max(lengths)} tokens against the model's own call on each alone: "
        f"{told} (largest relative errors); run {rows[proof.batching['rows']]}"
    )


def verification(found: "Verification") -> str:
    """`ffmem verify`."""
    lines = [f"{found.n_files} files and {found.n_arrays} arrays checked"]
    if found.largest_error is not None:
        bits = "the same bits" if found.same_bytes else f"largest relative difference {found.largest_error:.1e}"
        lines.append(
            f"{found.n_triggers:,} triggers and {found.n_comparisons:,} sentence-cell pairs recomputed: {bits}"
        )
        if found.n_sampled:
            lines.append(
                f"{found.n_sampled:,} positions of cells' samples recomputed, and none was left out of these sentences"
            )
        lines.append(
            f"{found.n_alone} sentences run alone by the model's own call on its tokenizer's own output: "
            f"largest relative difference {found.largest_error_alone or 0.0:.1e}"
        )
    lines += [f"WRONG: {problem}" for problem in found.problems] or ["everything is in order"]
    return "\n".join(map(one_line, lines))  # names, too, come from elsewhere
