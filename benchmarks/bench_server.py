"""How long do a hundred readers wait for a page while the model works?

Starts `ffmem serve` on an index, and in a process of its own as many clients as are asked for, each with a connection that it
keeps: a client asks for a page (a cell, a search, a list, a sentence, the overview), reads it to its last byte, reads for a
while as a person does, and asks for the next. Meanwhile one more client puts prompts to the model, one after the other.
Every answer is compared with what the same address gave when nobody else asked, so that none is cut short or mixed up.
`--think-s 0` leaves the reading out: clients that ask as fast as they can, as programs do. `--fresh` asks for pages that nobody
has asked for before, so that each has to be made; they are held to their own name and their end.

    python benchmarks/bench_server.py INDEX [--model WHERE] [--clients 100] [--think-s 1] [--seconds 30] [--fresh]

Prints one JSON line; docs/performance.md is made from such lines.
"""

import argparse
import asyncio
import hashlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, urlencode

N_ADDRESSES, N_FRESH = 40, 4000
"""Of each kind of page."""


@contextmanager
def served(folder: str, model: str | None) -> Iterator[tuple[int, int]]:
    """Port and process of a server."""
    command = [sys.executable, "-m", "ffmem", "serve", folder, "--port", "0", *(["--model", model] if model else [])]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    found = re.match(r"http://[^:]+:(\d+)", process.stdout.readline())
    assert found
    try:
        yield int(found[1]), process.pid
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()


def addresses(folder: str, n: int = N_ADDRESSES) -> dict[str, list[str]]:
    """Addresses of each kind of page."""
    import ffmem

    index, draw = ffmem.open_index(folder), random.Random(0)
    places = [draw.randrange(index.n_layers) for _ in range(n)]
    cells = [index.cells.cell_id(place, draw.randrange(index.cells.layers[place].n_cells)) for place in places]
    words = [one.strip() for one in index.text.vocabulary if re.fullmatch(r"\s?[A-Za-z]{4,}", one)]
    layers = [layer.name for layer in index.cells.layers]
    sorts = ("max", "min", "mean", "active", "top")
    return {
        "overview": ["/"],
        "cell": [f"/cells/{cell}" for cell in cells],
        "list": [f"/cells?{urlencode({'layer': draw.choice(layers), 'sort': draw.choice(sorts)})}" for _ in cells],
        "sentence": [f"/sentences/{draw.randrange(index.text.n_all_sentences)}" for _ in cells],
        "search": [f"/search?{urlencode({'q': draw.choice(words)})}" for _ in cells],
    }


class Connection:
    """Of one client: kept, and opened anew when the server has closed it while its reader read, as a browser does."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._open: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, address: str) -> tuple[int, bytes]:
        """Status and body of one answer."""
        head = f"GET {address} HTTP/1.1\r\nhost: 127.0.0.1\r\naccept: text/html\r\n\r\n"
        for is_new in (self._open is None, True):
            if is_new:
                self._open = await asyncio.open_connection("127.0.0.1", self._port, limit=2**24)
            assert self._open is not None
            reader, writer = self._open
            try:
                writer.write(head.encode())
                await writer.drain()
                told = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                break
            except (asyncio.IncompleteReadError, ConnectionError):
                if is_new:
                    raise
        length = re.search(r"content-length: (\d+)", told, re.IGNORECASE)
        assert length, told
        return int(told.split()[1]), await reader.readexactly(int(length[1]))


def is_whole(address: str, body: bytes) -> bool:
    """Whether a page is there to its end, and is the one that was asked for."""
    name = address.rpartition("/")[2].encode() if address.startswith(("/cells/", "/sentences/")) else b""
    return body.rstrip().endswith(b"</html>") and name in body


def digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


async def reading(port: int, kinds: dict[str, list[str]], options: dict[str, float]) -> dict[str, object]:
    """All clients; what they saw."""
    right: dict[str, str] = {}
    first = Connection(port)
    alone: list[float] = []
    for _ in range(2):  # the first time, some things are made
        alone.clear()
        for address in sorted({one for some in kinds.values() for one in some[:N_ADDRESSES]}):
            begin = time.perf_counter()
            status, body = await first.ask(address)
            alone.append(time.perf_counter() - begin)
            assert status == 200, (address, status)
            right[address] = digest(body)
    until = time.perf_counter() + options["seconds"]
    times: dict[str, list[float]] = {kind: [] for kind in kinds}
    wrong: Counter[str] = Counter()
    n_prompts = 0

    async def client(number: int) -> None:
        draw = random.Random(number)
        mine = Connection(port)
        await asyncio.sleep(draw.random() * options["think_s"])
        while time.perf_counter() < until:
            kind = draw.choice(list(kinds))
            address = draw.choice(kinds[kind])
            if options["fresh"] and len(kinds[kind]) > N_ADDRESSES:
                address = kinds[kind].pop()
            begin = time.perf_counter()
            status, body = await mine.ask(address)
            times[kind].append(time.perf_counter() - begin)
            is_right = digest(body) == right[address] if address in right else is_whole(address, body)
            if status != 200 or not is_right:
                wrong[f"{status} {kind}"] += 1
            if options["think_s"]:
                await asyncio.sleep(draw.expovariate(1 / options["think_s"]))

    async def prompts() -> None:
        nonlocal n_prompts
        mine = Connection(port)
        while time.perf_counter() < until:
            text = quote(f"The old river of number {n_prompts} runs to the sea, and the boats on it")
            status, _ = await mine.ask(f"/prompt.json?text={text}&new=10")
            assert status == 200
            n_prompts += 1

    await asyncio.gather(prompts(), *(client(number) for number in range(int(options["clients"]))))
    everything = sorted(one for some in times.values() for one in some)
    found = {"alone_ms": milliseconds(sorted(alone)), "all_ms": milliseconds(everything)}
    found |= {f"{kind}_ms": milliseconds(sorted(some)) for kind, some in times.items()}
    return found | {"n_pages": len(everything), "n_prompts": n_prompts, "wrong": dict(wrong)}


def milliseconds(times: list[float]) -> dict[str, float]:
    """Of sorted times in seconds."""
    if not times:
        return {}
    parts = {"median": 0.5, "p95": 0.95, "slowest": 1.0}
    return {name: round(1000 * times[min(len(times) - 1, int(len(times) * part))], 1) for name, part in parts.items()}


def cpu_s(process: int) -> float:
    """Processor time that a process has taken."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder")
    parser.add_argument("--model")
    parser.add_argument("--clients", type=int, default=100)
    parser.add_argument("--think-s", type=float, default=1.0)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--fresh", action="store_true")
    parser.add_argument("--as-clients", type=int, help=argparse.SUPPRESS)  # the port: this process is the clients
    asked = parser.parse_args()
    options = {"clients": asked.clients, "think_s": asked.think_s, "seconds": asked.seconds, "fresh": asked.fresh}
    if asked.as_clients:
        print(
            json.dumps(
                asyncio.run(
                    reading(asked.as_clients, addresses(asked.folder, N_FRESH if asked.fresh else N_ADDRESSES), options)
                )
            )
        )
        return
    with served(asked.folder, asked.model) as (port, process):
        begin, command = cpu_s(process), [sys.executable, __file__, *sys.argv[1:], "--as-clients", str(port)]
        told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        busy = cpu_s(process) - begin
    loaded = os.getloadavg()[0]
    print(json.dumps({"benchmark": "server"} | options | json.loads(told) | {"cpu_s": busy, "load": round(loaded, 1)}))


if __name__ == "__main__":
    main()
