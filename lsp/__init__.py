"""midline's language server: documents, completion, chat, models, and the engine that runs them."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("midline")
except PackageNotFoundError:  # run from a source tree that was never installed
    __version__ = "0.0.0"
