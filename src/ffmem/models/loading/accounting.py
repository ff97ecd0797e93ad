"""What became of each tensor in a model's files, and where each weight of the loaded model came from."""

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ffmem.errors import InputError, ModelError
from ffmem.models.loading.tensors import WeightFiles
from ffmem.models.present import is_plain
from ffmem.models.streaming.pages import FilePages, give_back

_RECOMPUTED = re.compile(
    r"(.*\.)?(rotary_emb\.inv_freq|position_ids|token_type_ids|masked_bias|(attn|attention|attn\.attention|self_attention)\.bias)"
    r"|decoder\.block\.0\.layer\.1\.EncDecAttention\.relative_attention_bias\.weight"
)
"""Constants that older versions of transformers saved with the weights, and one matrix that T5 never read."""
_NOT_ASKED = re.compile(
    r"(.*\.)?pooler\..*|(score|classifier|qa_outputs|v_head|value_head|reward_head|regression_head|multiple_choice_head)\..*"
    r"|cls\..*|lm_head\..*|(model\.)?(mtp|vision_tower|visual|vision_model|audio_tower|multi_modal_projector)\..*"
)
"""Parts behind or beside the layers, which no analysis of this class of model asks: counted, and said in the manifest."""
_SAMPLES = 16


def check_taken(folder: Path, report: Mapping[str, Any], *, tied: bool, beside: str = "") -> dict[str, int]:
    """Judge a report of transformers on what it loaded.

    Args:
        folder: of the model, for messages.
        report: its ``loading_info``.
        beside: what names of a part begin with that is left out on purpose; "": none is.
        tied: whether the config ties the head to the embedding.

    Returns:
        how many tensors of the files are not used, by the part that they belong to.

    Raises:
        ModelError: weights are missing, of another shape, or not understood.
    """
    missing = sorted(name for name in report["missing_keys"] if not is_pooler(name))
    if missing or report.get("mismatched_keys") or report.get("error_msgs"):
        told = ", ".join(missing[:3]) or str(report.get("mismatched_keys") or report["error_msgs"])[:300]
        headless = not tied and all(name.endswith("lm_head.weight") for name in missing) and missing
        raise ModelError(
            f"the files in {folder} lack weights: {told}",
            "Expected every weight: random ones would give meaningless memories",
            'Download or save the model again; if its head is its embedding: write "tie_word_embeddings": '
            "true into config.json"
            if headless
            else "Download or save the model again",
        )
    unused: dict[str, int] = {}
    unknown = []
    for name in sorted(report["unexpected_keys"]):
        if _RECOMPUTED.fullmatch(name):
            continue
        if _NOT_ASKED.fullmatch(name) or (beside and name.startswith(beside)):
            part = "pooler" if is_pooler(name) else name.removeprefix("model.").split(".")[0]
            unused[part] = unused.get(part, 0) + 1
        else:
            unknown.append(name)
    if unknown:
        raise ModelError(
            f"the files in {folder} hold {len(unknown)} weights that the model has no place for: "
            f"{', '.join(unknown[:3])}",
            "Expected only weights that its config.json calls for: the model would run without these",
            "Give the config.json that was saved with these weights; adapters must be merged, and quantised "
            "weights converted to plain ones, by the program that made them",
        )
    return unused


def is_pooler(name: str) -> bool:
    """Whether a weight belongs to a pooler, which follows the last layer and which no analysis asks."""
    return "pooler" in name.split(".")


def drop_poolers(module: Any, missing: Collection[str]) -> None:
    """Take out poolers whose weights no file holds, since they would be drawn at random, and count in the model's hash."""
    for path in {name[: name.index("pooler") + len("pooler")] for name in missing if is_pooler(name)}:
        parent, _, last = path.rpartition(".")
        setattr(module.get_submodule(parent), last, None)


def check_tied(folder: Path, module: Any, files: WeightFiles) -> None:
    """Refuse weights that the config ties to one another and that differ in the files.

    Raises:
        InputError: which is meant is not said: versions of transformers differ in what they take.
    """
    pairs = getattr(module, "_tied_weights_keys", None)
    if not getattr(module.config, "tie_word_embeddings", False) or not isinstance(pairs, dict):
        return
    prefix = f"{getattr(module, 'base_model_prefix', '')}."
    with files.reading() as read:
        for second, first in pairs.items():
            names = [_in_file(name, prefix, files.tensors) for name in (second, first)]
            if None not in names and not torch.equal(read(names[0]), read(names[1])):
                raise InputError(
                    f"the config of {folder} ties {names[0]} to {names[1]} (tie_word_embeddings), and the "
                    "files hold two that differ",
                    "Expected them to be equal, or not to be tied",
                    'If the files are right: write "tie_word_embeddings": false into its config.json; if the '
                    "config is: save the model "
                    f"without {names[0]}",
                )


def _in_file(name: str, prefix: str, tensors: Mapping[str, Path]) -> str | None:
    return next((one for one in (name, name.removeprefix(prefix), prefix + name) if one in tensors), None)


def check_read(folder: Path, module: Any, files: WeightFiles, *, sparing: bool = False) -> None:
    """Compare a few numbers of each weight with those that the files hold under its name.

    Args:
        folder: of the model, for messages.
        module: the model.
        files: its weights.
        sparing: keep nothing of them in memory.

    Raises:
        ModelError: they differ; then the model that was loaded is not the one on the disk.
    """
    parameters = dict(module.named_parameters(remove_duplicate=False))
    prefix = f"{getattr(module, 'base_model_prefix', '')}."
    with files.reading() as read:
        opened = (
            [read(name) for name in {file: name for name, file in files.tensors.items()}.values()] if sparing else []
        )
        pages = FilePages() if opened else None
        for name, parameter in parameters.items():
            if parameter.device.type == "meta":  # it is read from the file each time that it is used
                continue
            found = _in_file(name, prefix, files.tensors)
            if found is None or not is_plain(parameter):
                continue
            ours, theirs = parameter.detach(), read(found)
            if ours.shape == theirs.shape and not _sampled_equal(ours, theirs):
                raise ModelError(
                    f"{name} of the loaded model holds other numbers than {found} in {files.tensors[found]}",
                    "Expected the numbers of the file",
                    "Check that config.json belongs to these weights; if it does, please report it with the "
                    "model's name",
                )
            for one in (ours, theirs):
                if pages is not None and pages.hold(one):
                    give_back(one)


def _sampled_equal(ours: Tensor, theirs: Tensor) -> bool:
    flat, other = ours.reshape(-1), theirs.reshape(-1)
    n = min(len(flat), _SAMPLES)
    places = torch.arange(n) * (len(flat) - 1) // max(n - 1, 1)  # the first, the last, and some between
    one, two = flat[places.to(flat.device)].cpu(), other[places].to(ours.dtype)
    return bool(torch.equal(one.nan_to_num(), two.nan_to_num()))


def check_types(folder: Path, files: WeightFiles) -> None:
    """Refuse plain weights that are stored as whole numbers.

    Raises:
        InputError: a tensor is; what its numbers stand for is not known.
    """
    with files.reading() as read:
        for name in files.tensors:
            if not (tensor := read(name)).is_floating_point() and not _RECOMPUTED.fullmatch(name):
                raise InputError(
                    f"{name} in {folder} is stored as {str(tensor.dtype).removeprefix('torch.')}, and its "
                    "config.json does not say how",
                    "Expected floating-point weights",
                    "Use the model that this one was made from; --quantize 4bit or 8bit makes it small again",
                )


def check_unembedding(name: str, rows: Tensor, tokens: Any) -> None:
    """Refuse an unembedding with rows that are not finite: each score of their tokens would be NaN.

    Args:
        name: of the model.
        rows: the unembedding.
        tokens: a function from an id to its token.

    Raises:
        ModelError: there are some.
    """
    broken = (~rows.float().sum(1).isfinite()).nonzero().flatten().tolist() if rows.device.type == "cpu" else []
    broken = [row for row in broken if not bool(rows[row].isfinite().all())]
    if broken:
        raise ModelError(
            f"{len(broken)} of {len(rows)} rows of the unembedding of {name} hold numbers that are not "
            "finite, the first of them for "
            f"token {broken[0]} ({tokens(broken[0])!r})",
            "Expected a finite number everywhere: no value could be projected to such a token",
            "Use an undamaged copy of the model; rows of tokens that never occur may be set to 0, and the "
            "model saved again",
        )
