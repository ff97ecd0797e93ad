"""`ffmem annotate`, as a person uses it."""

import json
from pathlib import Path

from ffmem import Index
from tests.annotations.conftest import index  # noqa: F401 (a fixture)
from tests.annotations.filling import edit, fill
from tests.fixtures.programs import ffmem


def test_from_draw_to_the_table_of_figure_2(index: Index, tmp_path: Path) -> None:  # noqa: F811 (it is given the fixture)
    folder, out = index.folder, tmp_path / "sheets"
    draw = ("annotate", "draw", folder, "ann", "bob", "--out", out, "--per-layer", 2, "--triggers", 6, "--layer", ":3")
    shown, _ = ffmem(*draw)
    assert "batch batch-1: 6 cells, 36 triggers" in shown and f"  {out / 'batch-1.bob.json'}" in shown
    sheets = [fill(out / f"batch-1.{name}.csv", seed) for seed, name in enumerate(("ann", "bob"))]
    edit(sheets[0], lambda lines: lines[2].update({"text": "nowhere", "class": "shallow"}))

    shown, _ = ffmem("annotate", "import", folder, *sheets)
    assert "batch batch-1, ann: 6 cells; stored" in shown
    assert "invalid, in fewer than 3 different triggers, and not counted:" in shown
    assert "  pattern 3, 'nowhere': 0 triggers" in shown and "L0." not in shown
    _, error = ffmem("annotate", "import", folder, tmp_path / "gone.csv", expect=2)
    assert error.startswith(f"ffmem: {tmp_path / 'gone.csv'} cannot be read: No such file or directory")

    shown, _ = ffmem("annotate", "agreement", folder, "--adjudicate", tmp_path / "settle")
    assert "ann, bob: 6 cells, 36 triggers" in shown and "ann - bob" in shown
    assert f"to settle: {tmp_path / 'settle' / 'batch-1.adjudicated.csv'}" in shown
    found = json.loads(ffmem("annotate", "agreement", folder, "--batch", "batch-1", "--json")[0])
    assert found["annotators"] == ["ann", "bob"] and -1 < found["alpha"] < 1 and found["sheets"] == []

    shown, _ = ffmem("annotate", "summary", folder)
    assert [line.split()[0] for line in shown.splitlines()[:5]] == ["layer", "L0", "L1", "L2", "all"]
    assert ": L" in shown and "pattern 3, 'nowhere': 0 triggers" in shown
    found = json.loads(ffmem("annotate", "summary", folder, "--annotator", "ann", "--json")[0])
    assert [layer["n_annotations"] for layer in found["layers"]] == [2, 2, 2]

    shown, _ = ffmem("annotate", "export", folder, "--out", tmp_path / "all.csv")
    assert shown == f"{tmp_path / 'all.csv'}: 12 annotations of cells\n"
    found = json.loads(ffmem("annotate", "import", folder, tmp_path / "all.csv", "--json")[0])
    assert [one["done"] for one in found] == ["unchanged", "unchanged"] and found[0]["invalid"][-1]["cell"]
