"""A command in this process: its errors are raised, what it prints is captured by pytest."""

from ffmem.cli import app


def typed(*arguments: object) -> None:
    app([*map(str, arguments)], exit_on_error=False, result_action="return_value")
