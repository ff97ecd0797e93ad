"""The words that tasks are made of."""

NOUNS = (
    ("boy", "boys"), ("girl", "girls"), ("teacher", "teachers"), ("doctor", "doctors"), ("student", "students"),
    ("farmer", "farmers"), ("writer", "writers"), ("artist", "artists"), ("king", "kings"), ("friend", "friends"),
    ("player", "players"), ("driver", "drivers"), ("author", "authors"), ("worker", "workers"), ("soldier", "soldiers"),
    ("dog", "dogs"), ("cat", "cats"), ("horse", "horses"), ("bird", "birds"), ("car", "cars"), ("house", "houses"),
    ("river", "rivers"), ("road", "roads"), ("tree", "trees"), ("book", "books"), ("song", "songs"), ("picture", "pictures"),
    ("ship", "ships"), ("garden", "gardens"), ("building", "buildings"), ("letter", "letters"), ("key", "keys"),
)  # fmt: skip
"""Singular and plural."""
VERBS = (("is", "are"), ("was", "were"), ("has", "have"))
"""The form after a singular, and after a plural."""
PHRASES = ("near", "behind", "beside", "with", "by")
SEEN = ("saw", "liked", "knew", "found", "met", "loved")
PLAIN = (
    "apple", "river", "table", "green", "stone", "paper", "music", "garden", "winter", "silver", "bridge", "cloud", "engine",
    "forest", "glass", "hammer", "island", "jacket", "kitchen", "ladder", "market", "needle", "orange", "pocket", "quiet",
    "rabbit", "saddle", "ticket", "valley", "window", "yellow", "castle", "doctor", "finger", "guitar", "honey", "letter",
    "mirror", "number", "ocean", "pencil", "ribbon", "school", "tower", "village", "water", "bread", "chair", "dream", "field",
)  # fmt: skip
"""Words that have nothing to do with each other."""
CAPITALS = (
    ("France", "Paris"), ("Germany", "Berlin"), ("Italy", "Rome"), ("Spain", "Madrid"), ("Russia", "Moscow"),
    ("Japan", "Tokyo"),
    ("China", "Beijing"), ("Egypt", "Cairo"), ("Greece", "Athens"), ("Austria", "Vienna"), ("Poland", "Warsaw"),
    ("Portugal", "Lisbon"), ("Ireland", "Dublin"), ("Norway", "Oslo"), ("Sweden", "Stockholm"), ("Denmark", "Copenhagen"),
    ("Finland", "Helsinki"), ("Hungary", "Budapest"), ("Turkey", "Ankara"), ("Iran", "Tehran"), ("Iraq", "Baghdad"),
    ("Syria", "Damascus"), ("Cuba", "Havana"), ("Canada", "Ottawa"), ("England", "London"), ("Scotland", "Edinburgh"),
    ("Belgium", "Brussels"), ("Ukraine", "Kiev"), ("Lebanon", "Beirut"), ("Thailand", "Bangkok"), ("Kenya", "Nairobi"),
    ("Peru", "Lima"), ("Nepal", "Kathmandu"), ("India", "Delhi"), ("Jordan", "Amman"), ("Korea", "Seoul"),
)  # fmt: skip
