"""A build that a script starts again in each process that it starts."""

import multiprocessing

from ffmem.errors import InputError


def check_guarded() -> None:
    """Refuse to build while another process of a build imports the script that called it.

    Raises:
        InputError: the call is at the top level of that script.
    """
    # as multiprocessing itself asks before it starts a process
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise InputError(
            "this script builds an index when it is imported, as each process of that build does again",
            "Expected the call only where the script is run",
            'Put it below: if __name__ == "__main__":',
        )
