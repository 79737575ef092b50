"""What imports mean: the names that they bind, and the files of the workspace that they name."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator
from posixpath import basename, commonprefix, dirname, join, normpath, splitext

from indexer.chunk import Import

_ALIAS = re.compile(r"^(.*?)(?:\s+as\s+|\s*=>\s*)([\w*]+)$")
_LEADING = re.compile(r"^(?:import|use|using|static|function|const|pub|global)\s+")
_SEPARATOR = re.compile(r"::|[.\\/]")


def bound_by(module: str, part: str) -> list[str]:
    """The name that a bare import of a module binds: the first or the last part of its path, or none."""
    if not part:
        return []
    pieces = [piece for piece in _SEPARATOR.split(module) if piece]
    return [pieces[0 if part == "first" else -1]] if pieces else []


def expanded(tree: str) -> Iterator[tuple[str, str]]:
    """The paths of a use tree such as ``a::{b, c as d, e::*}``, each with the name that it binds (a star: ``*``)."""
    tree = tree.strip().rstrip(";")
    while (shorter := _LEADING.sub("", tree)) != tree:
        tree = shorter
    for path in _leaves(" ".join(tree.split())):
        alias = _ALIAS.match(path)
        module, name = (alias[1].strip(), alias[2]) if alias else (path, "")
        pieces = [piece.strip() for piece in _SEPARATOR.split(module)]
        if pieces[-1] in ("*", "_", "given"):
            yield re.sub(r"(?:::|[.\\])?(?:\*|_|given)$", "", module), "*"
        elif pieces[-1] == "self" and len(pieces) > 1:
            yield module.removesuffix("self").rstrip(":."), name or pieces[-2]
        elif module:
            yield module, name or pieces[-1]


def _leaves(tree: str) -> Iterator[str]:
    """A tree's paths, braces multiplied out; at most some thousand, so that nested braces can't explode."""
    todo = [("", tree)]
    for _ in range(2_000):
        if not todo:
            return
        prefix, rest = todo.pop()
        parts = _at_commas(rest)
        if len(parts) > 1:
            todo += [(prefix, part) for part in reversed(parts)]
            continue
        head, brace, inner = rest.partition("{")
        if brace:
            todo.append((prefix + head.strip(), inner.rpartition("}")[0] or inner))
        elif rest.strip():
            yield prefix + rest.strip()


def _at_commas(tree: str) -> list[str]:
    depth, start, parts = 0, 0, []
    for at, character in enumerate(tree):
        if character == "," and depth == 0:
            parts.append(tree[start:at])
            start = at + 1
        else:
            depth += (character == "{") - (character == "}")
    return [part for part in (*parts, tree[start:]) if part.strip()] or [tree]


_MOST = 40  # files of one import; a namespace may have thousands
_SCRIPT_ENDINGS = (".ts", ".tsx", ".d.ts", ".js", ".jsx", ".mts", ".cts", ".mjs", ".cjs", ".vue", ".svelte", ".json")
_INDEX_STEMS = frozenset({"__init__", "index", "mod", "init"})
_RUST_ROOTS = ("lib.rs", "main.rs", "mod.rs")
_VARIABLE = re.compile(r"^(?:\$\{?\w+\}?|\$\(.*\))/")


class Resolver:
    """Which files of a workspace an import means.

    Paths are relative to the workspace, with ``/``. Adding and removing one costs a few dictionary entries.
    """

    def __init__(self, paths: Iterable[str] = ()) -> None:
        self._paths: set[str] = set()
        self._by_stem: dict[str, set[str]] = {}  # lower case; of an index file also by its folder's name
        self._folders: dict[str, set[str]] = {}
        self._by_folder_name: dict[str, set[str]] = {}  # lower case
        for path in paths:
            self.add(path)

    def add(self, path: str) -> None:
        """A file has come."""
        if path in self._paths:
            return
        self._paths.add(path)
        for stem in _stems(path):
            self._by_stem.setdefault(stem, set()).add(path)
        folder = dirname(path)
        if folder not in self._folders:
            self._by_folder_name.setdefault(basename(folder).lower(), set()).add(folder)
        self._folders.setdefault(folder, set()).add(path)

    def remove(self, path: str) -> None:
        """A file has gone."""
        if path not in self._paths:
            return
        self._paths.discard(path)
        for stem in _stems(path):
            self._by_stem[stem].discard(path)
        folder = dirname(path)
        self._folders[folder].discard(path)
        if not self._folders[folder]:
            del self._folders[folder]
            self._by_folder_name[basename(folder).lower()].discard(folder)

    def resolve(self, imported: Import, path: str, language: str) -> tuple[str, ...]:
        """The files that `imported`, written in the file `path`, means; empty where it is none of the workspace."""
        by_language = _RESOLVERS.get(language)
        if by_language is None or not imported.module.strip("."):
            return self._python(imported, path) if language == "python" else ()
        found = by_language(self, imported, path)
        return tuple(dict.fromkeys(one for one in found if one != path))[:_MOST]

    def _first(self, candidates: Iterable[str]) -> tuple[str, ...]:
        return next(((one,) for one in candidates if one in self._paths), ())

    def _by_tail(self, tail: str, endings: tuple[str, ...], near: str) -> tuple[str, ...]:
        """The file nearest to `near` whose path ends with `tail` and one of the endings."""
        whole = [tail + ending for ending in endings]
        stem = splitext(basename(whole[0]))[0].lower()
        if stem in _INDEX_STEMS:
            stem = basename(dirname(whole[0])).lower() or stem
        known = self._by_stem.get(stem, set()) | self._by_stem.get(basename(tail).lower(), set())
        found = [one for one in known if any(one == end or one.endswith("/" + end) for end in whole)]
        return (min(found, key=lambda one: _distance(one, near)),) if found else ()

    def _python(self, imported: Import, path: str) -> tuple[str, ...]:
        module = imported.module.lstrip(".")
        level = len(imported.module) - len(module)
        parts = [part.strip() for part in module.split(".") if part.strip()]
        if level:
            base = dirname(path)
            for _ in range(level - 1):
                base = dirname(base)
            bases = [join(base, *parts)]
        else:
            bases = self._python_bases(parts, path)
        for base in bases:
            modules = [self._python_module(join(base, name)) for name in imported.names if name.isidentifier()]
            below = tuple(one for found in modules for one in found)
            own = () if below and len(below) == len(imported.names) else self._python_module(base)
            if below or own:
                return below + own
        return ()

    def _python_module(self, base: str) -> tuple[str, ...]:
        return self._first((base + ".py", base + ".pyi", base + "/__init__.py", base + "/__init__.pyi"))

    def _python_bases(self, parts: list[str], path: str) -> list[str]:
        """Where an absolute module may be, without ending: below folders around the file, else below any other.

        A folder that is a package itself is no place to import from.
        """
        tail = "/".join(parts)
        folder = dirname(path)
        while True:
            base = join(folder, tail)
            if (base in self._folders or self._python_module(base)) and not self._is_package(folder):
                return [base]
            if not folder:
                break
            folder = dirname(folder)
        if parts[0] in sys.stdlib_module_names:
            return []
        found = set()
        for one in self._by_stem.get(parts[-1].lower(), ()):
            base = splitext(one)[0].removesuffix("/__init__")
            if base.endswith("/" + tail) and not self._is_package(base[: -len(tail) - 1]):
                found.add(base)
        return sorted(found, key=lambda base: _distance(base, path))

    def _is_package(self, folder: str) -> bool:
        return bool(folder) and f"{folder}/__init__.py" in self._paths

    def _script(self, imported: Import, path: str) -> tuple[str, ...]:
        module = imported.module.partition("?")[0]
        if module.startswith("."):
            return self._first(_script_files(normpath(join(dirname(path), module))))
        if module.startswith(("@/", "~/", "#")):
            tail = module.lstrip("@~#/")
            endings = (*_SCRIPT_ENDINGS, *("/index" + ending for ending in _SCRIPT_ENDINGS))
            return self._by_tail(tail, endings, path)
        for folder in self._by_folder_name.get(basename(module).lower(), ()):  # another package of the workspace
            if folder + "/package.json" in self._paths:
                return self._first((*_script_files(folder + "/src/index"), *_script_files(folder + "/index")))
        return self._first(_script_files(module))

    def _include(self, imported: Import, path: str) -> tuple[str, ...]:
        beside = normpath(join(dirname(path), imported.module))
        return self._first((beside,)) or self._by_tail(_forwards(imported.module), ("",), path)

    def _go(self, imported: Import, path: str) -> tuple[str, ...]:
        parts = imported.module.split("/")
        if len(parts) < 2:
            return ()
        folder = self._folder_by_tail(parts, path)
        return tuple(
            one for one in sorted(self._folders.get(folder, ())) if one.endswith(".go") and "_test." not in one
        )

    def _folder_by_tail(self, parts: list[str], near: str) -> str:
        """The folder that shares most of its last names with `parts`; ``"?"`` if too few."""
        best, best_score = "?", (1, 0.0)
        for folder in self._by_folder_name.get(parts[-1].lower(), ()):
            names = folder.split("/")
            same = _same_tail(names, parts)
            if same == len(names) and same < 2:
                same = 2  # all of it, from the workspace's root
            if (same, -_distance(folder, near)) > best_score and same > 1:
                best, best_score = folder, (same, -_distance(folder, near))
        return best

    def _rust(self, imported: Import, path: str) -> tuple[str, ...]:
        folder, name = dirname(path), basename(path)
        children = folder if name in _RUST_ROOTS else join(folder, splitext(name)[0])
        parts = imported.module.split("::")
        if len(parts) == 1 and imported.names:  # `mod x;`
            return self._first((f"{children}/{parts[0]}.rs".lstrip("/"), f"{children}/{parts[0]}/mod.rs".lstrip("/")))
        source = re.match(r"(.*/)?src(?=/)", path)
        base = source[0] if source else folder
        if parts[0] in ("self", "super"):
            base = children
            while parts and parts[0] in ("self", "super"):
                base = dirname(base) if parts.pop(0) == "super" else base
        elif parts[0] == "crate":
            parts = parts[1:]
        else:
            crates = {parts[0], parts[0].replace("_", "-")}
            sources = self._by_folder_name.get("src", ())
            roots = sorted(one for one in sources if basename(dirname(one)) in crates)
            base, parts = (roots[0], parts[1:]) if roots else ("", [])
        while parts:
            target = join(base, *parts)
            if found := self._first((target + ".rs", target + "/mod.rs")):
                return found
            parts = parts[:-1]
        return self._first([base + ".rs", *(join(base, root) for root in _RUST_ROOTS)]) if base else ()

    def _dotted(self, imported: Import, path: str) -> tuple[str, ...]:
        """Java and its like: the name's tail is the path's, for a class, a member of one, or a package."""
        parts = re.split(r"[.\\]", imported.module.strip("\\"))
        ending = splitext(path)[1]
        for count in (len(parts), len(parts) - 1):
            if count < 1:
                break
            best: tuple[int, float, str] | None = None
            for one in self._by_stem.get(parts[count - 1].lower(), ()):
                same = _same_tail(splitext(one)[0].split("/"), parts[:count])
                if splitext(one)[1] == ending and same >= min(2, count) and "/" in one:
                    best = max(best or (0, 0.0, ""), (same, -_distance(one, path), one))
            if best:
                return (best[2],)
        folder = self._folder_by_tail(parts, path)
        return tuple(sorted(one for one in self._folders.get(folder, ()) if one.endswith(ending)))

    def _php(self, imported: Import, path: str) -> tuple[str, ...]:
        if "\\" in imported.module or not splitext(imported.module)[1]:
            return self._dotted(imported, path)
        return self._include(Import(imported.module.lstrip("/"), (), imported.line), path)

    def _ruby(self, imported: Import, path: str) -> tuple[str, ...]:
        name = imported.module.removesuffix(".rb") + ".rb"
        return self._first((normpath(join(dirname(path), name)), "lib/" + name)) or (
            self._by_tail(name, ("",), path) if "/" in name else ()
        )

    def _lua(self, imported: Import, path: str) -> tuple[str, ...]:
        tail = imported.module.replace(".", "/")
        return self._by_tail(tail, (".lua", "/init.lua"), path)

    def _shell(self, imported: Import, path: str) -> tuple[str, ...]:
        name = _VARIABLE.sub("", imported.module)
        return self._include(Import(name, (), imported.line), path)


def _stems(path: str) -> set[str]:
    stem = basename(path).partition(".")[0] if path.endswith(".d.ts") else splitext(basename(path))[0]
    stems = {stem.lower()}
    if stem in _INDEX_STEMS:
        stems.add(basename(dirname(path)).lower())
    return stems


def _script_files(base: str) -> Iterator[str]:
    yield base
    stem, ending = splitext(base)
    if ending in (".js", ".jsx", ".mjs", ".cjs"):  # TypeScript is imported under the name that it compiles to
        yield from (stem + ending for ending in _SCRIPT_ENDINGS)
    yield from (base + ending for ending in _SCRIPT_ENDINGS)
    yield from (f"{base}/index{ending}" for ending in _SCRIPT_ENDINGS)


def _forwards(path: str) -> str:
    """A path without the steps up at its start."""
    return normpath(path).lstrip("./") if path.startswith(".") else path.lstrip("/")


def _same_tail(one: list[str], other: list[str]) -> int:
    same = 0
    for left, right in zip(reversed(one), reversed(other), strict=False):
        if left.lower() != right.lower():
            break
        same += 1
    return same


def _distance(path: str, near: str) -> float:
    """How far apart two paths are, in folders; a longer path counts a little more."""
    shared = commonprefix([path, near]).count("/")
    return path.count("/") + near.count("/") - 2 * shared + len(path) / 10_000


_RESOLVERS: dict[str, Callable[[Resolver, Import, str], tuple[str, ...]]] = {
    "python": Resolver._python,
    **dict.fromkeys(
        ("javascript", "javascriptreact", "typescript", "typescriptreact", "vue", "svelte"), Resolver._script
    ),
    **dict.fromkeys(("c", "cpp", "objective-c", "objective-cpp"), Resolver._include),
    "go": Resolver._go,
    "rust": Resolver._rust,
    **dict.fromkeys(("java", "kotlin", "scala", "csharp"), Resolver._dotted),
    "php": Resolver._php,
    "ruby": Resolver._ruby,
    "lua": Resolver._lua,
    "shellscript": Resolver._shell,
}
