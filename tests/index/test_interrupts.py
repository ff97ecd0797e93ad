"""Processes that Ctrl-C does not reach."""

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc, to see which signals a process blocks")
def test_ctrl_c_does_not_reach_the_very_first_process() -> None:
    """The first that a program starts brings a helper of multiprocessing with it, which lets signals through again."""
    code = """
import multiprocessing, time
from pathlib import Path
from ffmem.index.interrupts import no_interrupt
if __name__ == "__main__":
    started = []
    for _ in range(2):
        process = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(60,))
        with no_interrupt():
            process.start()
        started.append(process)
    for process in started:
        (line,) = [one for one in Path(f"/proc/{process.pid}/status").read_text().splitlines() if one.startswith("SigBlk")]
        print(int(line.split()[1], 16) >> 1 & 1)
        process.kill()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "1"]
