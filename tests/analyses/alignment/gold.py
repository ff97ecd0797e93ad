"""Two pairs of sentences, links of them as GIZA++ writes them, and a file to write links into."""

from pathlib import Path

from ffmem.analyses.alignment.pairs import Pair

PAIRS = [Pair(("das", "ist", "gut"), ("that", "is", "good")), Pair(("nein",), ("no", "way"))]
GIZA = """# Sentence pair (1) source length 3 target length 3 alignment score : 0.1
that is good
NULL ({ }) das ({ 1 }) ist ({ 2 }) gut ({ 3 })
# Sentence pair (2) source length 1 target length 2 alignment score : 0.1
no way
NULL ({ 2 }) nein ({ 1 })
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "gold"
    path.write_bytes(text.encode())
    return path
