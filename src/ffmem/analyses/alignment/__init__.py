"""Which word of a sentence is the translation of which of the other: read from attention, and scored against gold links.

`pairs`, `links`, `scoring`, `words` and `maps` need neither a model nor torch.
"""
