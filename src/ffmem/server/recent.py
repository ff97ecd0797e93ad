"""Answers that a page asks for again and again while something on it is moved: the last few are kept."""

from collections import OrderedDict
from collections.abc import Hashable
from threading import Lock
from typing import Generic, TypeVar

Answer = TypeVar("Answer")


class Recent(Generic[Answer]):
    """The last answers, by their questions.

    Args:
        most: how many.
    """

    def __init__(self, most: int = 16) -> None:
        self._most, self._lock = most, Lock()
        self._answers: OrderedDict[Hashable, Answer] = OrderedDict()

    def find(self, question: Hashable) -> Answer | None:
        """The answer to a question that was asked lately; None otherwise."""
        with self._lock:
            if question in self._answers:
                self._answers.move_to_end(question)
            return self._answers.get(question)

    def keep(self, question: Hashable, answer: Answer) -> Answer:
        """Keep an answer; the one that was not asked for the longest is forgotten."""
        with self._lock:
            self._answers[question] = answer
            self._answers.move_to_end(question)
            while len(self._answers) > self._most:
                self._answers.popitem(last=False)
        return answer
