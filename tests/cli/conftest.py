"""The command line as a user has it."""

import subprocess
import sys


def ffmem(*arguments: object, expect: int = 0) -> tuple[str, str]:
    """What a command prints on stdout and stderr; it must end with this exit code."""
    command = [sys.executable, "-m", "ffmem", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == expect, done.stderr + done.stdout
    return done.stdout, done.stderr
