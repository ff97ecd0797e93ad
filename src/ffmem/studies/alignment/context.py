"""What the experiments of the study share: a model, pairs of sentences, and the results."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ffmem.analyses.alignment.aligner import require
from ffmem.analyses.alignment.extract import check_has_cross_attention
from ffmem.errors import InputError
from ffmem.index.identity import hashes_of
from ffmem.models.controls import as_control
from ffmem.models.transformer import Transformer
from ffmem.studies.alignment.experiment import Material
from ffmem.studies.alignment.options import AlignmentOptions, hash_of, read_material
from ffmem.studies.controls import CONTROLS
from ffmem.studies.results import FOLDER, Results, begin_results
from ffmem.studies.study import StageListener, Subject

NAME = "alignment"
_MEASURED = 2
"""Goes up when experiments keep something else, so that older results are measured anew."""


@dataclass(frozen=True)
class Context:
    """A model that translates, what it is to align, and the results."""

    results: Results
    model: Transformer
    material: Material
    options: AlignmentOptions
    load: Callable[[], Transformer]
    """Loads the model once more, for a control that is made of it."""


def begin(subject: Subject, options: AlignmentOptions, progress: StageListener) -> Context:
    """Read the files, load the model, and find the results of earlier runs.

    Raises:
        InputError: the files are not as they are to be, the model has no cross-attention, there is neither a file of gold links
            nor an aligner, or the folder has results of something else.
    """
    if subject.corpora:
        raise InputError(
            f"the study {NAME} is given the corpus {subject.corpora[0].name}",
            "Expected none: it reads pairs of sentences from files of its own",
            "Write --source FILE --target FILE in its place",
        )
    material = read_material(options)
    if material.gold is None:
        require("there are no gold links, and no aligner to take their place")
    model = subject.model()
    check_has_cross_attention(model)
    folder = subject.folder if subject.index is None else subject.index.folder / FOLDER
    results = _begin_results(folder, model, material, options, in_folder_itself=subject.index is None)
    return Context(results, model, material, options, subject.model)


def untrained(shared: Context, _: object) -> Context:
    """The same experiment on the model with nothing learned, on the same pairs."""
    model = as_control(shared.load(), "untrained")
    folder = shared.results.folder / CONTROLS / "untrained"
    results = _begin_results(folder, model, shared.material, shared.options, in_folder_itself=False)
    return Context(results, model, shared.material, shared.options, shared.load)


def _begin_results(
    folder: Path, model: Transformer, material: Material, options: AlignmentOptions, *, in_folder_itself: bool
) -> Results:
    names = (Path(one).name for one in (options.source, options.target) if one is not None)
    identity = {
        "model": {"name": model.facts.name, **hashes_of(model)},
        "corpus": {"kind": "pairs", "name": ", ".join(names), "sha256": hash_of(material)},
    }
    header = {"study": NAME, "index": identity, "options": options.to_json()}
    # neither paths nor what is picked decide any number; an aligner that is installed later adds some
    decides = {
        "study": NAME,
        "model": hashes_of(model),
        "pairs": identity["corpus"]["sha256"],
        "aligners": list(material.aligners),
        "measured": _MEASURED,
    }
    return begin_results(folder, header, decides, in_folder_itself=in_folder_itself)
