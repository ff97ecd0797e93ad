"""What a corpus is made of: documents, sentences, tokens."""
