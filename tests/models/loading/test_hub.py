"""Models from the hub, over HTTP from a stand-in of it: what is downloaded, what is found again, what is refused.

Each load is a process of its own, in which the hub's client is not yet imported: it reads its settings when it is.
"""

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from ffmem import load_model
from tests.fixtures.programs import WITHOUT_HUB, run_python
from tests.models.loading.hub_stand_in import Repository, StandIn, serving

Folder = Callable[[str], Path]
FIRST, SECOND = "1" * 40, "2" * 40
LOAD = """
import json, sys, ffmem
from ffmem.models.loading.sources import resolve
try:
    folder = resolve(sys.argv[1], sys.argv[2] or None)
except ffmem.InputError as error:
    sys.exit(str(error))
model = ffmem.load_model(sys.argv[1], revision=sys.argv[2] or None) if sys.argv[3] else None
print(json.dumps({"folder": str(folder), "hash": model and model.weights_hash(), "name": model and model.facts.name}))
"""


class Client:
    """Someone with an empty cache of the hub."""

    def __init__(self, home: Path, endpoint: str) -> None:
        self.home, self.endpoint = home, endpoint

    def load(self, model: str, revision: str = "", *, whole: bool = False, **environment: str) -> dict[str, str]:
        done = self._run(model, revision, whole, environment)
        assert done.returncode == 0, done.stderr
        return dict(json.loads(done.stdout))

    def error(self, model: str, revision: str = "", **environment: str) -> str:
        done = self._run(model, revision, False, environment)
        assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
        return done.stderr.strip().splitlines()[-1]

    def _run(
        self, model: str, revision: str, whole: bool, environment: dict[str, str]
    ) -> subprocess.CompletedProcess[str]:
        settings = {name: value for name, value in os.environ.items() if name != "HF_HUB_OFFLINE"}
        settings |= {"HF_ENDPOINT": self.endpoint, "HF_HOME": str(self.home)} | environment
        command = ("-Werror", "-c", LOAD, model, revision, "1" if whole else "")
        return run_python(*command, env=settings, timeout=120, imported=WITHOUT_HUB)


@pytest.fixture
def model_folder(tiny_folder: Folder, tmp_path: Path) -> Path:
    """What the repository holds at first."""
    return Path(shutil.copytree(tiny_folder("llama"), tmp_path / "first"))


@pytest.fixture
def hub(model_folder: Path, tiny_folder: Folder):  # type: ignore[no-untyped-def]
    """A hub with one model, whose branch `next` holds another one."""
    commits = {FIRST: model_folder, SECOND: tiny_folder("llama_biased")}
    with serving({"a/b": Repository(commits, {"main": FIRST, "next": SECOND})}) as running:
        yield running


@pytest.fixture
def client(hub: StandIn, tmp_path: Path) -> Client:
    return Client(tmp_path / "home", hub.endpoint)


def test_a_model_is_downloaded_once_and_found_offline(
    hub: StandIn, client: Client, model_folder: Path, tmp_path: Path
) -> None:
    first = client.load("a/b", whole=True)
    assert first["name"] == "a/b" and first["hash"] == load_model(model_folder).weights_hash()
    n_asked = len(hub.asked)
    assert n_asked >= 3
    assert client.load("a/b")["folder"] == first["folder"] and len(hub.asked) == n_asked
    client.endpoint = f"http://127.0.0.1:{closed_port()}"
    assert client.load("a/b", whole=True) == first
    assert client.load("a/b", whole=True, HF_HUB_OFFLINE="1") == first


@pytest.mark.parametrize(
    ("model", "revision"), [("a/b", "next"), ("a/b", SECOND), ("a/b@next", ""), (f"a/b@{SECOND}", "")]
)
def test_a_branch_or_a_commit(model: str, revision: str, client: Client, tiny_folder: Folder) -> None:
    found = client.load(model, revision, whole=True)
    assert Path(found["folder"]).name == SECOND
    assert found["hash"] == load_model(tiny_folder("llama_biased")).weights_hash()


def test_two_revisions(client: Client) -> None:
    assert client.error("a/b@next", "main") == (
        "two revisions are given: 'a/b@next' and --revision main. Expected one. Leave --revision out."
    )


def test_only_what_is_needed_is_downloaded(hub: StandIn, client: Client, model_folder: Path) -> None:
    extra = ["model.fp16.safetensors"]
    extra += ["pytorch_model.bin", "pytorch_model.bin.index.json", "consolidated.safetensors", "modeling.py"]
    extra += ["onnx/model.onnx", "onnx/config.json", "original/params.json"]
    for name in extra:
        (model_folder / name).parent.mkdir(exist_ok=True)
        (model_folder / name).write_bytes(b"{}")
    folder = Path(client.load("a/b")["folder"])
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert names.isdisjoint(extra) and not set(hub.asked) & {Path(name).name for name in extra} - {"config.json"}
    assert names >= {"config.json", "model.safetensors", "tokenizer.json"}
    assert client.load("a/b", HF_HUB_OFFLINE="1")["folder"] == str(folder)  # nothing is missed


def test_a_model_in_several_files(hub: StandIn, client: Client, model_folder: Path, tiny_folder: Folder) -> None:
    whole = load_model(tiny_folder("llama"))
    (model_folder / "model.safetensors").unlink()
    whole.module.save_pretrained(model_folder, max_shard_size="20KB")
    assert len(list(model_folder.glob("model-*-of-*.safetensors"))) > 1
    assert client.load("a/b", whole=True)["hash"] == whole.weights_hash()


# What is refused


def test_a_gated_model(hub: StandIn, client: Client) -> None:
    hub.repositories["a/b"].gated = True
    assert client.error("a/b") == (
        "the hub model a/b is gated: its owner requires you to accept conditions first. Expected an account that has access. "
        "Accept them on the model's page, then run: hf auth login."
    )


def test_a_model_that_is_missing_or_private(client: Client) -> None:
    assert client.error("a/none") == (
        "there is no model 'a/none', neither as a file or folder here nor on the hub (or it is private). "
        "Expected a Hugging Face id, a folder, a .gguf file, fairseq:FOLDER, reference, smollm2 or minilm. "
        "Check the name; for a private model run: hf auth login."
    )


def test_a_revision_that_is_missing(client: Client) -> None:
    assert client.error("a/b", "v9") == (
        "the hub model a/b has no revision 'v9'. Expected a branch, a tag or a commit. "
        "Leave --revision out to take the newest."
    )


def test_a_model_with_pickled_weights_only(
    client: Client, model_folder: Path, tmp_path: Path, tiny_folder: Folder
) -> None:
    torch.save(load_file(model_folder / "model.safetensors"), model_folder / "pytorch_model.bin")
    (model_folder / "model.safetensors").unlink()
    found = client.load("a/b", whole=True, FFMEM_CACHE=str(tmp_path / "cache"))
    assert found["hash"] == load_model(tiny_folder("llama")).weights_hash()


def test_two_sets_of_weights(hub: StandIn, client: Client, model_folder: Path) -> None:
    for name in ("model-00001-of-00001.safetensors", "model.safetensors.index.json"):
        (model_folder / name).write_bytes(b"{}")
    assert "the hub model a/b has two sets of weights: model.safetensors, and 1 parts." in client.error("a/b")
    assert hub.asked == []


def test_adapters_in_folders_of_a_repository(hub: StandIn, client: Client, model_folder: Path) -> None:
    (model_folder / "german").mkdir()
    (model_folder / "german" / "adapter_config.json").write_text("{}")
    assert "has adapters in folders below it: german/adapter_config.json." in client.error("a/b")
    assert hub.asked == []


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("config.json", "the hub repository a/b holds no config.json. "),
        ("model.safetensors", "the hub model a/b has no weights in safetensors or .bin (it has none at all)"),
        ("tokenizer*", "the hub model a/b has no tokenizer. Expected a tokenizer.json beside its weights."),
    ],
)
def test_a_file_that_is_missing(pattern: str, message: str, hub: StandIn, client: Client, model_folder: Path) -> None:
    for path in model_folder.glob(pattern):
        path.unlink()
    assert message in client.error("a/b")
    assert hub.asked == []


def test_a_connection_that_drops_is_taken_up_where_it_was(hub: StandIn, client: Client, model_folder: Path) -> None:
    hub.repositories["a/b"].n_broken["model.safetensors"] = 1
    found = client.load("a/b", whole=True)
    assert hub.asked.count("model.safetensors") == 2
    assert found["hash"] == load_model(model_folder).weights_hash()


def test_a_connection_that_drops_for_good(hub: StandIn, client: Client, model_folder: Path) -> None:
    hub.repositories["a/b"].n_broken["model.safetensors"] = 10**6
    message = client.error("a/b")
    assert "the download of a/b broke off: " in message
    assert "Run the same command again; files that came whole are kept." in message
    # what came whole is no model
    assert client.error("a/b", HF_HUB_OFFLINE="1") == (
        "only a part of a/b was downloaded, and the hub cannot be reached for the rest. Expected the whole model in the "
        "hub's cache, or a network. Run the same command with a network; it fetches what is missing."
    )
    hub.repositories["a/b"].n_broken.clear()
    hub.asked.clear()
    assert client.load("a/b", whole=True)["hash"] == load_model(model_folder).weights_hash()
    assert hub.asked.count("model.safetensors") == 1 and "tokenizer.json" not in hub.asked


def closed_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port


@pytest.mark.parametrize("offline", ["", "1"])
def test_without_a_network(offline: str, client: Client) -> None:
    client.endpoint = f"http://127.0.0.1:{closed_port()}"
    assert client.error("a/b", **({"HF_HUB_OFFLINE": offline} if offline else {})) == (
        "'a/b' is not a file or folder here, and the hub cannot be reached to look for it there. "
        "Expected a Hugging Face id, a folder, a .gguf file, fairseq:FOLDER, reference, smollm2 or minilm. "
        "Check the path or the network; a model that was downloaded before is also found offline."
    )
