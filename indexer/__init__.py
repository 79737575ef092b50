"""What midline knows about a workspace's files; it knows nothing of LSP or of models."""
