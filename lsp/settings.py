"""Typed settings: which there are.

What a setting means and may be stands with its field, once: messages and ``docs/settings.md`` are made from it.
`lsp.configuration` reads them.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal, cast

from indexer.languages import canonical
from lsp.setting import STRINGS, Rule, setting, shown

FILE_NAME = "midline.toml"


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


SECTIONS = {section.name: cast(Any, section.default) for section in fields(Settings)}
RULES: dict[str, Rule] = {
    f"{name}.{leaf.name}": leaf.metadata["rule"] for name, section in SECTIONS.items() for leaf in fields(section)
}
DEFAULTS: dict[str, Any] = {
    f"{name}.{leaf.name}": getattr(section, leaf.name) for name, section in SECTIONS.items() for leaf in fields(section)
}


def markdown() -> str:
    """``docs/settings.md``: every setting, from the rules themselves."""
    lines = [_DOC_HEAD.strip()]
    for section, value in SECTIONS.items():
        lines += ["", f"## {section}", "", (type(value).__doc__ or "").strip(), ""]
        lines += ["| setting | default | allowed | what it does | workspace file |", "|---|---|---|---|---|"]
        for leaf in fields(value):
            rule = RULES[f"{section}.{leaf.name}"]
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
