"""Which paths ignore rules leave out: git's own files, .midlineignore, the settings, and a few defaults.

pathspec turns a pattern into a regular expression; what is added here is what stands around it, as git does it: of
nested files the last match in the nearest decides, and what lies in an ignored folder can't be taken back. A folder is
therefore judged before anything in it.
"""

from __future__ import annotations

import os
import re
import stat
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

GITIGNORE = ".gitignore"
MIDLINEIGNORE = ".midlineignore"
RULE_FILES = frozenset({GITIGNORE, MIDLINEIGNORE})
VERSION_CONTROL = frozenset({".git", ".hg", ".svn", ".jj", ".bzr", "CVS"})
"""Never looked into, whatever the rules say."""

MARKERS = {
    "CACHEDIR.TAG": "its CACHEDIR.TAG says that it is a cache",
    "pyvenv.cfg": "its pyvenv.cfg says that it is a virtual environment",
}
"""Files by which a folder says itself that it holds nobody's source (cargo's ``target``, any virtual environment)."""

# Only names that no one gives to a folder of sources. build, dist, out, target, vendor, bin, env and packages are
# sources in many repositories: where they are not, .gitignore or a marker says so. ripgrep hides none by name either.
_DEFAULTS = """
    node_modules/ bower_components/ jspm_packages/ __pycache__/ .venv/ .tox/ .nox/ .eggs/ *.egg-info/ .mypy_cache/
    .pytest_cache/ .ruff_cache/ .hypothesis/ .ipynb_checkpoints/ .direnv/ .gradle/ .terraform/ .terragrunt-cache/ .next/
    .nuxt/ .svelte-kit/ .parcel-cache/ .turbo/ .angular/ .yarn/ .pnpm-store/ .dart_tool/ .bloop/ .metals/ .idea/ .vs/
    .nyc_output/ .sass-cache/ .ccache/ DerivedData/ .DS_Store *~ *.swp *.swo *.orig *.rej
"""

_LARGEST_RULE_FILE = 1 << 20
_ANYWHERE = "^(?:.+/)?"
_WILD = re.compile(r"[*?\[\\]")


@dataclass(frozen=True, slots=True)
class Rule:
    """One pattern: ``takes_back`` is git's ``!``."""

    pattern: str
    source: str
    line: int
    takes_back: bool
    folders_only: bool
    expression: re.Pattern[str]

    def __str__(self) -> str:
        return f"{self.pattern!r} in {self.source}" + (f", line {self.line}" if self.line else "")


def _parse(pattern: str, source: str, line: int) -> Rule | None:
    # Blanks at the end don't count unless escaped; pathspec knows that, the slash before them must be found here.
    text = pattern if pattern.endswith("\\ ") else pattern.rstrip()
    folders_only = text.endswith("/")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            parsed = GitIgnoreSpecPattern(text.rstrip("/") if folders_only else text)
    except (ValueError, re.error):
        return None
    if parsed.include is None or parsed.regex is None:
        return None
    return Rule(text, source, line, not parsed.include, folders_only, parsed.regex)


class Rules:
    """The rules of one file or setting, for paths relative to where they stand."""

    def __init__(self, lines: Iterable[str], source: str, numbered: bool = True) -> None:
        """Take lines of a .gitignore; what is no pattern is left aside, as git does."""
        self._names: list[Rule] = []  # matched against the name alone, at any depth
        self._paths: list[Rule] = []
        self._order: dict[int, int] = {}
        for number, line in enumerate(lines, 1):
            rule = _parse(line, source, number if numbered else 0)
            if rule is None:
                continue
            anywhere = "/" not in rule.pattern.lstrip("!").rstrip("/")
            (self._names if anywhere else self._paths).append(rule)
            self._order[id(rule)] = number
        self._any_name = _either(self._names)
        self._any_path = _either(self._paths)

    def __bool__(self) -> bool:
        return bool(self._names or self._paths)

    def match(self, path: str, name: str, is_folder: bool) -> Rule | None:
        """The last rule that speaks of this path itself (not of a folder around it), or None."""
        found = None
        if self._any_name is not None and self._any_name.match(name):
            found = self._last(self._names, name, is_folder)
        if self._any_path is not None and self._any_path.match(path):
            other = self._last(self._paths, path, is_folder)
            if found is None or (other is not None and self._order[id(other)] > self._order[id(found)]):
                found = other
        return found

    @staticmethod
    def _last(rules: list[Rule], path: str, is_folder: bool) -> Rule | None:
        for rule in reversed(rules):
            if rule.folders_only and not is_folder:
                continue
            match = rule.expression.match(path)
            # ps_d: pathspec matched a folder around the path, which has been judged already.
            if match and not match.groupdict().get("ps_d"):
                return rule
        return None


def _either(rules: list[Rule]) -> re.Pattern[str] | None:
    """One expression that matches whenever any of the rules might: nearly every path is done with after it."""
    parts = {rule.expression.pattern.replace("(?P<ps_d>", "(?:") for rule in rules}
    if not parts:
        return None
    shortened = sorted(f"(?:{part.removeprefix(_ANYWHERE)})" if part.startswith(_ANYWHERE) else part for part in parts)
    if any("/" in rule.pattern.rstrip("/") for rule in rules):
        shortened = sorted(parts)  # a name begins where a path does; elsewhere the prefix is needed
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return re.compile("|".join(shortened))


_DEFAULT_RULES = Rules(_DEFAULTS.split(), "midline's defaults", numbered=False)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the rules say of a path; ``rule`` is None where none speaks of it."""

    ignored: bool
    rule: Rule | None = None


@dataclass(frozen=True, slots=True)
class Scope:
    """The rules in force in one folder, the strongest first; each with the length of the path that it stands at."""

    strong: tuple[tuple[Rules, str], ...]
    ours: tuple[tuple[Rules, str], ...] = ()
    gits: tuple[tuple[Rules, str], ...] = ()
    weak: tuple[tuple[Rules, str], ...] = ()
    git: bool = True
    """Whether what git ignores counts."""

    def judge(self, path: str, is_folder: bool) -> Verdict:
        """What is said of a path (relative to the workspace) whose folders are not ignored themselves."""
        name = path.rpartition("/")[2]
        for layer in (self.strong, self.ours, self.gits, self.weak):
            for rules, base in layer:
                # A base is a folder in the workspace to cut off, or (after a slash) the way to it from one around it.
                local = base[1:] + path if base.startswith("/") else path[len(base) :]
                rule = rules.match(local, name, is_folder)
                if rule is not None:
                    return Verdict(not rule.takes_back, rule)
        return Verdict(False)

    def inside(self, folder: str, gits: Rules | None, ours: Rules | None) -> Scope:
        """The scope of a folder (``""`` or ``a/b/``) that has these rule files."""
        scope = self
        if gits and self.git:
            scope = replace(scope, gits=((gits, folder), *scope.gits))
        if ours:
            scope = replace(scope, ours=((ours, folder), *scope.ours))
        return scope


def read_rules(file: Path, source: str) -> Rules | None:
    """The rules of a file; None where there is none, or none that can be read. Read again only when it has changed."""
    lines = _lines(file)
    return _rules_of(lines, source) if lines else None


@lru_cache(4096)
def _rules_of(lines: tuple[str, ...], source: str, numbered: bool = True) -> Rules:
    return Rules(lines, source, numbered)


def _lines(file: Path) -> tuple[str, ...]:
    try:
        facts = file.stat()
        if not stat.S_ISREG(facts.st_mode):
            return ()
        return _lines_then(file, facts.st_mtime_ns, facts.st_size, facts.st_ino)
    except (OSError, ValueError):
        return ()


@lru_cache(4096)
def _lines_then(file: Path, mtime_ns: int, size: int, inode: int) -> tuple[str, ...]:
    with file.open("rb") as opened:
        return tuple(opened.read(_LARGEST_RULE_FILE).decode("utf-8-sig", "surrogateescape").splitlines())


def outermost(workspace: Path, exclude: tuple[str, ...], *, git: bool = True) -> Scope:
    """The scope around a workspace: settings, the repository that it lies in, the user's own rules, the defaults.

    Where the rules of a repository around it ignore the workspace itself, they are left aside: the user opened it.
    Without ``git``, what git ignores counts nowhere: only the settings and the defaults do.
    """
    strong = _rules_of(exclude, "the settings", numbered=False)
    if not git:
        return Scope(((strong, ""),) if strong else (), weak=((_DEFAULT_RULES, ""),), git=False)
    repository = repository_of(workspace)
    around = ""
    gits: list[tuple[Rules, str]] = []
    weak: list[tuple[Rules, str]] = []
    if repository is not None:
        inner = workspace.relative_to(repository).as_posix()
        around = "" if inner == "." else inner
        weak += _rules_at(git_folder(repository) / "info" / "exclude", f"/{around}/" if around else "")
        gits = list(_around(repository, around))
    global_file = _global_file(repository)
    if global_file is not None:
        weak += _rules_at(global_file, f"/{around}/" if around else "")
    scope = Scope(((strong, ""),) if strong else (), (), tuple(gits), (*weak, (_DEFAULT_RULES, "")))
    if around and _is_ignored(around, scope):
        return Scope(scope.strong, weak=((_DEFAULT_RULES, ""),))
    return scope


def _rules_at(file: Path, base: str) -> list[tuple[Rules, str]]:
    rules = read_rules(file, str(file))
    return [(rules, base)] if rules else []


def _around(repository: Path, around: str) -> Iterator[tuple[Rules, str]]:
    """The .gitignore files of the folders between a workspace and the repository's top, the nearest first."""
    parts = around.split("/") if around else []
    for depth in range(len(parts) - 1, -1, -1):
        file = repository.joinpath(*parts[:depth]) / GITIGNORE
        yield from _rules_at(file, "/" + "".join(f"{part}/" for part in parts[depth:]))


def _is_ignored(around: str, scope: Scope) -> bool:
    """Whether the rules around a workspace ignore it, or a folder that it lies in."""
    for rules, base in (*scope.gits, *scope.weak[:-1]):
        parts = base.strip("/").split("/")
        for depth in range(1, len(parts) + 1):
            rule = rules.match("/".join(parts[:depth]), parts[depth - 1], True)
            if rule is not None and not rule.takes_back:
                return True
    return False


def repository_of(folder: Path) -> Path | None:
    """The top of the git repository that a folder lies in; None where there is none."""
    return next((top for top in (folder, *folder.parents) if os.path.lexists(top / ".git")), None)


def git_folder(repository: Path) -> Path:
    """The folder of a repository's own files: ``.git``, or where a worktree's or submodule's ``.git`` file points."""
    dot_git = repository / ".git"
    try:
        if dot_git.is_file():
            return (repository / "".join(_lines(dot_git)[:1]).removeprefix("gitdir:").strip()).resolve()
    except (OSError, ValueError):
        pass
    return dot_git


def _global_file(repository: Path | None) -> Path | None:
    """The user's own ignore file: core.excludesFile, or git's default place for it."""
    home = Path(os.path.expanduser("~"))  # noqa: PTH111 - Path.home() raises where there is none
    config = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config") / "git"
    files = [config / "config", home / ".gitconfig"]
    if repository is not None:
        files.append(git_folder(repository) / "config")
    named = [name for file in files for name in _excludes_files(file)]
    return Path(os.path.expanduser(named[-1])) if named else config / "ignore"  # noqa: PTH111


def _excludes_files(config: Path) -> Iterator[str]:
    section = ""
    for line in _lines(config):
        text = line.strip()
        if text.startswith("["):
            section = text.strip("[]").strip().lower()
        key, _, value = text.partition("=")
        if section == "core" and key.strip().lower() == "excludesfile":
            yield value.strip().strip('"')
