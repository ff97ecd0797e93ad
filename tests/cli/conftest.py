"""The command line as a user starts it; tests/fixtures/programs.py has the same without the time that a start takes."""

import subprocess
import sys


def start_ffmem(*arguments: object, expect: int = 0) -> tuple[str, str]:
    """What a command prints on stdout and stderr; it must end with this exit code."""
    command = [sys.executable, "-m", "ffmem", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == expect, done.stderr + done.stdout
    return done.stdout, done.stderr
