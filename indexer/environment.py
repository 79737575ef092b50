"""The packages that a workspace's own environment holds, found by the files there: nothing of it is ever run."""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from indexer.chunk import Import

_FOLDERS = (".venv", "venv", "env")
_VARIABLES = ("VIRTUAL_ENV", "CONDA_PREFIX")
_SITE = ("lib/python3*/site-packages", "lib64/python3*/site-packages", "Lib/site-packages")
_MOST_BYTES = 4_000_000  # of a file that describes a package
_MOST_TOPS = 20
_NOT_THEIRS = frozenset({"bin", "docs", "examples", "include", "lib", "share", "test", "tests"})
_MOST_ASKED = 4_000  # characters of a question
_DIST_INFO = re.compile(r"(?P<name>.+?)-(?P<version>[^-]+)\.(?:dist|egg)-info")
_SPECIAL = re.compile(r"([\\*?\[\]!# ])")


@dataclass(frozen=True)
class Package:
    """An installed package."""

    name: str
    """As it is imported: ``yaml``, ``@scope/name``."""
    distribution: str
    """As it is installed: ``PyYAML``."""
    version: str
    folder: Path
    """What it is installed in: ``site-packages`` or ``node_modules``."""
    paths: tuple[str, ...]
    """Its files and folders there."""
    stamp: int
    """Changes when it is installed again."""

    @property
    def key(self) -> str:
        """What its index is kept under: the same for this version in this environment only."""
        place = f"{self.folder}\0{self.version}\0{self.stamp}\0{self.paths}"
        mark = hashlib.blake2b(place.encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()
        name = re.sub(r"[^\w.-]", "_", f"{self.distribution}-{self.version}")[:60]
        return f"{name}-{mark}"

    @property
    def only(self) -> tuple[str, ...]:
        """Patterns of .gitignore that leave out all but this package."""
        patterns = ["/*"]
        for path in self.paths:
            parts = path.split("/")
            for depth in range(1, len(parts)):
                above = "/".join(map(_literal, parts[:depth]))
                patterns += [f"!/{above}/", f"/{above}/*"]
            patterns.append(f"!/{'/'.join(map(_literal, parts))}")
        return tuple(patterns)


def _literal(name: str) -> str:
    return _SPECIAL.sub(r"\\\1", name)


def folded(name: str) -> str:
    """A package's name without what registries take no notice of."""
    return re.sub(r"[-_.]+", "-", name).lower()


# -- Python ------------------------------------------------------------------------------------------------------------


def site_packages(workspace: Path, variables: Mapping[str, str] = os.environ) -> list[Path]:
    """Where the workspace's Python packages are installed: its own environment's, else the one that is active."""
    places = [workspace / name for name in _FOLDERS if (workspace / name / "pyvenv.cfg").is_file()]
    places += [Path(variables[name]) for name in _VARIABLES if variables.get(name)]
    for place in places:
        try:
            found = {folder.resolve() for pattern in _SITE for folder in place.glob(pattern) if folder.is_dir()}
        except OSError:
            continue
        if found:
            return sorted(found)
    return []


def python_packages(site: Path) -> dict[str, Package]:
    """The packages of a ``site-packages``, by the names that they are imported and installed by, folded."""
    try:
        return _python_packages(site, site.stat().st_mtime_ns)
    except OSError:  # the environment is gone
        return {}


@lru_cache(16)
def _python_packages(site: Path, mtime_ns: int) -> dict[str, Package]:
    names = {entry.name for entry in os.scandir(site)}
    found: dict[str, Package] = {}
    for entry in sorted(names):
        parsed = _DIST_INFO.fullmatch(entry)
        if parsed is None:
            continue
        tops = _tops(site / entry, parsed["name"], names)
        for top in tops:
            module = top.partition(".")[0]
            package = Package(module, parsed["name"], parsed["version"], site, tuple(tops), _stamp(site / entry))
            found.setdefault(folded(module), package)
        if tops:
            found.setdefault(folded(parsed["name"]), found[folded(tops[0].partition(".")[0])])
    return found


def _tops(info: Path, name: str, there: set[str]) -> list[str]:
    """The modules and packages of a distribution, as they lie in its folder; none where its metadata is broken."""
    plain = name.replace("-", "_")
    record = (line.partition(",")[0].partition("/")[0] for line in _text(info / "RECORD").splitlines())
    listed = dict.fromkeys([name, plain, plain.lower(), *_text(info / "top_level.txt").split(), *record])
    tops = dict.fromkeys(own for one in listed for own in (one, f"{one}.py") if own in there)
    return [one for one in tops if re.fullmatch(r"[A-Za-z]\w*(?:\.py)?", one) and one not in _NOT_THEIRS][:_MOST_TOPS]


def _stamp(info: Path) -> int:
    try:
        return max(info.stat().st_mtime_ns, (info / "RECORD").stat().st_mtime_ns)
    except OSError:
        return 0


# -- JavaScript --------------------------------------------------------------------------------------------------------


def script_package(workspace: Path, name: str) -> Package | None:
    """A package of ``node_modules``, by the name that it is imported by: what declares its types."""
    modules = workspace / "node_modules"
    typed = "@types/" + name.removeprefix("@").replace("/", "__")
    for path in (name, typed):
        if not re.fullmatch(r"(?:@[\w.~-]+/)?[\w.~-]+", path) or not (modules / path).is_dir():
            continue
        told = _manifest(modules / path / "package.json")
        if path == typed or _has_types(told) or next(_declarations(modules / path), None):
            stamp = _mtime(modules / path / "package.json")
            return Package(name, path, str(told.get("version", "")), modules.resolve(), (path,), stamp)
    return None


def _has_types(told: Mapping[str, object]) -> bool:
    return any(told.get(key) for key in ("types", "typings")) or '"types"' in json.dumps(told.get("exports", ""))


def _declarations(folder: Path) -> Iterator[Path]:
    return (file for pattern in ("*.d.ts", "dist/*.d.ts", "types/*.d.ts") for file in folder.glob(pattern))


def _manifest(file: Path) -> dict[str, object]:
    try:
        told = json.loads(_text(file) or "{}")
    except (ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}


def _mtime(file: Path) -> int:
    try:
        return file.stat().st_mtime_ns
    except OSError:
        return 0


def _text(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            return opened.read(_MOST_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""


# -- both --------------------------------------------------------------------------------------------------------------

_SCRIPTS = frozenset({"javascript", "javascriptreact", "typescript", "typescriptreact", "vue", "svelte"})


def imported_name(module: str, language: str) -> str:
    """The package that a module as written in an import belongs to; empty where it is none, or the workspace's own."""
    if language == "python":
        return "" if module.startswith(".") else module.partition(".")[0]
    if language in _SCRIPTS and not module.startswith((".", "/", "#", "~", "node:")):
        parts = module.split("/")
        return "/".join(parts[: 2 if module.startswith("@") else 1])
    return ""


Imported = tuple[str, str, tuple[Import, ...]]
"""A file's path, language and imports."""

# A name that is hardly a plain word: in backticks, called, with a dot, a capital inside or at its beginning, a rule.
_CODE = re.compile(r"`([^`\n]+)`|\b([A-Za-z_][\w.]*)\(|\b(\w+(?:\.\w+)+|[A-Za-z]*[A-Z_]\w*)\b")
_WORD = re.compile(r"@?[A-Za-z_][\w./-]*\w|\w")


def asked_packages(question: str, files: Sequence[Imported]) -> list[tuple[str, str]]:
    """The packages that a question is about, as names and languages: each that it names, or something imported from it.

    A plain word is a package's name only where some file imports it: ``rich`` and ``requests`` are words as well.
    """
    text = question[:_MOST_ASKED]
    roots = {folded(name): (name, language) for name, language in imported_packages(files)}
    code = [name for found in _CODE.findall(text) for part in found for name in _WORD.findall(part)]
    wanted: dict[tuple[str, str], None] = {}
    for word in [*code, *_WORD.findall(text)]:
        for name in (word, word.partition(".")[0]):
            if folded(name) in roots:
                wanted[roots[folded(name)]] = None
    bound = {name: (one, language) for _, language, imports in files for one in imports for name in one.names}
    for word in code:
        first, _, rest = word.partition(".")
        last = rest.rpartition(".")[2]
        for name in filter(None, (first, last)):
            if name in bound and (package := imported_name(bound[name][0].module, bound[name][1])):
                wanted[package, bound[name][1]] = None
        if first.islower() and (rest or f"`{first}`" in text):
            wanted[first, "python"] = None
    return list(wanted)


def imported_packages(files: Iterable[Imported]) -> list[tuple[str, str]]:
    """The packages that files import, by name and language; which of them are installed is still to be seen."""
    found = ((imported_name(one.module, language), language) for _, language, imports in files for one in imports)
    return [(name, language) for name, language in dict.fromkeys(found) if name and not _is_standard(name, language)]


def _is_standard(name: str, language: str) -> bool:
    return language == "python" and name in sys.stdlib_module_names


def packages_named(names: Iterable[tuple[str, str]], workspace: Path) -> list[Package]:
    """The installed ones of some packages, given as name and language; each once, in order."""
    sites = site_packages(workspace)
    found: dict[Package, None] = {}
    for name, language in names:
        if language == "python":
            package = next((one for site in sites if (one := python_packages(site).get(folded(name)))), None)
        else:
            package = script_package(workspace, name)
        if package is not None:
            found[package] = None
    return list(found)
