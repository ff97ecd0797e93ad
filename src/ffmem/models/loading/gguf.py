"""Models in .gguf files, as llama.cpp has them: dequantised to float32 safetensors, once."""

import importlib.util
import io
import logging
from contextlib import redirect_stderr
from pathlib import Path

from ffmem.errors import InputError
from ffmem.models.loading.converted import converted, hash_of, place
from ffmem.models.quiet import quiet

log = logging.getLogger("ffmem")


def from_gguf(file: Path) -> Path:
    """A folder with the same model, dequantised to float32 safetensors; converted once, then found in the cache.

    Raises:
        InputError: the packages that read GGUF are missing, or the file cannot be read.
    """
    digest = hash_of(file)
    if not place(file.stem, digest).is_dir():
        _check_packages(file)
    return converted(file.stem, digest, lambda folder: _convert(file, folder))


def _check_packages(file: Path) -> None:
    missing = [name for name in ("gguf", "accelerate") if importlib.util.find_spec(name) is None]
    if missing:
        raise InputError(
            f"reading {file.name} needs the packages gguf and accelerate, and {' and '.join(missing)} "
            f"{'is' if len(missing) == 1 else 'are'} not installed",
            "Expected ffmem with its extra gguf",
            "pip install 'ffmem[gguf]'",
        )


def _convert(file: Path, folder: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    log.warning("converting %s to safetensors, once (about a minute) ...", file.name)
    try:
        # dequantize: otherwise a quantiser stays attached, and there are no plain value matrices
        config = GgufConfig(dequantize=True)
        with quiet(), redirect_stderr(io.StringIO()):  # one of its progress bars asks nobody
            model = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, quantization_config=config)
            model.save_pretrained(folder)
            AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name).save_pretrained(folder)
    except Exception as error:  # whatever its readers meet in damaged files, struct.error among them
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
