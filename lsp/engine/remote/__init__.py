"""A model on another machine, behind the surface of `lsp.engine.client.EngineClient`: see `docs/remote.md`.

``config`` says what is asked for, ``address`` which hosts may be spoken to, ``key`` finds the API key, and ``wire`` is
HTTP with its limits. A *server* (``llama_server``, ``ollama``, ``openai``) knows one API; ``discovery`` finds out which
one it is, and how it infills. ``engine`` makes an engine of it, with the local model to fall back on.
"""
