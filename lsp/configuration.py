"""Settings as they are read: defaults < user file < workspace file < client options.

What is wrong is said, and the rest applies.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import fields
from difflib import get_close_matches
from pathlib import Path, PurePath
from stat import S_ISREG
from typing import Any

from lsp.paths import config_dir
from lsp.setting import is_path, shown
from lsp.settings import DEFAULTS, FILE_NAME, RULES, SECTIONS, Settings

_MAX_FILE_BYTES = 64 * 1024
_MAX_PROBLEMS = 10  # per source: a workspace's file is anybody's


def load(workspace: Path | None = None, client: Mapping[str, object] | None = None) -> tuple[Settings, list[str]]:
    """The settings in force, and one message for each thing that is wrong with them.

    Args:
        workspace: the folder whose ``midline.toml`` counts besides the user's; what is in it is not trusted.
        client: what the editor sends, nested (``{"completion": {"enabled": False}}``) or dotted.
    """
    values = dict(DEFAULTS)
    user_file = config_dir() / FILE_NAME
    problems = _apply_file(values, user_file, trusted=True)
    if workspace and not _same_file(workspace / FILE_NAME, user_file):
        problems += _apply_file(values, workspace / FILE_NAME, trusted=False)
    problems += _apply(values, "the editor's settings", client, trusted=True)
    return Settings(
        **{
            name: type(section)(**{leaf.name: values[f"{name}.{leaf.name}"] for leaf in fields(section)})
            for name, section in SECTIONS.items()
        }
    ), problems


def _same_file(one: Path, other: Path) -> bool:
    """Whether both exist and are one: somebody editing their own settings has that very folder open."""
    try:
        return one.samefile(other)
    except OSError:
        return False


def _apply_file(values: dict[str, Any], file: Path, *, trusted: bool) -> list[str]:
    try:
        given = _read(file)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        return [f"{file}: {reason}. None of this file applies."]
    return _apply(values, str(file), given, trusted=trusted)


def _read(file: Path) -> dict[str, Any]:
    """The tables of a TOML file; empty if there is no file.

    Raises:
        OSError, ValueError: it can't be read; the text says why.
    """
    try:
        if not S_ISREG(file.stat().st_mode):  # a repository may hold a link to a device that never ends
            raise ValueError("it is not a regular file")
        with file.open("rb") as stream:
            data = stream.read(_MAX_FILE_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    if len(data) > _MAX_FILE_BYTES:
        raise ValueError(f"it is larger than {_MAX_FILE_BYTES // 1024} KiB")
    try:
        text = data.decode("utf-8-sig")
        return tomllib.loads(text)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ValueError(f"not UTF-8 at line {line}") from error
    except tomllib.TOMLDecodeError as error:
        end = f"at line {text.count(chr(10)) + 1}, the end of the file"
        raise ValueError(f"not TOML: {error}".replace("at end of document", end)) from error
    except (ValueError, RecursionError) as error:
        raise ValueError("not TOML: a number is too long, or it is nested too deeply") from error


def _apply(values: dict[str, Any], source: str, given: object, *, trusted: bool) -> list[str]:
    """Put what ``source`` gives into ``values`` where it is allowed; the problems with the rest."""
    problems = [f"{source}: {problem}" for problem in _merge(values, given, "", trusted)]
    if len(problems) > _MAX_PROBLEMS:
        problems[_MAX_PROBLEMS:] = [f"{source}: {len(problems) - _MAX_PROBLEMS} more settings are wrong."]
    return problems


def _merge(values: dict[str, Any], given: object, section: str, trusted: bool) -> Iterator[str]:
    if given is None or given == []:  # editors send null for what isn't set, Lua [] for an empty table
        return
    if not isinstance(given, Mapping):
        yield f"{section or 'midline'} is {shown(given)}; allowed: a table of settings. It is ignored."
        return
    for key, value in given.items():
        name = f"{section}.{key}" if section else str(key)
        if name in SECTIONS:
            yield from _merge(values, value, name, trusted)
        elif name not in RULES:
            yield _unknown(name)
        elif value is not None:
            problem = _set(values, name, value, trusted)
            if problem:
                yield problem


def _set(values: dict[str, Any], name: str, value: object, trusted: bool) -> str:
    rule = RULES[name]
    if rule.user_only and not trusted:
        return (
            f"{name} can't be set by a workspace, which may be anybody's: "
            f"set it in {config_dir() / FILE_NAME} or in the editor. It stays {shown(values[name])}."
        )
    if rule.joined and isinstance(value, list | tuple):
        outside = [] if trusted or not rule.inside else [entry for entry in value if _leads_outside(entry)]
        problem = _join(values, name, [entry for entry in value if entry not in outside])
        return problem or _outside(name, outside)
    if rule.by_name and not trusted and isinstance(value, list | tuple):
        paths = [entry for entry in value if is_path(str(entry))]
        if paths:
            return (
                f"{name}: a workspace's file, which may be anybody's, can only choose by name what you have put into "
                f"your own folder, not {shown(paths[0])}. It stays {shown(values[name])}."
            )
    try:
        checked: Any = rule.checked(value)
    except ValueError as error:
        return f"{name} is {shown(value)}; allowed: {error}. It stays {shown(values[name])}."
    values[name] = checked
    return ""


def _join(values: dict[str, Any], name: str, given: list[object] | tuple[object, ...]) -> str:
    """Add to a joined list what is allowed: a slip in one entry must not uncover what the others hide."""
    wrong = False
    for entry in given:
        try:
            values[name] = (*values[name], *RULES[name].checked([entry]))  # type: ignore[misc]
        except ValueError:
            wrong = True
    if not wrong:
        return ""
    return f"{name} is {shown(given)}; allowed: {RULES[name].allowed}. Its other entries apply."


def _leads_outside(entry: object) -> bool:
    """Whether a place is not said to be in the workspace; links in it are seen to where it is opened."""
    place = PurePath(str(entry))
    return place.is_absolute() or ".." in place.parts or str(entry).startswith("~")


def _outside(name: str, entries: list[object]) -> str:
    if not entries:
        return ""
    return (
        f"{name}: a workspace's file, which may be anybody's, can only name what lies in the workspace, not "
        f"{shown(entries[0])}: set it in {config_dir() / FILE_NAME} or in the editor. Its other entries apply."
    )


def _unknown(name: str) -> str:
    section, dot, _ = name.partition(".")
    close = get_close_matches(name, RULES if dot else [*RULES, *SECTIONS], 1)
    known = [rule.split(".")[1] for rule in RULES if rule.startswith(f"{section}.")]
    if close:
        cure = f"did you mean {close[0]}?"
    elif known:
        cure = f"allowed in {section}: {', '.join(known)}."
    else:
        cure = f"allowed: {', '.join(SECTIONS)}."
    # Names are quoted only where printing them bare could mislead.
    return f"there is no setting {name if name.isprintable() and len(name) < 60 else shown(name)}; {cure}"
