"""Many states -> a few, by merging groups of them into one and deleting what went in.

Layers can be merged from any number of states at once; but then all states stay on the disk until the index is written,
and a build that dies begins anew. Merged group by group, the disk falls as it goes on, and what is merged stays merged.
"""

import secrets
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path

from ffmem.index.state.layers import Shape
from ffmem.index.state.states import Account, merged_layers, save_state, state_path

FAN_IN = 16
"""States that are merged at once: with fewer, more is read and written again; with more, a group takes longer."""


def merge_states(
    states: Mapping[Path, Account], shape: Shape, job: str, say: Callable[[str], None], fan_in: int = FAN_IN
) -> dict[Path, Account]:
    """At most ``fan_in`` states that hold what all of these hold; those that were merged are deleted.

    It may be stopped at any moment. Between writing a merged state and deleting what went in, both are there: the next
    run takes the fuller, see `build.adopt_states`.

    Args:
        states: state files, which cover different shards of one job, and what they say of themselves.
        shape: of all of them.
        job: names the job in each state file.
        say: told of each group that is merged.
        fan_in: states in a group, at least 2.

    Cost: the memory of some layers, see `merged_layers`; the disk of one more state than there are.
    """
    waiting = deque(states.items())
    excess = max(0, len(waiting) - fan_in)
    n_groups = -(-excess // (fan_in - 1))
    run_id = secrets.token_hex(4)  # of no run: whatever a lost worker may still write, it is under another name
    for number in range(n_groups):
        n_states = min(fan_in, len(waiting) - fan_in + 1)
        group = dict(waiting.popleft() for _ in range(n_states))
        say(f"merging {n_states:,} of {n_states + len(waiting):,} states (group {number + 1:,} of {n_groups:,})")
        account = Account(
            frozenset().union(*(one.covered for one in group.values())),
            frozenset().union(*(one.machines for one in group.values())),
        )
        path = state_path(next(iter(group)).parent, run_id, number)
        save_state(path, shape, merged_layers(list(group), shape), job, account.covered, account.machines)
        for merged in group:
            merged.unlink()
        waiting.append((path, account))
    return dict(waiting)
