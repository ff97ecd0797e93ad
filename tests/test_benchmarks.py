"""What benchmarks are run on is sound, and what they compute."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from starlette.testclient import TestClient

from ffmem.index.verify import verify_index
from ffmem.server.app import make_app
from ffmem.server.explorer import Explorer

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


def load(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A benchmark's script as a module."""
    spec = importlib.util.spec_from_file_location(name, BENCHMARKS / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)  # its dataclasses look themselves up there
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("gated", [False, True])
def test_a_synthetic_index_is_sound_and_can_be_browsed(
    tmp_path: Path, gated: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = load("synthetic_index", monkeypatch)
    index = module.write_synthetic_index(tmp_path / "i", n_layers=2, n_cells=16, n_sentences=500, top=5, gated=gated)
    assert verify_index(index, with_model=False).problems == ()
    client = TestClient(make_app(Explorer(index)), base_url="http://localhost")
    for path in ("/", "/cells", "/cells/L1.3", "/sentences/7"):
        assert client.get(path).status_code == 200


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak of memory from /proc")
def test_merging_many_states_is_measured_on_what_is_merged_right(tmp_path: Path) -> None:
    """The script itself compares with a sort of everything; here that it measures all it says."""
    sizes = ["--layers", "2", "--cells", "32", "--top", "5", "--states", "7", "--files", "2", "--fan-in", "3"]
    command = [sys.executable, BENCHMARKS / "bench_scale.py", "merge", *sizes, "--scratch", tmp_path]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    (run,) = found["runs"]
    assert (run["n_states"], run["n_groups"], found["n_files"]) == (7, 2, 2)
    assert run["peak_mb"] > 0 and {"cpu_s", "read_gb"} <= {*run["groups"]} and "hashes_s" in run["finish"]
    assert not list(tmp_path.iterdir())


def test_the_table_of_scales_is_what_one_works_out_by_hand(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = load("scale_table", monkeypatch)
    small, *_, large = module.MODELS
    assert round(small.n_backbone / 1e6) == 106 and round(large.n_backbone / 1e9) == 68
    monkeypatch.setattr(sys, "argv", ["scale_table.py", "--json", "--mfu", "0.5", "--speed-of-bare", "0.9"])
    module.main()
    cases = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(cases) == 5 * 3 * 3
    assert {case["n_indexes"] for case in cases if case["n_tokens"] == 100e9} == {24}
    streams = [case for case in cases if case["source"]]
    assert {case["model"] for case in streams} == {"Llama-3.1-70B"} and len(streams) == 2 * 3 * 3
    for case in streams:
        # 68.45e9 parameters in bf16; 50 GB/s from the host to each GPU, 6 GB/s from a disk that 8 GPUs share
        seconds = 2 * 68.45 / 50 if case["source"] == "host" else 2 * 68.45 / 6 * min(case["n_gpus"], 8)
        assert case["stream"]["weights_s"] == pytest.approx(seconds, rel=1e-3)
        # states of 524,288 tokens, 8192 numbers of 2 bytes, off and back at each of 80 layers
        assert case["stream"]["states_s"] == pytest.approx(2 * 80 * 524_288 * 8192 * 2 / 50e9)
        compute_s = 524_288 * 136.9e9 / (989e12 * 0.45)
        assert case["stream"]["compute_s"] == pytest.approx(compute_s, rel=1e-3)
        waited_s = max(seconds - compute_s, 0.0) + 160 * 8.589934592 / 50
        hours = case["n_tokens"] / 524_288 * (compute_s + waited_s) / case["n_gpus"] / 3600
        assert case["memories_h"] == pytest.approx(hours, rel=2e-3)
        assert any("weights" in way for way in case["gives_way"]) is (seconds > compute_s)
    one, many = (c for c in cases if c["model"] == "Llama-3.1-8B" and c["n_tokens"] == 1e9 and c["n_gpus"] in (1, 64))
    assert one["memories_h"] == pytest.approx(64 * many["memories_h"])
    assert one["text_h"] == many["text_h"] and many["gives_way"][-1].startswith("text")
    # 1e9 tokens x 14 GFLOP at half of the peak and 0.9 of the bare speed
    assert one["memories_h"] == pytest.approx(1e9 * 14e9 / (989e12 * 0.45) / 3600, rel=0.02)
    monkeypatch.setattr(sys, "argv", ["scale_table.py"])
    module.main()
    told = capsys.readouterr().out
    assert "| Llama-3.1-70B, streamed from disk | 8 | 136.9 | 182.5 |" in told
    monkeypatch.setattr(sys, "argv", ["scale_table.py", "--laptop"])
    module.main()
    laptop = json.loads(capsys.readouterr().out)
    # 6.98e9 parameters of layers in bf16 at 2 GB/s; 8,192 tokens of 14 GFLOP at 400 GFLOP/s
    assert laptop["weights_s"] == pytest.approx(6.98, rel=1e-2) and laptop["prefetches"]
    assert laptop["compute_s"] == pytest.approx(8192 * 14e9 / 4e11, rel=0.01) and laptop["slowdown"] == 1.0


def test_names_are_timed_on_what_is_found_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The script itself compares what is found with a count over all names."""
    load("synthetic_index", monkeypatch)
    module = load("bench_names", monkeypatch)
    monkeypatch.setattr(sys, "argv", ["", "--names", "80", "--layers", "4", "--scratch", str(tmp_path)])
    module.main()
    told = json.loads(capsys.readouterr().out)
    assert told["n_names"] == 80 and told["find_n_s"]["in one"][0] == 1 and told["find_n_s"]["grade"][0] == 27
    assert not list(tmp_path.iterdir())
