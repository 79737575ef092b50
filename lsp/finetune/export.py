"""What of a repository becomes examples, and what is left out and why."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from indexer import secrets
from indexer.content import PROSE
from indexer.files import FileRules, Skipped, listing, read
from indexer.languages import language_of
from indexer.outline import Parsed, parse
from indexer.query import is_test
from lsp.finetune.duplicates import Seen
from lsp.finetune.examples import Example, Gap, Split, functions, gaps, task
from lsp.finetune.licences import Licences, plain

_DATA = frozenset({"ini", "json", "jsonc", "plaintext", "toml", "xml", "yaml"})
_LEAST_LINES = 5  # of a file worth learning from
_LEAST_FUNCTION = 5  # lines; shorter ones are alike by nature
# What the index says of a file that stays out, by a part of the sentence.
_REASONS = {
    "ignored": "ignored",
    "version control": "version_control",
    "secret": "secret_files",
    "credentials": "secret_files",
    "binary": "binary",
    "lock file": "generated",
    "tool": "generated",
    "minified": "generated",
    "KiB": "too_large",
    "symbolic link": "links",
}


@dataclass(frozen=True)
class Options:
    """How to make examples.

    Args:
        seed: chooses gaps, and which files are for validation.
        validation: the share of files for validation.
        licences: under which files may stand, besides the workspace's own; SPDX's names.
    """

    seed: int = 1
    validation: float = 0.05
    licences: frozenset[str] = frozenset()


@dataclass
class Report:
    """What came out.

    ``left_out`` counts files and folders by reason, of ignored folders not what is in them; ``licences`` those files
    that stand under another licence, by its name; ``similar_functions`` and ``with_secrets`` count what of the other
    files was not used: functions nearly the same as one before, and examples that would show where a secret was.
    """

    files: Counter[str] = field(default_factory=Counter)
    examples: Counter[str] = field(default_factory=Counter)
    units: Counter[str] = field(default_factory=Counter)
    languages: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    licences: Counter[str] = field(default_factory=Counter)
    similar_functions: int = 0
    with_secrets: int = 0


def export(workspace: Path, rules: FileRules, options: Options, report: Report) -> Iterator[Example]:
    """The examples of a folder's files, in the order of their names; the same ones for the same seed and files.

    Args:
        workspace: the folder.
        rules: which files the settings leave out.
        options: how to make them.
        report: takes the counts, complete at the end.
    """
    licences = Licences(workspace)
    allowed = licences.own | set(map(plain, options.licences))
    files, bodies = Seen(), Seen()

    def skipped(path: str, reason: str) -> None:
        report.left_out[_reason(reason)] += 1

    for listed in listing(workspace, rules, skipped):
        source = read(workspace, listed.path, rules)
        if isinstance(source, Skipped):
            skipped(source.path, source.reason)
            continue
        language = language_of(listed.path)
        stated = licences.of(listed.path, source.text)
        if language in PROSE or language in _DATA:
            report.left_out["no_code"] += 1
        elif stated and not stated & allowed:
            report.left_out["other_licence"] += 1
            report.licences[" OR ".join(sorted(stated))] += 1
        elif source.text.count("\n") < _LEAST_LINES:
            report.left_out["too_short"] += 1
        elif files.has_like(text := secrets.redact(source.text)[0]):
            report.left_out["similar_files"] += 1
        else:
            split = _split(listed.path, options)
            report.files[split] += 1
            report.languages[language] += 1
            random = Random(f"{options.seed} {listed.path}")
            yield from _counted(_examples(listed.path, split, parse(text, language), random, bodies, report), report)


def _split(path: str, options: Options) -> Split:
    digest = hashlib.blake2b(f"{options.seed} {path}".encode(), digest_size=8).digest()
    return "validation" if int.from_bytes(digest) < options.validation * (1 << 64) else "train"


def _reason(sentence: str) -> str:
    return next((name for part, name in _REASONS.items() if part in sentence), "unreadable")


def _examples(
    path: str, split: Split, parsed: Parsed, random: Random, bodies: Seen, report: Report
) -> Iterator[Example]:
    """The examples of one file, but for those in functions that were seen in another."""
    again: list[range] = []
    for item, code in functions(parsed):
        if item.last - item.row + 1 >= _LEAST_FUNCTION and bodies.has_like(code):
            report.similar_functions += 1
            again.append(range(item.row + 1, item.last + 2))
        elif not is_test(path) and (asked := task(path, split, parsed, item, code)):
            yield asked  # what is said of a test seldom tells what to write
    for gap in gaps(path, split, parsed, random):
        if not any(gap.line in lines for lines in again):
            yield gap


def _counted(examples: Iterator[Example], report: Report) -> Iterator[Example]:
    """The examples that a model shall learn, counted: none that would teach it to write our marks of secrets."""
    for example in examples:
        learnt = example.middle if isinstance(example, Gap) else example.messages[1].content
        if secrets.MARKER in learnt:
            report.with_secrets += 1
            continue
        kind = "fim" if isinstance(example, Gap) else "instruct"
        report.examples[f"{kind}_{example.split}"] += 1
        if isinstance(example, Gap):
            report.units[example.unit] += 1
        yield example
