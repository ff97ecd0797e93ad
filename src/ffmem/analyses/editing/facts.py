"""Facts to change, in the fields of CounterFact: what is asked, what is answered, what is to be, and what is to stay."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ffmem.errors import InputError
from ffmem.json_values import JsonObject, Record
from ffmem.store.files import parse_json


@dataclass(frozen=True)
class Fact(Record):
    """Something that a model says after a prompt, and what it is to say."""

    prompt: str
    """The subject is in it: "Lyon is a city in the country of"."""
    new: str
    """What is to be said."""
    subject: str = ""
    """What it is about, a part of the prompt: "Lyon"; "": the edit is made at the prompt's last token."""
    old: str = ""
    """What is said; "": the most probable token of the model as it is."""
    paraphrases: tuple[str, ...] = ()
    """Other words that ask the same: the new answer should follow these, too."""
    neighbours: tuple[str, ...] = ()
    """The same asked of other subjects, whose answer is the old one and should stay."""
    relation: str = ""
    """What kind of fact it is; facts of one relation are drawn together."""

    def __post_init__(self) -> None:
        if not self.prompt.strip() or not self.new.strip():
            raise InputError(
                f"the prompt is {self.prompt!r} and the new answer {self.new!r}",
                "Expected some words of each",
                'Write for example: ffmem edit MODEL "Lyon is a city in the country of" "Italy" --subject Lyon --out one.patch',
            )
        if self.subject not in self.prompt:
            raise InputError(
                f"the subject {self.subject!r} is not in the prompt {self.prompt!r}",
                "Expected a part of the prompt, letter by letter",
                "Write --subject as it stands in the prompt, or leave it out",
            )
        if self.old and _told(self.old) == _told(self.new):
            raise InputError(
                f"the new answer to {self.prompt!r} is the old one: {self.new!r}",
                "Expected two different answers",
                "Leave the fact out, or give another new answer",
            )


def _told(answer: str) -> str:
    return answer.strip()


def read_facts(path: str | Path) -> tuple[Fact, ...]:
    """The facts of a file: a JSON list in CounterFact's fields.

    Raises:
        InputError: there is no such file, or it is something else.
    """
    path = Path(path)
    try:
        rows = parse_json(path.read_bytes())
        if not isinstance(rows, list) or not rows:
            raise ValueError("it is no list of facts")
        return tuple(_fact(row, number) for number, row in enumerate(rows))
    except OSError as error:
        raise InputError(
            f"{path} cannot be read: {error.strerror}", "Expected a file of facts", "Write --facts FILE"
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path} is no file of facts: {type(error).__name__}: {error}",
            "Expected a JSON list of objects with requested_rewrite {prompt, subject, target_true, target_new}, "
            "paraphrase_prompts and neighborhood_prompts",
            "See docs/how-to/change-a-memory.md, and examples/facts/facts.json",
        ) from error


def _fact(row: Mapping[str, Any], number: int) -> Fact:
    asked = row["requested_rewrite"]
    prompt, subject = str(asked["prompt"]), str(asked["subject"])
    if prompt.count("{}") != 1:
        raise ValueError(f"the prompt of fact {number} has no {{}} for its subject: {prompt!r}")
    lists = [row.get(name, []) for name in ("paraphrase_prompts", "neighborhood_prompts")]
    if not all(isinstance(one, list) and all(isinstance(text, str) for text in one) for one in lists):
        raise ValueError(f"paraphrases or neighbours of fact {number} are no lists of texts")
    return Fact(
        prompt=prompt.replace("{}", subject),
        new=str(asked["target_new"]["str"]),
        subject=subject,
        old=str(asked["target_true"]["str"]),
        paraphrases=tuple(lists[0]),
        neighbours=tuple(lists[1]),
        relation=str(asked.get("relation_id", "")),
    )


def fact_row(fact: Fact, number: int) -> JsonObject:
    """A fact as a row of such a file; `read_facts` reads it back."""
    template = fact.prompt.replace(fact.subject, "{}", 1) if fact.subject else fact.prompt
    return {
        "case_id": number,
        "requested_rewrite": {
            "prompt": template,
            "relation_id": fact.relation,
            "subject": fact.subject,
            "target_new": {"str": fact.new},
            "target_true": {"str": fact.old},
        },
        "paraphrase_prompts": list(fact.paraphrases),
        "neighborhood_prompts": list(fact.neighbours),
    }
