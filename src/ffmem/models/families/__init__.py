"""What is special about each family of architectures; one file each, found by being here."""
