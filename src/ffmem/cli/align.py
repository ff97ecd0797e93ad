"""The command that reads word alignments from attention."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from ffmem import render
from ffmem.cli.app import FLAT, Json, app, show
from ffmem.cli.options import ModelOptions
from ffmem.errors import InputError

if TYPE_CHECKING:
    from ffmem.analyses.alignment.links import LeftOut, Links


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
    drop_bad_links: bool = False,
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
        The number of the first word in the file of gold links, 0 or 1. Only a file of GIZA++ (.A3.final) says it itself.
    inverse
        The file of gold links has the target word first.
    system
        Links of another system on the same pairs, to stand beside; may be given again.
    system_base
        The number of the first word in those files, 0 or 1.
    drop_bad_links
        Leave links out that point beyond the words of their pair, and say how many. By default such a file is refused.
    more_source
        Further pairs, which only the aligners learn from.
    more_target
        Their translations.
    words
        What a word is: spaces, what stands between blanks and tabs; marks, with marks cut off, for raw text.
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
    from ffmem.analyses.alignment.aligner import require
    from ffmem.analyses.alignment.pairs import read_pairs

    pairs = read_pairs(source, target, cut=words)  # type: ignore[arg-type]
    left_out: list[LeftOut] = []

    def links_of(path: str, base_option: str, first: int | None, turned: bool) -> "list[Links]":
        from ffmem.analyses.alignment.links import read_link_file

        file = read_link_file(
            path, pairs, base=first, inverse=turned, drop_bad_links=drop_bad_links, base_option=base_option
        )
        left_out.extend([] if file.left_out is None else [file.left_out])
        return file.links

    right = None if gold is None else links_of(gold, "--base", base, inverse)
    systems = [(Path(one).name, links_of(one, "--system-base", system_base, False)) for one in system or ()]
    if more_target is not None and more_source is None:
        raise InputError("--more-target is given without --more-source", "Expected both", "Write --more-source FILE")
    more = [] if more_source is None else read_pairs(more_source, more_target, cut=more_words or words)  # type: ignore[arg-type]
    if right is None:
        require("there are no gold links, and no aligner to take their place")
    from ffmem.studies.alignment.experiment import align as run
    from ffmem.studies.alignment.output import write_study

    loaded = options.load(model)
    with render.steps(quiet) as listen:
        study, links = run(
            loaded, pairs, right, more=more, systems=systems, left_out=left_out, pick=pick, listen=listen
        )
    if out is not None:
        write_study(Path(out), study, links)
    show(study if json else render.alignment(study))
