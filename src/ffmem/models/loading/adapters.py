"""Adapters of peft (LoRA and its kin), merged into the weights of the model they were trained on, and held to that."""

import json
import logging
import warnings
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from ffmem.errors import InputError, ModelError
from ffmem.extras import extra_module
from ffmem.models.base import ConfigFile
from ffmem.models.loading.brought import ADAPTER
from ffmem.models.loading.converted import hash_of
from ffmem.models.loading.pickled import load_pickled

_WEIGHTS = ("adapter_model.safetensors", "adapter_model.bin")
_SCALE_COEFFICIENTS = ("IA3",)
"""They multiply activations, coefficients among them: merged, they would stand in the values."""
_OWN_START = (True, False, None, "gaussian", "orthogonal")
"""Beginnings of an adapter that leave the model's own weights alone."""
_TOLERANCE = {"float32": 1e-4, "bfloat16": 0.1, "float16": 0.02}
"""Between the model with its adapter beside it and merged, relative; in half precision merging rounds every weight."""


def adapter_config(folder: Path) -> ConfigFile:
    """The adapter_config.json of a folder, of peft and of a kind that can be merged.

    Raises:
        InputError: it is of another library or kind, or cannot be read.
    """
    file = folder / ADAPTER
    try:
        config = json.loads(file.read_bytes())
        if not isinstance(config, dict):
            raise ValueError(f"it holds a {type(config).__name__}, not an object")
    except (OSError, ValueError) as error:
        raise InputError(
            f"{file} cannot be read: {str(error)[:200]}",
            "Expected the file that peft writes",
            "Save the adapter again; or move it to another folder, to index the model without it",
        ) from error
    kind = config.get("peft_type")
    if not isinstance(kind, str):
        raise _refused(file, "is not of peft (it has no peft_type)", "")
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)  # it imports bitsandbytes, which tells of kernels that nobody asked for
    try:
        extra_module("peft", "adapters", f"{folder} holds an adapter ({kind}), which is merged into its model")
    finally:
        logging.disable(disabled)
    from peft import PEFT_TYPE_TO_CONFIG_MAPPING, PeftType

    known: dict[Any, Any] = PEFT_TYPE_TO_CONFIG_MAPPING
    if kind not in PeftType.__members__ or PeftType[kind] not in known:
        raise _refused(file, f"is of a kind that this peft does not know: {kind}", "")
    made = known[PeftType[kind]]
    if made().is_prompt_learning or kind in ("ADAPTION_PROMPT", "XLORA", "POLY"):
        raise _refused(file, f"is of the kind {kind}, which adds to what the model reads or chooses as it reads", "")
    if kind in _SCALE_COEFFICIENTS:
        raise _refused(file, f"is of the kind {kind}, which scales coefficients where no matrix does", "")
    if config.get("layer_replication"):
        raise _refused(file, "replicates layers (layer_replication)", "")
    if not any(
        config.get("init_lora_weights", True) is one or config.get("init_lora_weights") == one for one in _OWN_START
    ):
        raise _refused(
            file,
            f"began with changing the model's own weights (init_lora_weights is {config['init_lora_weights']!r})",
            "Save it with path_initial_model_for_weight_conversion, as peft's docs on that kind say; or ",
        )
    return config


def _refused(file: Path, why: str, first: str) -> InputError:
    mend = f"move {file.name} to another folder, to index the model without the adapter"
    return InputError(
        f"the adapter of {file} {why}",
        "Expected an adapter that can be merged into matrices, such as LoRA",
        first + mend
        if first
        else f"Merge it with the program that made it, if that can, and save the whole model; or {mend}",
    )


def base_of(folder: Path, config: ConfigFile) -> tuple[str, str | None]:
    """The model that an adapter was trained on, and its revision.

    Raises:
        InputError: it is not named.
    """
    name = config.get("base_model_name_or_path")
    if not isinstance(name, str) or not name:
        raise InputError(
            f"{folder / ADAPTER} does not name the model that it belongs to",
            "Expected base_model_name_or_path in it",
            "Write that model's folder or id there, or copy the adapter's files into the model's folder",
        )
    revision = config.get("revision")
    below = folder / name
    return (str(below) if not Path(name).exists() and below.is_dir() else name), (
        revision if isinstance(revision, str) else None
    )


def identity_of(folder: Path, config: ConfigFile) -> dict[str, str]:
    """The kind of an adapter, and the hash of its files."""
    return {"adapter": str(config["peft_type"]), "adapter_sha256": hash_of(folder / ADAPTER, _weights_of(folder))}


def _weights_of(folder: Path) -> Path:
    for name in _WEIGHTS:
        if (folder / name).is_file():
            return folder / name
    raise InputError(
        f"{folder} holds {ADAPTER}, and not the adapter's weights",
        f"Expected {_WEIGHTS[0]} beside it",
        "Copy that file there; or move the config to another folder, to index the model without the adapter",
    )


def merged(module: Any, folder: Path, config: ConfigFile) -> Any:
    """A model with an adapter's weights in its own.

    Raises:
        InputError: the adapter belongs to another model.
        ModelError: the merged model does not compute what the two side by side do.
    """
    from peft import PeftConfig, PeftModel

    found = load_file(_weights_of(folder)) if (folder / _WEIGHTS[0]).is_file() else load_pickled(_weights_of(folder))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # each is looked for below: names that are missing, layers that are tied
        try:
            read = PeftConfig.from_pretrained(str(folder))
            read.inference_mode = True
            read.task_type = None  # which would ask for a head of its own
            beside: Any = PeftModel.from_pretrained(module, str(folder), config=read)
            _check_all_taken(beside, found, folder, read)
            before = _answer(beside)
            whole = beside.merge_and_unload(safe_merge=True)
        except (ValueError, RuntimeError, KeyError, TypeError, AttributeError, NotImplementedError) as error:
            raise InputError(
                f"the adapter in {folder} cannot be merged into its model: "
                f"{(str(error).splitlines() or [''])[0][:200]}",
                f"Expected an adapter that was trained on a {type(module).__name__} of these sizes",
                "Give the model that it was trained on, with as many tokens in its embedding; or merge it "
                "with the program that "
                "made it, and save the whole model",
            ) from error
        after = _answer(whole)
    difference = float((before - after).abs().max() / before.abs().max())
    if not difference <= _TOLERANCE[str(next(iter(whole.parameters())).dtype).removeprefix("torch.")]:
        raise ModelError(
            f"the adapter in {folder} cannot be merged exactly: the model with it applied and with it merged differ by "
            f"{difference:.2g}",
            "Expected the same logits to rounding",
            "Merge it with the program that made it, and save the whole model",
        )
    return whole


def _check_all_taken(beside: Any, found: dict[str, Tensor], folder: Path, config: Any) -> None:
    """Each tensor of the adapter's file stands in the model as it is in the file, and no other was made up."""
    from peft import get_peft_model_state_dict

    taken = get_peft_model_state_dict(beside, save_embedding_layers=False)
    with_embeddings = get_peft_model_state_dict(beside, save_embedding_layers=True)
    taken |= {name: tensor for name, tensor in with_embeddings.items() if name in found}
    heads = ("score", "classifier", "v_head", "qa_outputs")
    wrong = [
        name
        for name, tensor in found.items()
        if (name not in taken and not any(part in heads for part in name.split(".")))
        or (name in taken and not torch.equal(taken[name].to(tensor.dtype), tensor))
    ]
    wrong += [name for name in taken if name not in found]
    if wrong:
        raise InputError(
            f"the adapter in {folder} does not fit its model: {wrong[0]} has no place there, or is missing",
            "Expected an adapter for "
            f"{', '.join(sorted(map(str, config.target_modules or ())))[:100] or 'its modules'}",
            "Give the model that it was trained on",
        )


def _answer(model: Any) -> Tensor:
    """Logits, or final states, for some tokens."""
    device = next(iter(model.parameters())).device
    n_tokens = model.get_input_embeddings().weight.shape[0]
    token_ids = (torch.arange(12, device=device) * 7 + 3)[None] % n_tokens
    more = {"decoder_input_ids": token_ids} if getattr(model.config, "is_encoder_decoder", False) else {}
    with torch.no_grad():
        model.eval()
        found = model(input_ids=token_ids, attention_mask=torch.ones_like(token_ids), **more)
    answer: Tensor = found.logits if hasattr(found, "logits") else found[0]
    return answer.double()
