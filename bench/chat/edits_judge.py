"""Judges an edit: the function, taken out of its file and its class, and its task's test run as one program."""

from __future__ import annotations

import ast
import textwrap

from bench.chat.edits_tasks import Given
from bench.quality import sandbox
from lsp.completion.syntax import errors, parse

# What tests may use. Annotations stay text, so that no name in them has to exist here.
_PRELUDE = """\
from __future__ import annotations
import ast, collections, datetime, functools, inspect, itertools, operator, os, re, string, sys, textwrap, time
import urllib, urllib.parse
from types import SimpleNamespace as NS

def has(*kinds):
    "Whether the function's code has such syntax."
    return any(isinstance(node, kinds) for node in ast.walk(ast.parse(SOURCE)))

def names(function):
    "The names of its parameters."
    return list(inspect.signature(function).parameters)

def hints(function):
    "Its annotations as they are written, in one form."
    return {name: text.replace(' ', '').strip("'\\"") for name, text in function.__annotations__.items()}

def raises(error, function, *args, **named):
    "The error, if it is raised."
    try:
        function(*args, **named)
    except error as raised:
        return raised

def uses(function, name):
    "Whether its code reads this global."
    body = next(node for node in ast.walk(ast.parse(SOURCE)) if getattr(node, 'name', '') == function.__name__)
    read = [node.id for node in ast.walk(body) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)]
    return name in read and name not in function.__code__.co_varnames
"""


def verdict(given: Given, code: str) -> str:
    """Empty where the function's new lines do what its task asks; else how they fail."""
    code = textwrap.dedent(code)
    return sandbox.run(f"{_PRELUDE}\nSOURCE = {code!r}\n{code}\n{given.task.test}\n")


def added_errors(given: Given, code: str) -> bool:
    """Whether the document has a parse error with these lines that it hasn't without: by tree-sitter, or by Python."""
    after = given.document(code)
    if _errors(after) > _errors(given.text):
        return True
    try:
        ast.parse(after)
    except (SyntaxError, ValueError):
        return True
    return False


def _errors(text: str) -> int:
    root = parse(text, "python")
    return len(list(errors(root))) if root else 0
