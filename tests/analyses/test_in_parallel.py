"""Layers come in their order, whichever is done first."""

import threading
import time

from ffmem.analyses.in_parallel import of_layers


def test_in_order_though_the_first_takes_longest() -> None:
    heard: list[int] = []
    running: list[str] = []

    def work(place: int) -> int:
        running.append(threading.current_thread().name)
        time.sleep(0.05 if place == 1 else 0)
        return place * place

    assert of_layers(5, work, heard.append) == [0, 1, 4, 9, 16]
    assert heard == [0, 1, 2, 3, 4] and len(running) == 5


def test_no_and_one_layer() -> None:
    assert of_layers(0, lambda place: place, lambda _: None) == []
    assert of_layers(1, lambda place: place, lambda _: None) == [0]
