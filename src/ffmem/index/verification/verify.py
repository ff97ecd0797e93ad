"""Checks a finished index: every file, every range, and a sample of its triggers against the model itself."""

from collections.abc import Callable

from ffmem.errors import StoreError
from ffmem.index.verification.files import expected_counts, wrong_arrays, wrong_files, wrong_text
from ffmem.index.verification.names import wrong_names
from ffmem.index.verification.result import Verification
from ffmem.store.fields import arrays_with
from ffmem.store.reader import Index


def verify_index(
    index: Index,
    *,
    with_model: bool = True,
    model: str | None = None,
    n_batches: int = 3,
    seed: int = 0,
    threads: int | None = None,
    device: str | None = None,
    trust_remote_code: bool = False,
    progress: Callable[[str], None] | None = None,
) -> Verification:
    """Check an index against its manifest and against the model it was built from.

    Args:
        index: an opened index.
        with_model: recompute a sample with the model; without it, only files, arrays and text are checked.
        model: where the model is now, if not where it was.
        n_batches: batches of sentences to recompute. Each is run in the shape it had in the build, so that on the same
            kind of processor the coefficients are the same bits; elsewhere they agree to rounding. Besides, some sentences
            are run alone, by the model's own plain call on what its tokenizer's own call gives: there they agree to rounding.
        seed: which batches.
        threads: processors for the model, by default as many as each worker of the build had: with others, coefficients agree
            to rounding only.
        device: where the model runs, by default where the index was built, or on the CPU of a machine that lacks it: elsewhere
            coefficients agree to the rounding of the model's number type.
        trust_remote_code: run Python code that comes with the model, where its config asks for that.
        progress: called with what is checked next.

    Raises:
        InputError: the model cannot be found, or is a different one.
    """
    say = progress or (lambda _: None)
    problems: list[str] = []
    say("files")
    problems += wrong_files(index)
    say("arrays")
    n_arrays, expected = 0, expected_counts(index)
    for layer in range(index.n_layers):
        try:
            problems += wrong_arrays(index, layer, expected)
        except StoreError as error:
            problems.append(str(error))
        n_arrays += len(arrays_with(index.layer(layer).sizes))
    try:
        problems += wrong_text(index)
    except StoreError as error:
        problems.append(str(error))
    say("names")
    problems += wrong_names(index)
    verification = Verification(len(index.manifest.files), n_arrays, problems=tuple(problems))
    if problems or not with_model:
        return verification
    from ffmem.index.verification.model import (
        check_against_model,  # torch takes seconds to import, and files do not need it
    )

    say("triggers, with the model")
    return check_against_model(
        index, verification, model, n_batches, seed, threads=threads, device=device, trust_remote_code=trust_remote_code
    )
