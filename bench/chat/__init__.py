"""Measures chat: retrieval and citations, edits, follow-ups, drafting."""
