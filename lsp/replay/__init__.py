"""``midline replay``: a person typing real code in a real editor, to measure what completing costs."""
