"""How many cells a text uses, which it never uses, and what those are for that come on at few tokens or places."""
