"""Typed settings: defaults < user file < workspace file < client options; what is wrong is said, the rest applies.

What a setting means and may be stands with its field, once: messages and ``docs/settings.md`` are made from it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from difflib import get_close_matches
from pathlib import Path, PurePath
from stat import S_ISREG
from typing import Any, Literal, cast

from indexer.languages import canonical
from lsp.paths import config_dir
from lsp.setting import STRINGS, Rule, is_path, setting, shown

FILE_NAME = "midline.toml"
_MAX_FILE_BYTES = 64 * 1024
_MAX_PROBLEMS = 10  # per source: a workspace's file is anybody's


@dataclass(frozen=True)
class ModelSettings:
    """Which models answer."""

    completion: str = setting(
        "qwen2.5-coder-0.5b-instruct",
        str,
        "The model that completes: a name from `midline model list`, or the path of a GGUF file.",
        user_only=True,
    )
    chat: str = setting(
        "",
        str,
        "The model that chats, by name or path; empty: the one that completes. Another one takes memory of its own.",
        user_only=True,
    )
    folders: tuple[str, ...] = setting(
        (),
        STRINGS,
        "Further folders to look for models in (GGUF files), besides those of Ollama, LM Studio, llama.cpp, Hugging "
        "Face, GPT4All and Jan. Nothing in them is changed; `midline model list` shows what is found.",
        user_only=True,
    )
    adapters: tuple[str, ...] = setting(
        (),
        STRINGS,
        "LoRA adapters that the model completes with, and chats where it does both: names of GGUF files in "
        "`adapters` beside the folder of models, or paths; `NAME:0.5` for half of its effect. "
        "A workspace's file can only choose by name.",
        by_name=True,
    )
    n_ctx: int = setting(
        0,
        int,
        "Tokens that the model's context holds; 0: midline chooses.",
        between=(512, 1_048_576),
        also=(0,),
        user_only=True,
    )
    kv_type: Literal["auto", "f16", "q8_0", "q4_0"] = setting(
        "auto",
        None,
        "How exactly the KV cache is kept: q8_0 takes half of f16's memory, q4_0 a quarter and answers get worse; "
        "auto: f16, or q8_0 where that brings more of the model onto the GPU.",
        also=("auto", "f16", "q8_0", "q4_0"),
        user_only=True,
    )


@dataclass(frozen=True)
class EngineSettings:
    """How the model runs on this machine."""

    threads: int | Literal["auto"] = setting(
        "auto",
        int,
        "Threads that compute; auto: one fewer than the physical cores.",
        between=(1, 512),
        also=("auto",),
        user_only=True,
    )
    gpu_layers: int | Literal["auto"] = setting(
        "auto",
        int,
        "Layers of the model kept on the GPU, its output being one; auto: as `midline plan` says (docs/plan.md).",
        between=(0, 1_000),
        also=("auto",),
        user_only=True,
    )
    gpu_reserve_mib: int | Literal["auto"] = setting(
        "auto",
        int,
        "MiB left free on each GPU for the desktop and other programs; auto: an eighth of what is free, 512 to 1,024.",
        between=(0, 1_048_576),
        also=("auto",),
        user_only=True,
    )
    flash_attention: bool = setting(
        True,
        bool,
        "Whether attention is computed piece by piece, which takes less memory; a few GPUs are faster without.",
        user_only=True,
    )
    idle_minutes: float = setting(
        10.0,
        float,
        "Minutes that the model stays loaded after the last editor has left.",
        between=(0, 1_440),
        user_only=True,
    )
    unload_minutes: float = setting(
        30.0,
        float,
        "Minutes without a request after which a model's memory is given back although an editor is open; the next "
        "request loads it again, and what it had computed comes from the disk. 0: never.",
        between=(0, 1_440),
        user_only=True,
    )
    remote: str = setting(
        "",
        str,
        "The address of a server that runs the model instead of this machine, like `http://192.168.1.20:8080`: "
        "llama-server, Ollama, LM Studio, vLLM, or another with OpenAI's API; empty: none. See remote.md.",
        user_only=True,
    )


@dataclass(frozen=True)
class RemoteSettings:
    """The server that `engine.remote` names."""

    api: Literal["auto", "llama-server", "ollama", "openai"] = setting(
        "auto",
        None,
        "What it speaks; auto: it is asked.",
        also=("auto", "llama-server", "ollama", "openai"),
        user_only=True,
    )
    model: str = setting(
        "", str, "The model that completes, by its name there; empty: the only one that it serves.", user_only=True
    )
    chat: str = setting("", str, "The model that chats, by its name there; empty: the same.", user_only=True)
    key_variable: str = setting(
        "MIDLINE_REMOTE_KEY",
        str,
        "The variable of the environment that holds the API key; the keyring has it otherwise.",
        user_only=True,
    )
    allowed_hosts: tuple[str, ...] = setting(
        (),
        STRINGS,
        "Hosts outside of the local network that your code may be sent to; `engine.remote` must be https there.",
        user_only=True,
    )
    ca_bundle: str = setting(
        "", str, "A PEM file with the authorities to trust; empty: those that browsers trust.", user_only=True
    )
    fallback: bool = setting(
        True, bool, "Whether the local model answers while the server is away or can't be used.", user_only=True
    )


@dataclass(frozen=True)
class CompletionSettings:
    """When and how code is completed."""

    enabled: bool = setting(True, bool, "Whether to complete at all.")
    languages: tuple[str, ...] = setting(
        (),
        STRINGS,
        "The languages to complete in, by their LSP identifiers; empty: all. An entry like `!markdown` leaves one out.",
    )
    max_tokens: int = setting(96, int, "The most tokens that one completion may take to generate.", between=(1, 2_048))
    min_confidence: float = setting(
        0.2,
        float,
        "Completions that are less probably wanted than this, as the model's own probabilities tell, are not shown; "
        "0 shows all. It follows what you accept, by 0.15 at the most (see docs/privacy.md).",
        between=(0, 1),
    )
    debounce_ms: float | Literal["auto"] = setting(
        "auto",
        float,
        "Milliseconds without a key before the model is asked; auto: by how you type and how fast the model is. "
        "What is known already is shown at once.",
        between=(0, 5_000),
        also=("auto",),
    )
    streaming: bool = setting(
        False, bool, "Whether editors that can show it are told of a suggestion while it grows (`midline/partial`)."
    )
    menu: Literal["auto", "always", "never"] = setting(
        "auto",
        None,
        "Whether suggestions also stand in the editor's own completion menu; auto: where it has no inline completion. "
        "`always` counts when the editor starts.",
        also=("auto", "always", "never"),
    )
    menu_first: bool = setting(
        False, bool, "Whether the suggestion stands above other servers' items in the menu, instead of below them."
    )
    menu_wait_ms: float = setting(
        1_000.0,
        float,
        "The longest that the menu waits for a suggestion, in milliseconds: other servers' items may wait with it. "
        "What comes later is there at the next key.",
        between=(0, 60_000),
    )

    def wanted_in(self, language: str) -> bool:
        """Whether ``enabled`` and ``languages`` ask for completions in a language (an LSP identifier)."""
        excluded = {canonical(entry[1:]) for entry in self.languages if entry.startswith("!")}
        included = {canonical(entry) for entry in self.languages if not entry.startswith("!")}
        language = canonical(language)
        return self.enabled and language not in excluded and (not included or language in included)


@dataclass(frozen=True)
class ChatSettings:
    """How questions are answered."""

    answer_tokens: int = setting(
        1_024,
        int,
        "The most tokens that an answer may take to generate, its reasoning included; never more than a quarter of the "
        "model's context.",
        between=(16, 32_768),
    )
    context_seconds: float = setting(
        10.0,
        float,
        "How long the model may take, at its measured speed, to read what is found for a question; 0: nothing is "
        "looked for but what is selected or mentioned.",
        between=(0, 600),
    )


@dataclass(frozen=True)
class IndexSettings:
    """What of the workspace is searched for context."""

    enabled: bool = setting(True, bool, "Whether to index the workspace.")
    exclude: tuple[str, ...] = setting(
        (),
        STRINGS,
        "Files not to index, as patterns of .gitignore. What .gitignore and .midlineignore name stays out anyhow.",
    )
    max_file_kib: int = setting(512, int, "Larger files are not indexed, in KiB.", between=(1, 102_400))
    documents: tuple[str, ...] = setting(
        (),
        STRINGS,
        "Folders and files of documents that chat and search know besides the workspace's code: Markdown, "
        "reStructuredText, text, HTML and PDF. Relative to the workspace, absolute, or in your home (`~/notes`). "
        "The lists of all sources are joined; a workspace's file can only name what lies in the workspace.",
        joined=True,
        inside=True,
    )
    max_document_kib: int = setting(
        32 * 1024, int, "Larger documents are not indexed, in KiB.", between=(1, 256 * 1024)
    )
    dependencies: bool = setting(
        True,
        bool,
        "Whether chat knows what installed packages offer: signatures and docstrings of those a question is about.",
    )
    workers: int | Literal["auto"] = setting(
        "auto",
        int,
        "Processes that index; auto: one fewer than there are cores, beside an editor.",
        between=(1, 64),
        also=("auto",),
        user_only=True,
    )
    pause_on_battery: bool = setting(True, bool, "Whether indexing waits while the machine runs on its battery.")
    pause_while_typing: bool = setting(True, bool, "Whether indexing waits while you type.")


@dataclass(frozen=True)
class PrivacySettings:
    """What the model never sees."""

    exclude: tuple[str, ...] = setting(
        (),
        STRINGS,
        "Files never to complete in, nor to index, as patterns of .gitignore. "
        "The lists of all sources are joined: a workspace can add to yours, not take from it.",
        joined=True,
    )


@dataclass(frozen=True)
class FeedbackSettings:
    """What midline learns from what you accept."""

    enabled: bool = setting(
        True,
        bool,
        "Whether to count on this machine what becomes of suggestions, and to follow it in how sure one must be to be "
        "shown. Only counts are kept, and none leaves the machine: see privacy.md.",
        user_only=True,
    )


@dataclass(frozen=True)
class Settings:
    """All settings; each section is a table of ``midline.toml``."""

    model: ModelSettings = ModelSettings()
    engine: EngineSettings = EngineSettings()
    remote: RemoteSettings = RemoteSettings()
    completion: CompletionSettings = CompletionSettings()
    chat: ChatSettings = ChatSettings()
    index: IndexSettings = IndexSettings()
    privacy: PrivacySettings = PrivacySettings()
    feedback: FeedbackSettings = FeedbackSettings()


_SECTIONS = {section.name: cast(Any, section.default) for section in fields(Settings)}
_RULES: dict[str, Rule] = {
    f"{name}.{leaf.name}": leaf.metadata["rule"] for name, section in _SECTIONS.items() for leaf in fields(section)
}
_DEFAULTS: dict[str, Any] = {
    f"{name}.{leaf.name}": getattr(section, leaf.name)
    for name, section in _SECTIONS.items()
    for leaf in fields(section)
}


def load(workspace: Path | None = None, client: Mapping[str, object] | None = None) -> tuple[Settings, list[str]]:
    """The settings in force, and one message for each thing that is wrong with them.

    Args:
        workspace: the folder whose ``midline.toml`` counts besides the user's; what is in it is not trusted.
        client: what the editor sends, nested (``{"completion": {"enabled": False}}``) or dotted.
    """
    values = dict(_DEFAULTS)
    user_file = config_dir() / FILE_NAME
    problems = _apply_file(values, user_file, trusted=True)
    if workspace and not _same_file(workspace / FILE_NAME, user_file):
        problems += _apply_file(values, workspace / FILE_NAME, trusted=False)
    problems += _apply(values, "the editor's settings", client, trusted=True)
    return Settings(
        **{
            name: type(section)(**{leaf.name: values[f"{name}.{leaf.name}"] for leaf in fields(section)})
            for name, section in _SECTIONS.items()
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
        if name in _SECTIONS:
            yield from _merge(values, value, name, trusted)
        elif name not in _RULES:
            yield _unknown(name)
        elif value is not None:
            problem = _set(values, name, value, trusted)
            if problem:
                yield problem


def _set(values: dict[str, Any], name: str, value: object, trusted: bool) -> str:
    rule = _RULES[name]
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
            values[name] = (*values[name], *_RULES[name].checked([entry]))  # type: ignore[misc]
        except ValueError:
            wrong = True
    if not wrong:
        return ""
    return f"{name} is {shown(given)}; allowed: {_RULES[name].allowed}. Its other entries apply."


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
    close = get_close_matches(name, _RULES if dot else [*_RULES, *_SECTIONS], 1)
    known = [rule.split(".")[1] for rule in _RULES if rule.startswith(f"{section}.")]
    if close:
        cure = f"did you mean {close[0]}?"
    elif known:
        cure = f"allowed in {section}: {', '.join(known)}."
    else:
        cure = f"allowed: {', '.join(_SECTIONS)}."
    # Names are quoted only where printing them bare could mislead.
    return f"there is no setting {name if name.isprintable() and len(name) < 60 else shown(name)}; {cure}"


def markdown() -> str:
    """``docs/settings.md``: every setting, from the rules themselves."""
    lines = [_DOC_HEAD.strip()]
    for section, value in _SECTIONS.items():
        lines += ["", f"## {section}", "", (type(value).__doc__ or "").strip(), ""]
        lines += ["| setting | default | allowed | what it does | workspace file |", "|---|---|---|---|---|"]
        for leaf in fields(value):
            rule = _RULES[f"{section}.{leaf.name}"]
            workspace = "no" if rule.user_only else "adds" if rule.joined else "by name" if rule.by_name else "yes"
            default = shown(getattr(value, leaf.name))
            lines.append(f"| `{section}.{leaf.name}` | `{default}` | {rule.allowed} | {rule.text} | {workspace} |")
    return "\n".join(lines) + "\n"


_DOC_HEAD = f"""
<!-- Made by `python -m lsp.settings > docs/settings.md`; change lsp/settings.py instead. -->
# Settings

Later sources win, setting by setting:

1. the defaults below;
2. `{FILE_NAME}` in your configuration folder (`~/.config/midline` on Linux; `$MIDLINE_HOME/config` if that is set);
3. `{FILE_NAME}` in the workspace's folder;
4. what your editor sends: `initializationOptions.midline`, or its section `midline`.

```toml
[completion]
languages = ["!markdown"]
max_tokens = 64
```

Editors may nest settings the same way or write them dotted (`{{"completion.max_tokens": 64}}`).
What is unknown or not allowed is named in one message, and all the rest applies.
A workspace's file comes with whatever was cloned, so it can't choose what runs on your machine: the last column says
what it may set.
"""


if __name__ == "__main__":
    print(markdown(), end="")
