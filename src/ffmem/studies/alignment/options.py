"""What a user may choose about a study of word alignments, and the files that it names."""

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path

from ffmem.analyses.alignment.links import LeftOut, Links, read_link_file
from ffmem.analyses.alignment.pairs import Cut, Pair, read_pairs
from ffmem.errors import InputError
from ffmem.json_values import JsonObject
from ffmem.studies.alignment.experiment import Material


@dataclass(frozen=True)
class AlignmentOptions:
    """What is aligned, and what it is held against."""

    source: str = ""
    """A sentence of the source language a line, or source ||| target."""
    target: str | None = None
    """Their translations, line by line."""
    gold: str | None = None
    """Links that are right, such as 3-4 and 3p5 (possible). Without them an aligner's links, a silver standard, stand in."""
    base: int | None = None
    """The number of the first word in the file of gold links, 0 or 1. Only a file of GIZA++ (.A3.final) says it itself."""
    inverse: bool = False
    """The file of gold links has the target word first."""
    system: tuple[str, ...] = ()
    """Links of another system on the same pairs, to stand beside; may be given again."""
    system_base: int | None = None
    """The number of the first word in those files, 0 or 1."""
    drop_bad_links: bool = False
    """Leave links out that point beyond the words of their pair, and say how many. By default such a file is refused."""
    more_source: str | None = None
    """Further pairs, which only the aligners learn from."""
    more_target: str | None = None
    """Their translations."""
    words: Cut = "spaces"
    """What a word is: spaces, what stands between blanks and tabs; marks, with marks cut off, for raw text."""
    more_words: Cut | None = None
    """The same of the further pairs, if it is another."""
    pick: str | None = None
    """Whose links are written, as L1:AWI:norms or L1.H2:AWO:weights. By default, the layer with the highest mean norm, by AWI
    and norms."""

    def to_json(self) -> JsonObject:
        """As plain JSON values."""
        return asdict(self) | {"system": list(self.system)}


def read_material(options: AlignmentOptions) -> Material:
    """The pairs and links of the files that the options name.

    Raises:
        InputError: a file cannot be read, is not as it is to be, or does not belong to the others.
    """
    if not options.source:
        raise InputError(
            "the study alignment is given no text",
            "Expected the file of a text and that of its translation, line by line",
            "Write --source FILE --target FILE",
        )
    pairs = read_pairs(options.source, options.target, cut=options.words)
    left_out: list[LeftOut] = []

    def links_of(path: str, base_option: str, base: int | None, inverse: bool) -> list[Links]:
        drop = options.drop_bad_links
        file = read_link_file(path, pairs, base=base, inverse=inverse, drop_bad_links=drop, base_option=base_option)
        left_out.extend([] if file.left_out is None else [file.left_out])
        return file.links

    gold = None if options.gold is None else links_of(options.gold, "--base", options.base, options.inverse)
    systems = [(Path(one).name, links_of(one, "--system-base", options.system_base, False)) for one in options.system]
    return Material(pairs, gold, _more_pairs(options), systems, tuple(left_out))


def _more_pairs(options: AlignmentOptions) -> list[Pair]:
    if options.more_source is None:
        if options.more_target is not None:
            raise InputError(
                "--more-target is given without --more-source", "Expected both", "Write --more-source FILE"
            )
        return []
    return read_pairs(options.more_source, options.more_target, cut=options.more_words or options.words)


def hash_of(material: Material) -> str:
    """SHA-256 of all words and links: the same content may lie in other files."""
    digest = hashlib.sha256()
    for part in (material.pairs, material.more):
        for pair in part:
            digest.update(f"{pair.source}\0{pair.target}\n".encode())
        digest.update(b"\0")
    for name, links in (("gold", material.gold), *material.systems):
        digest.update(f"{name} {links is None}\n".encode())
        for one in links or ():
            digest.update(f"{sorted(one.sure)} {sorted(one.possible)}\n".encode())
    digest.update(f"{material.left_out}".encode())
    return digest.hexdigest()
