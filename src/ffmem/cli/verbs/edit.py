"""The verb that changes what a model says, and writes the change as a patch."""

from pathlib import Path
from typing import Annotated, Any

from ffmem import render
from ffmem.analyses.editing.edit import edit as make
from ffmem.analyses.editing.facts import Fact, read_facts
from ffmem.analyses.editing.options import EditOptions
from ffmem.cli.app import FLAT, Count, Json, show
from ffmem.cli.options import ModelName, ModelOptions, Quiet
from ffmem.corpus.registry import open_corpus
from ffmem.errors import InputError
from ffmem.models.controls import split_control
from ffmem.models.patches.file import make_patch, write_patch


def edit(
    model: ModelName,
    prompt: str | None = None,
    new: str | None = None,
    /,
    *,
    out: Path,
    subject: str = "",
    old: str = "",
    paraphrase: tuple[str, ...] = (),
    neighbour: tuple[str, ...] = (),
    facts: Path | None = None,
    corpus: str = "topics",
    side_tokens: Count = 1_000,
    how: Annotated[EditOptions, FLAT] = EditOptions(),  # noqa: B008 (frozen)
    options: Annotated[ModelOptions, FLAT] = ModelOptions(),  # noqa: B008 (frozen)
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Change what a model says: other values in a few cells, written as a small patch, with all that changes beside.

    Parameters
    ----------
    prompt
        What is asked: "Lyon is a city in the country of". Of a masked model, with its mask.
    new
        What the model is to say.
    out
        File of the patch; every verb that loads the model takes it as --patch FILE.
    subject
        What the fact is about, as it stands in the prompt: "Lyon". By default the edit is made at the prompt's last token.
    old
        What is said; by default the model's own first choice.
    paraphrase
        The same in other words, to see whether the new answer follows it. May be given several times.
    neighbour
        The same of another subject, whose answer is the old one and should stay. May be given several times.
    facts
        A file of facts in CounterFact's fields instead of prompt and answer.
    corpus
        Text that says which coefficients come together, and of which every second document is held out to measure on.
    side_tokens
        Tokens of held-out text to measure on; 0: measure only the facts.
    """
    asked = _facts(prompt, new, facts, how, subject=subject, old=old, paraphrases=paraphrase, neighbours=neighbour)
    if not out.parent.is_dir():
        raise InputError(
            f"{out.parent} is no folder", "Expected a folder for the patch", f"Make it: mkdir -p {out.parent}"
        )
    if out.is_dir():
        raise InputError(f"{out} is a folder", "Expected a file for the patch", f"Write --out {out / 'one.patch'}")
    control, source = split_control(model)
    if control is not None:
        raise InputError(
            f"{model} is made of {source} each time that it is loaded, after its patches",
            "Expected a model that is read as it is",
            f"Write {source}",
        )
    documents = open_corpus(corpus)
    documents.settle(out.parent, None)
    loaded = options.load(model)
    say = (lambda _: None) if quiet or json else render.say("editing")
    made = make(
        loaded, asked, documents, how, side_tokens=side_tokens, folder=out.parent / f"{out.name}.moments", progress=say
    )
    write_patch(out, make_patch(loaded, made.edit.changes, how.method, made.asked_for))
    show(made.report.to_json() | {"patch": str(out)} if json else render.edit(made.report, str(out)))


def _facts(prompt: str | None, new: str | None, file: Path | None, how: EditOptions, **more: Any) -> tuple[Fact, ...]:
    """What is to be changed, from a file or from the command line."""
    if file is not None:
        given = [name for name, value in (("PROMPT", prompt), *more.items()) if value]
        if given:
            raise InputError(
                f"--facts {file} is given with {given[0]}",
                "Expected one of them",
                "Leave the prompt and what belongs to it out, or leave --facts out",
            )
        return read_facts(file)
    if prompt is None and how.method == "cell":
        return ()
    if prompt is None or new is None:
        raise InputError(
            "no prompt with a new answer is given" if prompt is None else f"no new answer to {prompt!r} is given",
            "Expected both, or a file of facts",
            'Write: ffmem edit MODEL "Lyon is a city in the country of" "Italy" --subject Lyon --out one.patch',
        )
    return (Fact(prompt, new, **more),)
