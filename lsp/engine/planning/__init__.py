"""What a model needs of a machine's memory, and where it goes: from the header of its file, before it is loaded."""
