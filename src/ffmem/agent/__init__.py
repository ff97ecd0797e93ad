"""What a program that speaks the Model Context Protocol asks of an index: the functions of the pages, with short answers."""
