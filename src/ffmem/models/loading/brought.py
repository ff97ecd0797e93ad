"""What a model's folder brings beside its weights, used or refused: settings, code, quantisation, adapters."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import transformers

from ffmem.errors import InputError
from ffmem.models.base import ConfigFile
from ffmem.models.loading.converted import hash_of
from ffmem.models.loading.tensors import WeightFiles
from ffmem.models.loading.weight_files import find_weights

ADAPTER = "adapter_config.json"
_QUANTISERS = ("quantize_config.json", "quant_config.json", "hf_quant_config.json", "quantization_config.json")
"""What tools for GPTQ, AWQ and ModelOpt write beside a config that need not name them."""
_LOOSE_ADAPTERS = (
    *("pytorch_adapter.bin", "adapter_model.safetensors", "adapter_model.bin", "adapters.safetensors", "adapters.npz"),
    *("pytorch_lora_weights.safetensors", "pytorch_lora_weights.bin"),
)
_ONLY_ABOUT_CALLS = frozenset(
    {
        *("return_dict", "use_return_dict", "output_hidden_states", "output_attentions", "torchscript", "problem_type"),
        *("gradient_checkpointing", "chunk_size_feed_forward", "_attn_implementation", "_attn_implementation_internal"),
        *("attn_implementation", "_experts_implementation", "experts_implementation", "_flash_attn_2_enabled"),
        *("use_flash_attn", "use_flash_attention_2", "attention_implementation"),
    }
)
"""Fields of a config that decide in what form, in what pieces or by what kernel a model answers, never what it computes."""
_DTYPES = ("float32", "float16", "bfloat16", "float64", "auto", None)


@dataclass(frozen=True)
class Brought:
    """A folder with a model, taken apart."""

    folder: Path
    config: Mapping[str, Any]
    """Its config.json, without what is only about calls."""
    weights: WeightFiles
    code: tuple[Path, ...] = ()
    """Python files that may be run."""
    adapter: Path | None = None
    """The folder of an adapter that is to be merged into the weights."""
    tokenizer: Path = field(default=Path())
    """The folder with the tokenizer."""

    @property
    def has_code(self) -> bool:
        """Whether classes of the folder's own are to be used."""
        return bool(self.code)

    def identity(self) -> dict[str, str]:
        """What tells the model from one with the same files of weights."""
        return {"code_sha256": hash_of(*self.code)} if self.code else {}

    @contextmanager
    def as_transformers_reads_it(self) -> Iterator[Path]:
        """A folder with links to these files alone, so that transformers finds no adapter, copy or setting by itself."""
        with tempfile.TemporaryDirectory(prefix="ffmem-model-") as place:
            # named by its code, since transformers keeps code in a cache by the name of its folder
            view = Path(place) / (f"code_{hash_of(*self.code)[:16]}" if self.code else "model")
            view.mkdir()
            (view / "config.json").write_text(json.dumps(dict(self.config)))
            own = [(file.name, file) for file in (*self.code, *_tokenizer_files(self.tokenizer))]
            for name, file in [*self.weights.links.items(), *own]:
                _link(file.resolve(), view / name)
            yield view


def _tokenizer_files(folder: Path) -> list[Path]:
    """Whatever may belong to a tokenizer: small files that are neither weights nor settings of the model."""
    not_its = ("config.json", "generation_config.json", ADAPTER)
    endings = (".json", ".txt", ".model", ".spm", ".jinja", ".tiktoken")
    return [
        file
        for file in sorted(folder.iterdir())
        if file.name.endswith(endings) and file.name not in not_its and ".index." not in file.name and file.is_file()
    ]


def _link(file: Path, name: Path) -> None:
    try:
        name.symlink_to(file)
    except OSError:  # Windows wants a privilege for it
        try:
            os.link(file, name)
        except OSError:
            shutil.copyfile(file, name)


def take_apart(folder: Path, *, trust_remote_code: bool = False, architecture: str | None = None) -> Brought:
    """A folder's parts, each of which is used.

    Args:
        folder: holds config.json, weights and a tokenizer.
        trust_remote_code: run Python files of the folder that its config names.
        architecture: the architecture to take it for, with a class of transformers, whatever its config says.

    Raises:
        InputError: something in it changes what is computed, and is not understood.
        ModelError: files are damaged or missing.
    """
    config = read_config(folder)
    code = _code(folder, config, trust_remote_code, architecture)
    if architecture is not None:
        config["architectures"] = [architecture]
        named = getattr(transformers, architecture, None)
        if named is not None:  # its own kind of config, since that is what transformers chooses a class by
            config["model_type"] = named.config_class.model_type
    _check_quantisation(folder, config)
    _check_settings(folder, config)
    _check_loose_adapters(folder)
    return Brought(folder, config, find_weights(folder), code, tokenizer=folder)


def read_config(folder: Path) -> ConfigFile:
    """The config.json of a folder, without the settings that are only about calls.

    Raises:
        InputError: it is not a JSON object.
    """
    try:
        config = json.loads((folder / "config.json").read_bytes())
        if not isinstance(config, dict):
            raise ValueError(f"it holds a {type(config).__name__}, not an object")
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(
            f"config.json of {folder} cannot be read: {str(error)[:200]}",
            "Expected the files that save_pretrained writes",
            "Save model and tokenizer into that folder, or download it again",
        ) from error
    return _without_settings(config)


def _without_settings(config: ConfigFile) -> ConfigFile:
    kept = {name: value for name, value in config.items() if name not in _ONLY_ABOUT_CALLS}
    for name in ("dtype", "torch_dtype"):
        # what the weights are read as is asked for; a name that torch does not have would stop the reader
        dtype = kept.get(name)
        if name in kept and (
            not isinstance(dtype, str | None) or str(dtype).removeprefix("torch.") not in map(str, _DTYPES)
        ):
            del kept[name]
    return {
        name: _without_settings(value) if name.endswith("_config") and isinstance(value, dict) else value
        for name, value in kept.items()
    }


def _check_settings(folder: Path, config: ConfigFile) -> None:
    if config.get("pruned_heads"):
        raise InputError(
            f"the config of {folder} names pruned_heads, attention heads to be cut out of the weights",
            "Expected weights without those heads, or with all of them",
            "With the version of transformers that pruned them, load the model, save_pretrained it, and give "
            "that folder; if the "
            'weights hold all heads that are meant: write "pruned_heads": {} into its config.json',
        )


def _code(folder: Path, config: ConfigFile, trusted: bool, architecture: str | None) -> tuple[Path, ...]:
    """The folder's own code, if it may be run; a class of transformers in its place only if one is asked for by name."""
    named = {"config.json": config.get("auto_map"), "tokenizer_config.json": _tokenizer_code(folder)}
    asking = [file for file, found in named.items() if found]
    if not asking:
        config.pop("auto_map", None)
        return ()
    if architecture is not None:
        config.pop("auto_map", None)
        return ()
    files = tuple(sorted(folder.glob("*.py")))
    if not trusted:
        known = next(iter(config.get("architectures") or ()), "LlamaForCausalLM")
        raise InputError(
            f"{' and '.join(asking)} of {folder} name code that comes with the model (auto_map), which may "
            "compute something else than the class of transformers with the same name",
            "Expected a model that transformers runs by itself, or a choice between the two",
            "If you have read that code and trust it: --trust-remote-code (trust_remote_code=True); to take "
            "the class of "
            f"transformers instead: --architecture {known}",
        )
    return files


def _tokenizer_code(folder: Path) -> Any:
    try:
        found = json.loads((folder / "tokenizer_config.json").read_bytes())
    except (OSError, ValueError):  # not there, or told by whoever reads the tokenizer
        return None
    return found.get("auto_map") if isinstance(found, dict) else None


def _check_quantisation(folder: Path, config: ConfigFile) -> None:
    """Quantised weights that config.json does not speak of as transformers expects; `weights.packing` sees the others."""
    nested = [part for part in ("text_config", "llm_config") if (config.get(part) or {}).get("quantization_config")]
    files = [name for name in _QUANTISERS if (folder / name).is_file()]
    told = [f"{part}.quantization_config" for part in nested] + (
        ["compression_config"] if config.get("compression_config") else []
    )
    if config.get("quantization_config") or not (files or told):
        return
    raise InputError(
        f"{', '.join(files + told)} in {folder} says that its weights are quantised, and config.json does not "
        "say how to read them",
        "Expected plain weights, those of bitsandbytes in 8 or 4 bits, or a .gguf file",
        "Use the model that this one was made from; if the weights are plain after all, move that file to "
        "another folder",
    )


def _check_loose_adapters(folder: Path) -> None:
    """Adapters that nothing says how to apply: without their config, of another library, or several."""
    loose = [name for name in _LOOSE_ADAPTERS if (folder / name).is_file()]
    if loose and not (folder / ADAPTER).is_file():
        raise InputError(
            f"{folder} holds an adapter's weights ({', '.join(loose)}) and no {ADAPTER}",
            f"Expected {ADAPTER} of peft beside them, or a model without an adapter",
            "Merge the adapter with the program that made it, and save the whole model; or move the file to "
            "another folder, to "
            "index the model without it",
        )
    if (folder / "head_config.json").is_file():
        raise InputError(
            f"{folder} holds a head of the library adapters (head_config.json)",
            "Expected a model without adapters, or adapters of peft",
            "Move it to another folder, to index the model without it",
        )
    below = sorted(path.parent.name for path in folder.glob(f"*/{ADAPTER}"))
    if below:
        raise InputError(
            f"{folder} has {'an adapter' if len(below) == 1 else f'{len(below)} adapters'} in "
            f"{'a folder' if len(below) == 1 else 'folders'} below it: {', '.join(below[:5])}",
            "Expected one model, or a choice between them",
            f"With an adapter: give {folder / below[0]}; without any: move "
            f"{'it' if len(below) == 1 else 'them'} to another folder",
        )
