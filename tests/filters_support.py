"""What the filters' tests share: documents with the cursor in them, and rows of tables.

In the tables, ``¦`` in a document is the cursor; then comes what the model writes, and what is suggested of it.
"""

from __future__ import annotations

import pytest

from lsp.completion.place import Place
from lsp.documents import Cursor


def place_of(language: str, document: str) -> Place:
    before, after = document.split("¦")
    return Place.of(Cursor("file:///x", None, language, 1, before + after, len(before)))


def case(name: str, language: str, document: str, model: str, suggestion: str) -> object:
    return pytest.param(language, document, model, suggestion, id=f"{language}: {name}")
