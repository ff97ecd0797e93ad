"""Arrays that an experiment goes on from."""

from pathlib import Path

import numpy as np
import pytest

from ffmem.studies import checkpoint
from ffmem.studies.checkpoint import Checkpoint, part_of
from ffmem.studies.results import begin_results


def test_arrays_are_kept_when_it_is_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = begin_results(tmp_path, {"index": {}, "options": {}})
    now = [100.0]
    monkeypatch.setattr(checkpoint.time, "monotonic", lambda: now[0])
    kept = Checkpoint(results, "long")
    asked: list[float] = []

    def arrays() -> dict[str, np.ndarray]:
        asked.append(now[0])
        return {"n": np.array([now[0]])}

    for now[0] in (101.0, 129.0, 130.0, 131.0, 159.0, 161.0):
        kept.keep(arrays)
    assert asked == [130.0, 161.0]
    loaded = Checkpoint(results, "long").load()
    assert loaded is not None and loaded["n"].tolist() == [161.0]
    assert Checkpoint(results, "other").load() is None
    results.drop_arrays(part_of("long"))
    assert Checkpoint(results, "long").load() is None and not list(results.folder.glob("*.safetensors"))
