"""From what a user types to a loaded module and tokenizer: sources, formats, adapters, checks of files."""
