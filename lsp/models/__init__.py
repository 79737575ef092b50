"""Models as files: the catalogue of known ones, what is installed, how they are fetched and checked."""
