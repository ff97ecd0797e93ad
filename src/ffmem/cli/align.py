"""The command that reads word alignments from attention."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from ffmem import render
from ffmem.cli.app import FLAT, Json, app, show
from ffmem.cli.options import ModelOptions
from ffmem.errors import InputError

if TYPE_CHECKING:
    from ffmem.alignment.links import Links
    from ffmem.alignment.pairs import Pair


@app.command
def align(
    model: str,
    source: str,
    target: str | None = None,
    /,
    *,
    gold: str | None = None,
    base: int | None = None,
    inverse: bool = False,
    system: list[str] | None = None,
    system_base: int | None = None,
    more_source: str | None = None,
    more_target: str | None = None,
    words: str = "spaces",
    more_words: str | None = None,
    out: str | None = None,
    pick: str | None = None,
    options: Annotated[ModelOptions, FLAT] = ModelOptions(),  # noqa: B008 (frozen)
    quiet: bool = False,
    json: Json = False,
) -> None:
    """Which word translates which, from the cross-attention of every layer and head: by weights and by norms, with error rates.

    Parameters
    ----------
    model
        An encoder-decoder: a Hugging Face id (or id@revision) or folder.
    source
        A sentence of the source language a line, or source ||| target.
    target
        Their translations, line by line.
    gold
        Links that are right, such as 3-4 and 3p5 (possible). Without them an aligner's links, a silver standard, stand in.
    base
        The number of the first word in the file of gold links, 0 or 1.
    inverse
        The file of gold links has the target word first.
    system
        Links of another system on the same pairs, to stand beside; may be given again.
    system_base
        The number of the first word in those files, 0 or 1.
    more_source
        Further pairs, which only the aligners learn from.
    more_target
        Their translations.
    words
        What a word is: spaces, what stands between white space; marks, with marks cut off, for raw text.
    more_words
        The same of the further pairs, if it is another.
    out
        Folder for the numbers (alignment.json) and for one layer's or head's links (links.talp, words counted from 0).
    pick
        Whose links, as L1:AWI:norms or L1.H2:AWO:weights. By default, the layer with the highest mean norm, by AWI and norms.
    quiet
        Print no progress.
    json
        Print one JSON document.
    """
    from ffmem.alignment.aligner import require
    from ffmem.alignment.pairs import read_pairs

    pairs = read_pairs(source, target, cut=words)  # type: ignore[arg-type]
    right = None if gold is None else _links(gold, "--gold", "--base", base, pairs, inverse)
    systems = [
        (Path(one).name, _links(one, "--system", "--system-base", system_base, pairs, False)) for one in system or ()
    ]
    if more_target is not None and more_source is None:
        raise InputError("--more-target is given without --more-source", "Expected both", "Write --more-source FILE")
    more = [] if more_source is None else read_pairs(more_source, more_target, cut=more_words or words)  # type: ignore[arg-type]
    if right is None:
        require("there are no gold links, and no aligner to take their place")
    from ffmem.alignment.experiment import align as run
    from ffmem.alignment.output import write_study

    loaded = options.load(model)
    with render.steps(quiet) as listen:
        study, links = run(loaded, pairs, right, more=more, systems=systems, pick=pick, listen=listen)
    if out is not None:
        write_study(Path(out), study, links)
    show(study.to_json() if json else render.alignment(study))


def _links(
    path: str, option: str, base_option: str, base: int | None, pairs: "list[Pair]", inverse: bool
) -> "list[Links]":
    from ffmem.alignment.links import read_links

    if base is None:
        raise InputError(
            f"{option} {path} is given without {base_option}",
            "Expected the number of the first word in that file: gold links mostly begin with 1, those of aligners with 0",
            f"Write {base_option} 1 or {base_option} 0",
        )
    return read_links(path, pairs, base=base, inverse=inverse)
