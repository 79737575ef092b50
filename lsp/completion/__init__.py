"""One completion: cursor → prompt → generation → post-processing → suggestion."""
