"""`python -m ffmem`."""

from ffmem.cli import main

main()
