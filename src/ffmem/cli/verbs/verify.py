"""The verb that checks an index."""

import sys
from typing import Annotated

from cyclopts import Parameter

import ffmem
from ffmem import render
from ffmem.cli.app import Count, Json, Some, show
from ffmem.cli.options import TrustCode, check
from ffmem.index.verify import verify_index


def verify(
    folder: str,
    /,
    *,
    files_only: bool = False,
    model: str | None = None,
    threads: Annotated[int | None, Parameter(validator=check)] = None,
    trust_remote_code: TrustCode = False,
    batches: Some = 3,
    seed: Count = 0,
    json: Json = False,
) -> None:
    """Check every file of an index, and a sample of its triggers against the model. Exit 1 if anything is wrong.

    Parameters
    ----------
    folder
        An index.
    files_only
        Check the files only, without the model.
    model
        Where the model is now, if it has moved since the build.
    threads
        Threads of the model, by default as many as each worker of the build had: with others, numbers agree to rounding only.
    batches
        How many batches of sentences to run again.
    seed
        Which batches.
    json
        Print one JSON document.
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
        trust_remote_code=trust_remote_code,
        progress=say,
    )
    show(found.to_json() if json else render.verification(found))
    if found.problems:
        sys.exit(1)
