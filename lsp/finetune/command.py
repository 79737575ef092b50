"""``midline model finetune-data``: a repository as JSONL, to train a model on elsewhere."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import BinaryIO

import msgspec
from rich.console import Console

from lsp.errors import MidlineError
from lsp.finetune.examples import Example, Gap
from lsp.finetune.export import Options, Report, export
from lsp.indexing import file_rules
from lsp.terminal import settings_for

_REPORT = "report.json"
_PARTS = tuple(f"{kind}.{split}.jsonl" for kind in ("fim", "instruct") for split in ("train", "validation"))


def finetune_command(folder: Path, output: Path, options: Options, *, as_json: bool) -> int:
    """Write the examples of a folder and say what came out; returns the exit code.

    Args:
        folder: the repository.
        output: one file for all, ``OUT.jsonl``, or a folder that gets a file for each kind and split, and the report.
        options: how to make them.
        as_json: print the report as JSON.

    Raises:
        MidlineError: there is no such folder, nothing in it to learn from, or the output can't be written.
    """
    settings, _ = settings_for(folder)
    workspace = Path(os.path.realpath(folder))
    report = Report()
    try:
        with _Output(output) as out, Console(stderr=True).status("") as status:
            for example in export(workspace, file_rules(settings), options, report):
                out.write(example)
                status.update(f"{report.files.total():,} files, {report.examples.total():,} examples")
            if not report.examples:
                raise MidlineError(
                    f"There is nothing to learn from in {folder}: {_counts(report.left_out) or 'it is empty'}.",
                    "`midline index --explain FILE` says why a file is left out.",
                )
            told = msgspec.to_builtins(report) | {"seed": options.seed, "output": str(output)}
            out.finish(told)
    except OSError as error:
        raise MidlineError(f"Can't write {error.filename or output}: {error.strerror or error}.") from error
    print(json.dumps(told) if as_json else _in_words(report, output))
    return 0


class _Output:
    """Where the examples go: written beside their places, and moved there when all of them are."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._single = place.suffix == ".jsonl"
        self._files: dict[Path, BinaryIO] = {}

    def __enter__(self) -> _Output:
        (self._place.parent if self._single else self._place).mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, *_: object) -> None:
        for path, file in self._files.items():
            file.close()
            _temporary(path).unlink(missing_ok=True)

    def write(self, example: Example) -> None:
        kind = "fim" if isinstance(example, Gap) else "instruct"
        path = self._place if self._single else self._place / f"{kind}.{example.split}.jsonl"
        self._file(path).write(msgspec.json.encode(example) + b"\n")

    def finish(self, report: dict[str, object]) -> None:
        if not self._single:
            self._file(self._place / _REPORT).write(json.dumps(report, indent=2).encode() + b"\n")
        for path, file in self._files.items():
            file.close()
            _temporary(path).replace(path)
        if not self._single:
            for path in {self._place / name for name in _PARTS} - self._files.keys():
                path.unlink(missing_ok=True)  # of an earlier run: its files may be for training now

    def _file(self, path: Path) -> BinaryIO:
        if path not in self._files:
            # Nobody else's to read: it holds code.
            descriptor = os.open(_temporary(path), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            self._files[path] = os.fdopen(descriptor, "wb")
        return self._files[path]


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}")


def _in_words(report: Report, output: Path) -> str:
    lines = [
        f"{output}: {_counts(report.examples)}",
        f"from {report.files.total():,} files ({_counts(report.languages)})",
        f"gaps: {_counts(report.units)}",
    ]
    left_out = report.left_out + Counter(similar_functions=report.similar_functions, with_secrets=report.with_secrets)
    if left_out:
        lines.append(f"left out: {_counts(left_out)}")
    if report.licences:
        lines.append(f"under another licence (--licence NAME lets one in): {_counts(report.licences)}")
    return "\n".join(lines)


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in counter.most_common())
