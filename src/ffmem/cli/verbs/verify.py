"""The verb that checks an index."""

import sys

import ffmem
from ffmem import render
from ffmem.cli.app import Count, Json, Some, show
from ffmem.cli.options import BuildThreads, IndexDevice, IndexFolder, MovedModel, TrustCode
from ffmem.index.verification.verify import verify_index


def verify(
    folder: IndexFolder,
    /,
    *,
    files_only: bool = False,
    model: MovedModel = None,
    threads: BuildThreads = None,
    device: IndexDevice = None,
    trust_remote_code: TrustCode = False,
    batches: Some = 3,
    seed: Count = 0,
    json: Json = False,
) -> None:
    """Check every file of an index, and a sample of its triggers against the model. Exit 1 if anything is wrong.

    Parameters
    ----------
    files_only
        Check the files only, without the model.
    batches
        How many batches of sentences to run again.
    seed
        Which batches.
    """
    opened = ffmem.open_index(folder)
    say = None if json else render.say("checking")
    found = verify_index(
        opened,
        with_model=not files_only,
        model=model,
        n_batches=batches,
        seed=seed,
        threads=threads,
        device=device,
        trust_remote_code=trust_remote_code,
        progress=say,
    )
    show(found.to_json() if json else render.verification(found))
    if found.problems:
        sys.exit(1)
