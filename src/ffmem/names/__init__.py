"""What a cell is called, and why: rules, people, language models; collections of cells."""
