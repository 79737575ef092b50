"""Models that other programs have put on this disk: found where those keep them, read, and never written to."""
