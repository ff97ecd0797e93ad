"""What is written beside the printed table."""

from collections.abc import Sequence
from pathlib import Path

from ffmem.analyses.alignment.links import Link, as_talp
from ffmem.store.files import atomic_write, disk_errors, write_json
from ffmem.studies.alignment.findings import AlignmentStudy


def write_study(folder: Path, study: AlignmentStudy, links: Sequence[frozenset[Link]]) -> None:
    """Write the numbers, and the links of the layer that was chosen without gold ones.

    Args:
        folder: made if it is not there; earlier files in it are replaced.
        study: the numbers.
        links: of each pair.
    """
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "alignment.json", study.to_json())
    atomic_write(folder / "links.talp", "".join(f"{as_talp(one)}\n" for one in links).encode())
