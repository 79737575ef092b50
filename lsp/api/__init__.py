"""`midline serve-api`: the loaded model for other programs, in the shapes of OpenAI's API and of Ollama's."""
