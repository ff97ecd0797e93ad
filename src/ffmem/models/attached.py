"""Dictionaries attached to a model: what was written and what lies in the files -> cells beside its layers."""

from collections.abc import Sequence

from ffmem.dictionaries import Attachment
from ffmem.errors import InputError
from ffmem.ids import CellId
from ffmem.models.dictionaries.dictionary import Dictionary
from ffmem.models.dictionaries.fields import normalized_of
from ffmem.models.dictionaries.files import read_files
from ffmem.models.dictionaries.places import Surroundings
from ffmem.models.transformer import Transformer
from ffmem.store.facts import DictionaryFacts


def attach(model: Transformer, attachments: Sequence[Attachment]) -> None:
    """Let a model have these dictionaries, and no others, beside its layers.

    Raises:
        InputError: one of them is not there, is damaged, is of a kind that is not read, or does not fit the model.
    """
    found = tuple(_attached(model, one) for one in attachments)
    for one in found:
        one.check(model.facts.name, model.facts.d_model)
    model.attach(found)


def _attached(model: Transformer, attachment: Attachment) -> Dictionary:
    try:
        place = model.cells.parse_layer(attachment.layer)
    except InputError as error:
        raise InputError(
            f"--dictionary is {str(attachment)!r}, and {error.got}",
            error.expected,
            "Write the layer that it stands beside",
        ) from error
    files = read_files(attachment)
    fields = files.fields
    arrays = {name: array.to(model.device_of(place)) for name, array in files.arrays.items()}
    around = _around(model, place)
    reads = fields.reads or normalized_of(attachment, around.layout.norm)
    keys, key_bias, values = arrays["W_enc"].T, arrays["b_enc"], arrays["W_dec"]
    if fields.rescaled:
        lengths = values.norm(dim=1)
        if bool((lengths == 0).any()):
            raise InputError(
                f"the dictionary at {attachment.path} has a value of zeros, and rescale_acts_by_decoder_norm",
                "Expected values that can be scaled to length 1",
                "Give another dictionary",
            )
        keys, key_bias, values = keys * lengths[:, None], key_bias * lengths, values / lengths[:, None]
    cell = CellId.parse(f"{attachment.layer}.0")
    return Dictionary(
        facts=DictionaryFacts(
            layer=cell.layer,
            stack=cell.stack,
            name=attachment.name,
            d_ff=len(values),
            architecture=fields.architecture,
            activation=fields.activation,
            k=fields.k,
            reads=reads,
            writes=fields.writes,
            skip="W_skip" in arrays,
            layout=files.layout,
            sha256=files.sha256,
        ),
        around=around,
        stack=model.stack_of(place),
        keys=keys.contiguous(),
        key_bias=key_bias,
        values=values.contiguous(),
        value_bias=arrays["b_dec"],
        centre=arrays["b_dec"] if fields.centred else None,
        threshold=arrays["threshold"] if fields.activation == "jumprelu" else None,
        skip=arrays.get("W_skip"),
    )


def _around(model: Transformer, place: int) -> Surroundings:
    layer, layout = model.layer(place), model.layout(place)
    gain = shift = None
    if layout.ff_norm and layout.placement in ("pre", "sandwich"):
        norm = layer.at(layout.ff_norm)
        gain, shift = model.unembedding.gain(norm), getattr(norm, "bias", None)
    return Surroundings(layer, layout, model.module_before(place), gain, None if shift is None else shift.float())


def attach_indexed(model: Transformer, attachments: Sequence[Attachment], facts: Sequence[DictionaryFacts]) -> None:
    """Let a model have the dictionaries of an index, unless it has them.

    Raises:
        InputError: they are no longer where they were, or have other arrays.
    """
    if not facts or [one.facts for one in model.dictionaries] == list(facts):
        return
    for one in attachments:
        if not one.path.exists():
            raise InputError(
                f"the index has the dictionary {one.cells} of {one.path}, and nothing is there",
                "Expected its files, for what runs the model",
                "Put them back, or a link to them; what needs no model shows its cells without them",
            )
    attach(model, attachments)
    for found, expected in zip(model.dictionaries, facts, strict=True):
        if found.facts != expected:
            raise InputError(
                f"the dictionary {found.cells.name} has other arrays or fields than the one that was indexed",
                f"Expected arrays with SHA-256 {expected.sha256[:16]}...",
                "Put the files of that one back",
            )


def identities_of(model: Transformer) -> dict[str, str]:
    """What tells the dictionaries of a model from others."""
    return {
        f"dictionary {one.cells.name}": f"{one.facts.reads} {one.facts.writes} {one.facts.sha256}"
        for one in model.dictionaries
    }
