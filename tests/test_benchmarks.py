"""What benchmarks are run on is sound, and what they compute."""

import importlib.util
import json
import random
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from starlette.testclient import TestClient

import ffmem
from ffmem.corpus.documents import Document
from ffmem.index.verification.verify import verify_index
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


@pytest.fixture
def gpu_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., list[dict[str, Any]]]:
    """The benchmark for GPUs, run on a shape that a processor can do: its lines."""
    module = load("bench_gpu", monkeypatch)
    out = tmp_path / "lines.jsonl"

    def run(*arguments: str) -> list[dict[str, Any]]:
        sizes = ["--device", "cpu", "--tokens", "1600", "--shard-tokens", "500", "--batch-tokens", "256"]
        monkeypatch.setattr(sys, "argv", ["", *sizes, "--out", str(out), *arguments])
        module.main()
        printed = capsys.readouterr().out.splitlines()
        assert out.read_text().splitlines() == printed
        return [json.loads(line) for line in printed]

    return run


def test_a_shape_on_a_gpu_is_measured_shard_by_shard_and_written_at_once(
    gpu_lines: Callable[..., list[dict[str, Any]]],
) -> None:
    (line,) = gpu_lines("tiny", "--seconds", "1000", "--rivals")
    assert line["same_as_cpu_loops"] and line["n_shards_left_out"] == 0
    assert line["n_shards"] == len(line["speed_of_bare_shards"]) >= 3
    assert 1_500 < line["n_tokens"] <= 1_600 and 0 < line["padding_fraction"] < 0.2  # special tokens included
    assert set(line["few"]) == {"bare", "ours", "tensors", "topk", "as it is"}


def test_a_shape_without_time_is_measured_on_one_shard(gpu_lines: Callable[..., list[dict[str, Any]]]) -> None:
    lines = gpu_lines("tiny", "tiny", "--seconds", "0")
    assert len(lines) == 2
    for line in lines:
        assert line["n_shards"] == 1 and line["n_shards_left_out"] >= 2 and 500 <= line["n_tokens"] < 600
        assert line["few"] == {} and line["bare_tokens_per_s"] > 0


def test_a_text_several_times_over_is_a_sound_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The script itself compares what is found with a pass over all tokens."""
    for name in ("synthetic_index", "bench_search", "bench_explorer", "bench_server"):
        load(name, monkeypatch)
    module = load("bench_text_scale", monkeypatch)
    one = tmp_path / "one"
    told = module.write(one, 10_000, 64 * 8, None)
    assert told["text"]["peak_mb"] > 0 and told["mb"]["text.sqlite"] > 0
    index = ffmem.open_index(one)
    counts = module.TextCounts(**{f.name: getattr(index.manifest.counts, f.name) for f in fields(module.TextCounts)})
    module.write(tmp_path / "three", 3 * 10_000, 64 * 8, module.repeated(one, counts, 3))
    three = ffmem.open_index(tmp_path / "three")
    assert verify_index(three, with_model=False).problems == ()
    assert three.text.n_all_sentences == 30_000 and index.text.n_sentences < 10_000
    assert three.text.n_sentences == 3 * index.text.n_sentences
    words = module.words_of(three)
    for some in (index, three):
        module.check(some, words)
    pairs = [(1, one) for one in (0, 17)] + [(2, index.text.n_sentences), (2, index.text.n_all_sentences - 1)]
    for copy, sentence in pairs:  # the copies of what is indexed come first, then those of what is held out
        n, n_all = index.text.n_sentences, index.text.n_all_sentences
        at = copy * n + sentence if sentence < n else 3 * n + copy * (n_all - n) + sentence - n
        assert three.text.sentence(at).token_strings() == index.text.sentence(sentence).token_strings()
        assert (
            three.text.sentence(at).document_id == copy * counts.n_documents + index.text.sentence(sentence).document_id
        )


def test_made_sentences_are_distinct_the_same_each_time_and_as_long_as_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = load("bench_million", monkeypatch)
    words = ["the", "sea", "is", "wide", "and", "the", "sea", "is", "deep", "and", "the", "land", "is", "wide", "."]
    draw = random.Random(1)
    documents = [Document(str(n), " ".join(draw.choices(words, k=9)) + ".", {}) for n in range(60)]
    monkeypatch.setattr(module, "Topics", lambda: documents)
    known = {tuple(words[i : i + 3]) for one in documents for words in [one.text.split()] for i in range(7)}
    made = []
    for name in ("one", "two"):
        module.make_text(tmp_path / name, 200)
        made.append((tmp_path / name).read_text())
    assert made[0] == made[1]
    lines = [line for line in made[0].split("\n") if line]
    assert len(lines) == len(set(lines)) == 200 and made[0].count("\n\n") == 10
    assert {len(line.split()) for line in lines} <= set(range(1, 11))
    for line in lines:
        *parts, last = line.removesuffix(".").split()
        for end in ("", "."):  # the mark at the end of a sentence is that of its last word
            if len(parts) < 2 or (parts[-2], parts[-1], last + end) in known:
                break
        else:
            raise AssertionError(line)
        assert all(three in known for three in zip(parts, parts[1:], parts[2:], strict=False))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what memory is mapped from files")
def test_a_certificate_is_measured_from_its_own_build(tiny_folder: Callable[[str], Path], tmp_path: Path) -> None:
    """Of a model that is streamed, so that readings are counted too."""
    text = tmp_path / "text.txt"
    text.write_text("".join(f"the {n} of the river and {'a letter ' * (n % 7)}\n" for n in range(24)))
    given = [tiny_folder("gpt2"), text, "--max-tokens", "200", "--model-memory", "60KB", "--repeats", "1"]
    command = [sys.executable, BENCHMARKS / "bench_certificate.py", *given]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert 8 < found["passes"] < 40 and 4 < found["readings"] < found["passes"] and found["processor_s"] > 0


STAND_IN = """
import json, pathlib, sys
out = pathlib.Path(sys.argv[sys.argv.index("--out") + 1])
out.mkdir()
(out / "run.json").write_text(json.dumps({"runs": [{"stages_s": {"certificate": 0.0}}]}))
print("no line of progress", file=sys.stderr)
for stage, event in [("model", "began"), ("text", "began"), ("certificate", "began"), ("memories", "ready"),
                     ("memories", "tokens"), ("files", "began"), ("done", "done")]:
    print(json.dumps({"stage": stage, "event": event}), file=sys.stderr, flush=True)
sys.exit("--fail" in sys.argv)
"""
"""A build that takes no time."""


def test_each_phase_of_a_build_is_timed_from_the_command_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = load("bench_start", monkeypatch)
    trees = [tmp_path / "before", tmp_path / "after"]
    for tree in trees:
        (tree / "src" / "ffmem").mkdir(parents=True)
        (tree / "src" / "ffmem" / "__init__.py").write_text("")
        (tree / "src" / "ffmem" / "__main__.py").write_text(STAND_IN)
    given = ["model", "corpus", "--trees", *map(str, trees), "--repeats", "2", "--workers", "1"]
    monkeypatch.setattr(sys, "argv", ["", *given])
    module.main()
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(one["tree"], one["options"]) for one in told] == [(str(tree), ["--workers", "1"]) for tree in trees]
    for one in told:
        phases = [one[phase] for phase in module.PHASES]
        assert all(seconds >= 0 for seconds in phases) and one["imports"] > 0 and one["processors"] > 0
        assert sum(phases) == pytest.approx(one["whole"], abs=0.2)  # they leave nothing out, and nothing counts twice
    with pytest.raises(SystemExit, match="no line of progress"):
        module.one_build(trees[0], "model", "corpus", ["--fail"])


def test_the_first_line_of_its_kind_ends_a_phase(monkeypatch: pytest.MonkeyPatch) -> None:
    module, ends = load("bench_start", monkeypatch), {}
    kinds = [("model", ""), ("text", ""), ("text", ""), ("certificate", ""), ("memories", "other"), ("memories", "ready"),
             ("memories", "tokens"), ("memories", "tokens"), ("files", ""), ("done", "")]  # fmt: skip
    for second, (stage, event) in enumerate(kinds):
        module._take({"stage": stage, "event": event}, second, ends)
    assert ends == {"imports": 0, "load": 1, "text": 3, "workers": 5, "first batch": 6, "pass": 8, "files": 9}
