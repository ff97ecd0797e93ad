"""What asks a server of a language model: one answer for a question, kept, paced, within a budget."""
