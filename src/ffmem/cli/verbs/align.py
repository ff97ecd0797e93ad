"""The command that reads word alignments from attention."""

from pathlib import Path
from typing import Annotated

from ffmem import render
from ffmem.analyses.alignment.aligner import require
from ffmem.analyses.alignment.pairs import Cut
from ffmem.cli.app import FLAT, Json, show
from ffmem.cli.options import ModelOptions, Quiet
from ffmem.studies.alignment import experiment
from ffmem.studies.alignment.options import AlignmentOptions, read_material
from ffmem.studies.alignment.output import write_study


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
    words: Cut = "spaces",
    more_words: Cut | None = None,
    out: str | None = None,
    pick: str | None = None,
    options: Annotated[ModelOptions, FLAT] = ModelOptions(),  # noqa: B008 (frozen)
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Find which word translates which, from the cross-attention of every layer and head, by weights and by norms.

    Parameters
    ----------
    model
        An encoder-decoder: a Hugging Face id (or id@revision) or folder.
    source
        A sentence of the source language a line, or source ||| target.
    target
        Their translations, line by line.
    gold
        Gold links, such as 3-4 and 3p5 (possible). Without them an aligner's links are used, as a silver standard.
    base
        The number of the first word in the file of gold links, 0 or 1. Only a file of GIZA++ (.A3.final) says so itself.
    inverse
        The file of gold links has the target word first.
    system
        Links of another system on the same pairs, to compare with; may be repeated.
    system_base
        The number of the first word in those files, 0 or 1.
    drop_bad_links
        Leave out links that point beyond the words of their pair, and say how many. By default such a file is refused.
    more_source
        Further pairs, from which only the aligners learn.
    more_target
        Their translations.
    words
        What a word is: spaces, whatever is between blanks and tabs; marks, the same with punctuation split off, for raw text.
    more_words
        The same for the further pairs, if it differs.
    out
        Folder for the numbers (alignment.json) and for one layer's or head's links (links.talp, words counted from 0).
    pick
        Whose links, as L1:AWI:norms or L1.H2:AWO:weights. By default, the layer with the highest mean norm, by AWI and norms.
    """
    chosen = AlignmentOptions(
        source, target, gold, base, inverse, tuple(system or ()), system_base, drop_bad_links, more_source, more_target,
        words, more_words,
    )  # fmt: skip
    material = read_material(chosen)
    if material.gold is None:
        require("there are no gold links, and no aligner to stand in for them")
    loaded = options.load(model)
    with render.steps(quiet) as listen:
        study, links = experiment.align(
            loaded,
            material.pairs,
            material.gold,
            more=material.more,
            systems=material.systems,
            left_out=material.left_out,
            pick=pick,
            listen=listen,
        )
    if out is not None:
        write_study(Path(out), study, links)
    show(study.to_json() if json else render.alignment(study))
