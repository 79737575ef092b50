"""Edits: lines that the model rewrites, from the editor's request to the hunks that its user accepts."""
