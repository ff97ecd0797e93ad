"""The Hugging Face hub: which files of a repository are needed, and what to do when they cannot be fetched."""

import re
from fnmatch import fnmatch
from pathlib import Path

import huggingface_hub
from huggingface_hub import errors as hub_errors

from ffmem.errors import FfmemError, InputError

ACCEPTED = "Expected a Hugging Face id, a folder, a .gguf file, fairseq:FOLDER, reference, smollm2 or minilm"

_SMALL_FILES = ("*.json", "*.model", "*.txt", "*.jinja", "*.spm")
"""Config and tokenizer; nothing that is code."""
_WEIGHTS = "model.safetensors"
_SHARDS = "model-*-of-*.safetensors"
_PICKLED = "pytorch_model.bin"
_PICKLED_SHARDS = "pytorch_model-*-of-*.bin"
_ADAPTERS = ("adapter_model.safetensors", "adapter_model.bin")
_TOKENIZERS = (
    *("tokenizer.json", "tokenizer.model", "spiece.model", "sentencepiece.bpe.model", "tekken.json", "vocab.json"),
    *("vocab.txt", "source.spm"),
)


def from_hub(model: str, revision: str | None = None, *, code: bool = False) -> Path:
    """The folder with a hub model's files: those that are needed, downloaded unless they are in the hub's own cache.

    Args:
        model: its id, or id@revision.
        revision: branch, tag or commit.
        code: whether its Python files are needed, too.

    Raises:
        InputError: it cannot be found, or holds no model that can be loaded.
    """
    model, revision = _split(model, revision)
    try:
        files = _needed(_listing(model, revision), model, code)
        return Path(huggingface_hub.snapshot_download(model, revision=revision, allow_patterns=files))
    except FfmemError:
        raise
    except Exception as error:
        # what the network can do is raised in the types of an HTTP library that is not ours to name
        if isinstance(error, (OSError, ValueError, LookupError)) or _is_of_the_hub(error):
            raise _explained(error, model, revision) from error
        raise


def _split(model: str, revision: str | None) -> tuple[str, str | None]:
    name, at, short = model.partition("@")
    if not at:
        return model, revision
    if revision is not None:
        raise InputError(
            f"two revisions are given: {model!r} and --revision {revision}",
            "Expected one",
            "Leave --revision out",
        )
    return name, short


def _listing(model: str, revision: str | None) -> list[str]:
    """The files of a repository; without a network, as they were when it was downloaded."""
    try:
        return huggingface_hub.HfApi().list_repo_files(model, revision=revision)
    except (hub_errors.GatedRepoError, hub_errors.RepositoryNotFoundError, hub_errors.RevisionNotFoundError):
        raise
    except Exception as error:
        if not _is_of_the_hub(error):
            raise
        try:
            return [file.path for file in huggingface_hub.get_cached_repo_tree(model, revision=revision)]
        except hub_errors.CachedRepoTreeNotFoundError:
            raise error from None


def _needed(files: list[str], model: str, code: bool) -> list[str]:
    """The files to download: of the weights, one form; no subfolders, which hold other forms (onnx/, original/)."""
    adapters = [file for file in files if file.endswith("/adapter_config.json")]
    if adapters:
        raise InputError(
            f"the hub repository {model} has adapters in folders below it: {', '.join(adapters[:3])}",
            "Expected one model, or a choice between them",
            f"Download the one you want, hf download {model} --local-dir FOLDER, and give FOLDER, or the folder "
            "of the adapter in it",
        )
    small = [file for file in files if "/" not in file and any(fnmatch(file, pattern) for pattern in _SMALL_FILES)]
    small += [file for file in files if code and file.endswith(".py")]
    if "adapter_config.json" in files:
        small += [file for file in files if file in _ADAPTERS]
        if not any(_is_weights(file) for file in files):
            return small  # its model is elsewhere
    if "config.json" not in files:
        raise InputError(
            f"the hub repository {model} holds no config.json",
            "Expected a model as save_pretrained writes it",
            "Use another repository of this model; for a .gguf file, download it and give its path",
        )
    weights = _weights(files, model)
    if not set(_TOKENIZERS) & set(files):
        raise InputError(
            f"the hub model {model} has no tokenizer",
            "Expected a tokenizer.json beside its weights",
            "Save its model and the tokenizer it was trained with into one folder with save_pretrained, and give that",
        )
    return weights + [file for file in small if not file.endswith(".index.json")]


def _is_weights(file: str) -> bool:
    return file in (_WEIGHTS, _PICKLED) or fnmatch(file, _SHARDS) or fnmatch(file, _PICKLED_SHARDS)


def _weights(files: list[str], model: str) -> list[str]:
    """The files of one form of the weights, with their index; safetensors if there are any."""
    index = f"{_WEIGHTS}.index.json"
    shards = [file for file in files if fnmatch(file, _SHARDS)]
    if _WEIGHTS in files and shards and index in files:
        raise InputError(
            f"the hub model {model} has two sets of weights: {_WEIGHTS}, and {len(shards)} parts",
            "Expected one",
            f"Download the one you want, hf download {model} --exclude PATTERN --local-dir FOLDER, and give FOLDER",
        )
    if _WEIGHTS in files:
        return [_WEIGHTS]
    if shards:
        return [*shards, *(file for file in files if file == index)]
    if _PICKLED in files:
        return [_PICKLED]
    pickled = [file for file in files if fnmatch(file, _PICKLED_SHARDS)]
    if pickled:
        return [*pickled, *(file for file in files if file == f"{_PICKLED}.index.json")]
    others = [file for file in files if file.endswith((".bin", ".pt", ".pth", ".h5", ".msgpack"))]
    raise InputError(
        f"the hub model {model} has no weights in safetensors or .bin (it has "
        f"{', '.join(others[:2]) or 'none at all'})",
        f"Expected {_WEIGHTS} or {_PICKLED}: other files belong to other libraries",
        "Use a repository of this model in the format of transformers; for a .gguf file, download it and give its path",
    )


def _is_of_the_hub(error: Exception) -> bool:
    """Whether an error came from the network, whatever library the hub's client speaks HTTP with."""
    return isinstance(error, OSError) or re.match(r"http|huggingface_hub", type(error).__module__) is not None


def _explained(error: Exception, model: str, revision: str | None) -> InputError:
    """The error in our words; the order matters, since some of these types are kinds of others."""
    if isinstance(error, hub_errors.HFValidationError):
        return InputError(
            f"no model is called {model!r}: it is neither a file nor a folder here, and a hub id cannot look like that",
            ACCEPTED,
            "Check the path; a hub id looks like HuggingFaceTB/SmolLM2-135M",
        )
    if isinstance(error, hub_errors.GatedRepoError):
        return InputError(
            f"the hub model {model} is gated: its owner requires you to accept conditions first",
            "Expected an account that has access",
            "Accept them on the model's page, then run: hf auth login",
        )
    if isinstance(error, hub_errors.RevisionNotFoundError):
        return InputError(
            f"the hub model {model} has no revision {revision!r}",
            "Expected a branch, a tag or a commit",
            "Leave --revision out to take the newest",
        )
    if isinstance(error, hub_errors.RepositoryNotFoundError):
        return InputError(
            f"there is no model {model!r}, neither as a file or folder here nor on the hub (or it is private)",
            ACCEPTED,
            "Check the name; for a private model run: hf auth login",
        )
    if isinstance(error, hub_errors.IncompleteSnapshotError):
        return InputError(
            f"only a part of {model} was downloaded, and the hub cannot be reached for the rest",
            "Expected the whole model in the hub's cache, or a network",
            "Run the same command with a network; it fetches what is missing",
        )
    if "No space left" in str(error) or "not enough free disk space" in str(error).lower():
        return InputError(
            f"the disk has no space for {model}",
            "Expected free space in the hub's cache",
            "Free some space, or name another folder: export HF_HOME=...",
        )
    if _broke_off(error):
        return InputError(
            f"the download of {model} broke off: {_first_line(error)}",
            "Expected a connection that holds until the last byte",
            "Run the same command again; files that came whole are kept",
        )
    return InputError(
        f"{model!r} is not a file or folder here, and the hub cannot be reached to look for it there",
        ACCEPTED,
        "Check the path or the network; a model that was downloaded before is also found offline",
    )


def _broke_off(error: Exception) -> bool:
    """Whether the hub answered, and then stopped: a protocol or read error, or a file of the wrong size."""
    return "Consistency check failed" in str(error) or type(error).__name__ in (
        "RemoteProtocolError",
        "ReadError",
        "ReadTimeout",
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
