"""Chat about the code in front of the user: conversations, their context with sources, answers."""
