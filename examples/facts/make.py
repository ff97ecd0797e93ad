"""Write a set of facts to edit, in CounterFact's fields.

Call it with the file: python examples/facts/make.py facts.json

Everything here is plain knowledge that nobody owns: which country a city is in, which continent a country, which language is
official there, and what kind of thing a word names. No sentence is copied from anywhere. A fact's neighbours are other subjects
with the same answer.
"""

import json
import random
import sys
from pathlib import Path

EDITED = 5
"""Subjects of each answer that are edited; the others are neighbours."""
NEIGHBOURS = 5

RELATIONS = {
    "country": {
        "prompt": "{} is a city in the country of",
        "paraphrases": ["The city of {} is located in", "If you visit {}, you are in a country called"],
        "answers": {
            "France": "Lyon Marseille Toulouse Nantes Bordeaux Lille Strasbourg Grenoble Dijon",
            "Italy": "Milan Naples Turin Florence Bologna Genoa Venice Verona Palermo",
            "Germany": "Hamburg Munich Cologne Frankfurt Stuttgart Dresden Leipzig Bremen Hanover",
            "Japan": "Osaka Kyoto Nagoya Sapporo Kobe Fukuoka Hiroshima Yokohama Sendai",
            "Spain": "Barcelona Seville Valencia Bilbao Malaga Zaragoza Granada Toledo Pamplona",
        },
    },
    "continent": {
        "prompt": "{} is a country on the continent of",
        "paraphrases": ["On a map of the world, {} lies in", "The people of {} live in"],
        "answers": {
            "Africa": "Kenya Ghana Nigeria Uganda Zambia Senegal Mali Ethiopia Botswana",
            "Europe": "Poland Austria Portugal Belgium Norway Hungary Greece Finland Denmark",
            "Asia": "Nepal Thailand Vietnam Mongolia Laos Cambodia Bhutan Pakistan Bangladesh",
        },
    },
    "kind": {
        "prompt": "The {} is a species of",
        "paraphrases": ["A {} is a kind of", "In the dictionary, a {} is described as a type of"],
        "answers": {
            "bird": "sparrow eagle robin pigeon owl parrot swan hawk stork",
            "fish": "salmon trout tuna herring cod carp sardine mackerel pike",
            "tree": "maple birch willow elm cedar poplar beech sycamore spruce",
        },
    },
    "language": {
        "prompt": "The official language of {} is",
        "paraphrases": ["In {}, most people speak", "The laws of {} are written in"],
        "answers": {
            "Spanish": "Mexico Argentina Chile Peru Colombia Cuba Venezuela Bolivia Paraguay",
            "Arabic": "Egypt Iraq Jordan Syria Kuwait Oman Yemen Qatar Libya",
            "Portuguese": "Brazil Portugal Angola Mozambique",
            "German": "Germany Austria Liechtenstein",
        },
    },
}


def facts() -> list[dict]:
    """Every fact: each edited subject of each answer, with another answer of its relation as the new one."""
    draw = random.Random(0)
    found = []
    for relation, told in RELATIONS.items():
        answers = {
            answer: names.split() for answer, names in told["answers"].items() if len(names.split()) > NEIGHBOURS
        }
        for answer, subjects in answers.items():
            for subject in subjects[:EDITED]:
                others = draw.sample([one for one in subjects if one != subject], NEIGHBOURS)
                found.append(
                    {
                        "case_id": len(found),
                        "requested_rewrite": {
                            "prompt": told["prompt"],
                            "relation_id": relation,
                            "subject": subject,
                            "target_new": {"str": draw.choice([one for one in told["answers"] if one != answer])},
                            "target_true": {"str": answer},
                        },
                        "paraphrase_prompts": [one.replace("{}", subject) for one in told["paraphrases"]],
                        "neighborhood_prompts": [told["prompt"].replace("{}", one) for one in others],
                    }
                )
    return found


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps(facts(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
