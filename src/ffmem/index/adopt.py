"""A build goes on from the state files that earlier runs of it left."""

import os
from pathlib import Path

from ffmem.index.scan.job import IndexJob
from ffmem.index.state.states import read_account, state_path


def adopt_states(work: Path, job: IndexJob, left_out: frozenset[int]) -> tuple[set[int], int]:
    """Take over the states of earlier runs under this run's names.

    A worker that outlived a killed parent may still put its state under the old run's name; that name is never read
    in this run, and never counted twice in a later one: of states that overlap, only the fuller is taken.

    Args:
        work: the work folder.
        job: this run.
        left_out: shards that are not to be in the index; a state that covers one cannot be used, since nothing is taken out of
            a sum. All others of a state with the job's hash are shards of its text.

    Returns:
        The shards that are covered, and the number of those that were, beside one that is left out.
    """
    states = []
    for number, old in enumerate(sorted(work.glob("state-*.safetensors"))):
        path = state_path(work, f"adopted-{job.run_id}", number)
        os.replace(old, path)  # first of all: what is read and taken is then what no old worker can still replace
        account = read_account(path, job.job_hash)
        if account is not None and account.covered:
            states.append((account.covered, path))
        else:
            path.unlink()
    covered: set[int] = set()
    n_dropped = slot = 0
    for shards, path in sorted(states, key=lambda item: (-len(item[0]), min(item[0]))):
        if shards & left_out:
            n_dropped += len(shards - left_out)
        if covered & shards or shards & left_out:
            path.unlink()
            continue
        os.replace(path, state_path(work, job.run_id, slot))
        covered |= shards
        slot += 1
    return covered, n_dropped
