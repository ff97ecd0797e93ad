"""The one table of architectures, and the one way to load a model."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any, get_args

import torch
import transformers

from ffmem.errors import FfmemError, InputError, ModelError
from ffmem.foreign import foreign_errors, is_out_of_memory
from ffmem.models import families
from ffmem.models.base import CallArguments, Family, Origin
from ffmem.models.controls import as_control, split_control
from ffmem.models.identity_proof import prove_identities
from ffmem.models.loading.accounting import check_read, check_taken, check_tied, check_types, drop_poolers
from ffmem.models.loading.adapters import adapter_config, base_of, identity_of, merged
from ffmem.models.loading.brought import ADAPTER, Brought, take_apart
from ffmem.models.loading.placement import check_in_place, check_spreadable, offloading, spreading, take_spread
from ffmem.models.loading.same_weights import check_same
from ffmem.models.loading.sources import model_name, resolve
from ffmem.models.loading.tokenizers import TOKENIZER_FILES, check_vocabulary, read_tokenizer
from ffmem.models.loading.weight_files import find_weights, has_weights
from ffmem.models.loading.weights import packing, take_packed_weights
from ffmem.models.patches.file import apply_files
from ffmem.models.proof import prove_on_samples
from ffmem.models.quiet import quiet
from ffmem.models.softmax_layer import SoftmaxLayer
from ffmem.models.streaming.loading import check_streamed, unconverted
from ffmem.models.streaming.weights import StreamedWeights
from ffmem.models.structure.admit import drop_towers, family_of_structure
from ffmem.models.transformer import Transformer
from ffmem.options import Dtype, Quantize

FAMILIES: tuple[Family, ...] = tuple(
    import_module(f"{families.__name__}.{file.name}").FAMILY for file in iter_modules(families.__path__)
)
"""Every file of the folder ``families``: a new family is one file there."""

_LOADED_AS = {"BertForPreTraining": "BertForMaskedLM"}
"""Architectures that are loaded with one of their heads alone."""


_LEFT_OUT = {"WhisperForCausalLM": "model.encoder."}
"""What their weights begin with of which only a part is loaded: what hears, not what writes."""


def _by_architecture() -> dict[str, Family]:
    """The family of each architecture."""
    table: dict[str, Family] = {}
    for family in FAMILIES:
        for architecture in family.architectures:
            if architecture in table:
                raise RuntimeError(
                    f"{architecture} is named by two families: {table[architecture].name}, {family.name}"
                )
            table[architecture] = family
    return table


_BY_ARCHITECTURE = _by_architecture()


def load_model(
    model: str | Path,
    *,
    dtype: Dtype = "float32",
    device: str = "cpu",
    revision: str | None = None,
    quantize: Quantize = "no",
    trust_remote_code: bool = False,
    architecture: str | None = None,
    proved: bool = True,
    patches: Sequence[str | Path] = (),
    model_memory: int | None = None,
    device_map: str | None = None,
) -> Transformer:
    """A model seen as layers of keys and values, in eval mode, without gradients.

    Args:
        model: a Hugging Face id or folder, a ``.gguf`` file, ``fairseq:FOLDER``, ``smollm2`` or ``minilm``; or the folder of
            an adapter of peft, which names its model; or ``untrained:`` or ``shuffled:`` before any of these, for a model that
            a finding is held against (see controls.py).
        dtype: number type of its weights. Weights stored as float32 stay memory-mapped, so that processes share them.
        device: where it runs: "cpu", "cuda", ...
        revision: of a hub model.
        quantize: pack plain weights into 8 or 4 bits. Keys and values are then what the packed weights stand for.
        trust_remote_code: run Python code that comes with the model, where its config asks for that.
        architecture: the class of transformers to load it with, whatever its config says.
        proved: hold it to its own plain call on a few sentences (see proof.py) before it is given out; False where the caller
            does so on sentences of its own, or has the proof of the same model.
        patches: files that `ffmem edit` wrote, applied one after the other before anything else is done; the identity of the
            model names each by its hash.
        model_memory: most bytes that its weights may take where it runs; those of a larger model are brought when they are
            read. None: it is held whole.
        device_map: spread it over devices of that kind: "auto", or the most memory that its weights may take on each, such
            as "0=60GB,1=60GB,cpu=100GB"; see loading/placement.py.

    Raises:
        InputError: it cannot be found, its architecture is not known (the message lists those that are), something beside
            its weights changes what it computes and is not understood, or a patch was made of other weights.
        ModelError: its files lack weights, or have shapes that its family cannot have, or the proof fails.
    """
    for name, value, choices in (("dtype", dtype, get_args(Dtype)), ("quantize", quantize, get_args(Quantize))):
        if value not in choices:
            raise InputError(f"{name} is {value!r}", f"Expected one of: {', '.join(choices)}", f"Use {choices[0]}")
    if architecture is not None and architecture not in _BY_ARCHITECTURE and not hasattr(transformers, architecture):
        raise InputError(
            f"--architecture is {architecture!r}",
            f"Expected one of: {', '.join(sorted(_BY_ARCHITECTURE))}",
            "Leave --architecture out, or write one of these",
        )
    control, source = split_control(str(model))
    with foreign_errors(str(model)):
        brought = find_parts(source, revision, trust_remote_code=trust_remote_code, architecture=architecture)
        if model_memory is not None:
            check_streamed(control, patches, quantize, brought.adapter)
        loaded = _load(model_name(source), brought, dtype, device, quantize, _Room(model_memory, device_map))
        for reason, holds in {
            "--patch changes them": bool(patches),
            f"{control}: changes them": control is not None,
            "its attention uses them without running what holds them": any(
                isinstance(loaded.layer(place), SoftmaxLayer) for place in range(loaded.facts.n_layers)
            ),
        }.items():
            if holds:
                check_in_place(loaded.module, loaded.facts.name, reason)
        apply_files(loaded, patches)
        if proved:
            prove_on_samples(loaded)
        # how a model may be run is no matter of its weights, and rounding grows in shuffled ones
        if control is not None:
            loaded = as_control(loaded, control)
        if proved:
            loaded.identity_errors = prove_identities(loaded)
        return loaded


@dataclass(frozen=True)
class _Room:
    """Where weights are to be: see `load_model`."""

    model_memory: int | None
    device_map: str | None


def _load(name: str, brought: Brought, dtype: Dtype, device: str, quantize: Quantize, room: _Room) -> Transformer:
    """The model of some parts."""
    folder = brought.folder
    with quiet(), brought.as_transformers_reads_it() as view:
        config = _read(transformers.AutoConfig, view, folder, "config.json", brought.has_code)
        architecture, family = _family_of(config, brought)
        _check_direction(config, family, folder)
        packed = packing(config, str(folder), quantize, device)
        if packed and room.model_memory is not None:
            check_streamed(None, (), "8bit", None)
        spread = {} if room.device_map is None else spreading(room.device_map, device)
        if spread:
            check_spreadable(name, by_structure=family is None, packed=bool(packed), adapter=bool(brought.adapter))
        if packed and brought.adapter:
            raise _adapter_on_packed(brought.adapter, quantize)
        if not packed:
            check_types(folder, brought.weights)
        tokenizer = read_tokenizer(view, brought.tokenizer, trust_remote_code=brought.has_code)
        loader = _loader(config, architecture, family, brought)
        sparing = room.model_memory is not None
        with unconverted(sparing) as types:
            module, unused = _read_weights(loader, view, brought, dtype, packed, spread, sparing=sparing)
        if not brought.has_code:  # a class of its own is what was trusted
            _check_class(module, config, architecture, folder)
    if hasattr(config, "_experts_implementation"):
        # the loop that `MixtureLayer` repeats, so that a watch changes no bit
        module.set_experts_implementation("eager")
    if packed:  # the weights are on their device already, and transformers would refuse to move them
        take_packed_weights(module, getattr(torch, dtype))
    identity = brought.identity()
    if brought.adapter:
        adapter = adapter_config(brought.adapter)
        identity |= identity_of(brought.adapter, adapter)
        module = merged(module, brought.adapter, adapter)
    if room.model_memory is not None:
        dtypes = {address: one for address, (one, _) in types.items()}
        StreamedWeights(module, torch.device(device), room.model_memory, dtypes, getattr(torch, dtype), name)
    elif not packed and not spread:
        module = module.to(device)
    module = module.eval().requires_grad_(False)
    structure = None
    if family is None:
        structure = family_of_structure(name, module, tokenizer, packed=bool(packed))
        unused, family = unused | drop_towers(module, structure), structure.family
    loaded = Transformer(name, family, module, tokenizer)
    loaded.structure = structure
    loaded.origin = Origin(identity, unused, brought.weights.not_read)
    check_vocabulary(loaded)
    return loaded


def find_parts(
    model: str, revision: str | None, *, trust_remote_code: bool = False, architecture: str | None = None
) -> Brought:
    """The parts of a model, whose adapter may lie beside it or name it.

    Raises:
        InputError: see `load_model`.
    """
    folder = resolve(model, revision, code=trust_remote_code)
    if not (folder / ADAPTER).is_file():
        return take_apart(folder, trust_remote_code=trust_remote_code, architecture=architecture)
    config = adapter_config(folder)
    whole = has_weights(folder)
    name, base_revision = (str(folder), None) if whole else base_of(folder, config)
    if whole:
        _check_unmerged(folder, str(config.get("base_model_name_or_path") or ""))
    base = folder if name == str(folder) else resolve(name, base_revision, code=trust_remote_code)
    if base != folder and (base / ADAPTER).is_file():
        raise InputError(
            f"the adapter in {folder} belongs to {name}, which has an adapter itself",
            "Expected a model without an adapter below it",
            f"Merge that one first with peft, save the whole model, and write its folder into {folder / ADAPTER}",
        )
    brought = take_apart(base, trust_remote_code=trust_remote_code, architecture=architecture)
    own_tokenizer = base != folder and any((folder / file).is_file() for file in TOKENIZER_FILES)
    return replace(brought, adapter=folder, tokenizer=folder if own_tokenizer else base)


def _check_unmerged(folder: Path, named: str) -> None:
    """A folder with weights and an adapter may hold the merged model: not if its weights are those of the adapter's model."""
    base = Path(named)
    if not named or not base.is_dir() or base.resolve() == folder.resolve() or not has_weights(base):
        return
    try:
        check_same(folder, find_weights(folder), find_weights(base))
    except InputError as error:
        raise InputError(
            f"{folder} holds an adapter, and its weights are not those of {base}, the model that the adapter belongs to",
            "Expected that model's weights, or no adapter: perhaps it is merged into these already",
            f"If it is merged: move {ADAPTER} to another folder; if not: give the adapter in a folder of its own",
        ) from error


def _adapter_on_packed(adapter: Path, quantize: Quantize) -> InputError:
    return InputError(
        f"the adapter in {adapter} cannot be merged into weights of 8 or 4 bits",
        "Expected plain weights to merge it into",
        "Leave --quantize out"
        if quantize != "no"
        else f"Write the folder or id of the unquantised model into base_model_name_or_path of {adapter / ADAPTER}",
    )


def _check_class(module: Any, config: Any, architecture: str, folder: Path) -> None:
    """Refuse a model of another class than its config names: transformers chooses by the model type, the family by the name."""
    expected = _LOADED_AS.get(architecture, architecture)
    found = type(module).__name__
    if found != expected:
        raise InputError(
            f"the config of {folder} names the architecture {architecture}, and transformers runs its model type "
            f"{config.model_type!r} as {found}",
            f"Expected both to be of one kind: {expected} is read by other rules than {found} may need",
            f'Write the model type of {expected} into its config.json, or "architectures": ["{found}"] if that is what it is',
        )


def _check_direction(config: Any, family: Family | None, folder: Path) -> None:
    """Encoders that are to be decoders, and decoders that do not know how to begin."""
    if getattr(config, "is_encoder_decoder", False) and not isinstance(
        getattr(config, "decoder_start_token_id", None), int
    ):
        raise InputError(
            f"the config of {folder} has no decoder_start_token_id",
            "Expected the token that the decoder begins with; in T5 and Marian it is that of the padding",
            f'Write "decoder_start_token_id": {config.pad_token_id or 0} into its config.json, if that is '
            "what it was trained with",
        )
    for name in ("is_decoder", "add_cross_attention"):
        if (
            family is not None
            and not family.causal
            and not getattr(config, "is_encoder_decoder", False)
            and getattr(config, name, False)
        ):
            raise InputError(
                f"{name} is true in the config of {folder}: this encoder is one half of another model",
                f"Expected an encoder that sees a whole sentence, as {family.name} does",
                f'Use the encoder that it was made from; if it does stand alone: write "{name}": false into '
                "its config.json",
            )


def _family_of(config: Any, brought: Brought) -> tuple[str, Family | None]:
    """The architecture of a model, and its family, if a file names it; None where it goes by its structure."""
    named = config.architectures or ()
    for architecture in named:
        if architecture in _BY_ARCHITECTURE:
            return architecture, _BY_ARCHITECTURE[architecture]
    for architecture in named:
        if brought.has_code or hasattr(transformers, architecture):
            return architecture, None
    found = ", ".join(named) or f"none (model type {config.model_type})"
    raise InputError(
        f"the architecture of {brought.folder} is not known: {found}",
        f"Expected a class of transformers {transformers.__version__}, or of the folder's own code",
        "Install a newer version of transformers, or write the class that the model was saved from into its config.json: "
        '"architectures": ["LlamaForCausalLM"]',
    )


def _loader(config: Any, architecture: str, family: Family | None, brought: Brought) -> Any:
    """The class of transformers that loads an architecture."""
    if family is not None:
        return getattr(transformers, family.architectures[architecture])
    if brought.has_code:
        named = getattr(config, "auto_map", None) or {}
        found = next((name for name in named if name.startswith("AutoModel")), "AutoModelForCausalLM")
        return getattr(transformers, found)
    return getattr(transformers, _LOADED_AS.get(architecture, architecture))


def _read(auto_class: Any, view: Path, folder: Path, what: str, code: bool) -> Any:
    try:
        return auto_class.from_pretrained(view, local_files_only=True, trust_remote_code=code)
    except Exception as error:  # whatever the library meets in damaged files: it raises a dozen types of its own
        raise InputError(
            f"{what} of {folder} cannot be read: {_first_line(error, view)}",
            "Expected the files that save_pretrained writes",
            "Save model and tokenizer into that folder, or download it again",
        ) from error


def _read_weights(
    loader: Any,
    view: Path,
    brought: Brought,
    dtype: Dtype,
    packed: CallArguments,
    spread: CallArguments,
    *,
    sparing: bool,
) -> tuple[Any, dict[str, int]]:
    """The model, and how many tensors of its files are not used, part by part."""
    folder = brought.folder
    code = {"trust_remote_code": True} if brought.has_code else {}
    try:
        with offloading(spread) as places:
            module, report = loader.from_pretrained(
                view,
                dtype=getattr(torch, dtype),
                local_files_only=True,
                output_loading_info=True,
                use_safetensors=True,
                **code,
                **packed,
                **places,
            )
            take_spread(module, places, view)
    except (MemoryError, FfmemError):
        raise
    except Exception as error:  # as above
        if is_out_of_memory(error):
            raise
        if spread:
            raise InputError(
                f"{loader.__name__} in {folder} cannot be spread by accelerate: {_first_line(error, view)}",
                "Expected a model that transformers itself loads with this device map",
                "Leave --device-map out, or give it other limits",
            ) from error
        raise ModelError(
            f"the weights in {folder} cannot be read: {_first_line(error, view)}",
            "Expected whole .safetensors files that fit config.json",
            "Download or save the model again",
        ) from error
    left_out = _LEFT_OUT.get(type(module).__name__, "")
    tied = bool(getattr(module.config, "tie_word_embeddings", False))
    unused = check_taken(folder, report, tied=tied, beside=left_out)
    drop_poolers(module, report["missing_keys"])
    check_tied(folder, module, brought.weights)
    if not packed:
        check_read(folder, module, brought.weights, sparing=sparing)
    return module, unused


def _first_line(error: Exception, view: Path) -> str:
    return (
        (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
        .replace(f"{view}/", "")
        .replace(str(view), "it")
    )
