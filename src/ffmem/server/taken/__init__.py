"""What a reader takes away of a page: the rows behind its tables and pictures, as files."""
