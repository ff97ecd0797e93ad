"""Tasks by their ids: what progress, states and messages call them."""

import pickle
from pathlib import Path

import numpy as np

from ffmem.index.scan.batches import Shard
from ffmem.index.scan.shard_text import Tokens
from ffmem.index.scan.tasks import ProjectLayer, ScanShard, promoted_path


def test_a_shard_is_told_by_its_first_and_its_last_sentence() -> None:
    task = ScanShard(Shard(17, 300, 421, 8200))
    assert task.task_id == "shard-17"
    assert task.describe() == "shard 17 (sentences 300 to 420)"


def test_a_layer_is_told_by_its_place() -> None:
    assert (ProjectLayer(5).task_id, ProjectLayer(5).describe()) == ("values-5", "the values of layer 5")


def test_files_of_promoted_tokens_are_in_the_order_of_their_layers() -> None:
    paths = [promoted_path(Path("work"), layer) for layer in (0, 9, 10, 99, 100)]
    assert paths == sorted(paths) and paths[2] == Path("work/promoted-010.safetensors")


def test_a_task_travels_with_its_text() -> None:
    tokens = Tokens(4, np.array([9, 11], dtype=np.uint64), np.array([7, 8], dtype=np.uint16), None)
    task = pickle.loads(pickle.dumps(ScanShard(Shard(2, 4, 5, 2), 9, tokens)))
    assert (task.shard, task.first_token) == (Shard(2, 4, 5, 2), 9) and task.tokens.ids(4).tolist() == [7, 8]
