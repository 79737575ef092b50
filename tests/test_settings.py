"""Settings: who wins, what is said about what is wrong, and what a cloned repository can't do."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lsp.configuration import load
from lsp.paths import config_dir
from lsp.settings import CompletionSettings, Settings, markdown

DOC = Path(__file__).parent.parent / "docs" / "settings.md"


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty workspace, and an empty home beside it."""
    monkeypatch.setenv("MIDLINE_HOME", str(tmp_path / "home"))
    config_dir().mkdir(parents=True)
    folder = tmp_path / "workspace"
    folder.mkdir()
    return folder


def write(folder: Path, text: str) -> Path:
    file = folder / "midline.toml"
    file.write_text(text, encoding="utf-8")
    return file


def only(problems: list[str]) -> str:
    assert len(problems) == 1, problems
    return problems[0]


def test_without_any_source_the_defaults_hold(workspace: Path) -> None:
    assert load() == (Settings(), [])
    assert load(workspace, {}) == (Settings(), [])
    assert load(workspace / "nowhere") == (Settings(), [])


def test_later_sources_win_setting_by_setting(workspace: Path) -> None:
    write(config_dir(), "[completion]\nmax_tokens = 1\nmin_confidence = 0.1\nlanguages = ['go']\n")
    write(workspace, "[completion]\nmax_tokens = 2\nmin_confidence = 0.2\n")
    found, problems = load(workspace, {"completion": {"max_tokens": 3}})
    assert problems == []
    assert found.completion == CompletionSettings(max_tokens=3, min_confidence=0.2, languages=("go",))


def test_all_settings_of_all_types(workspace: Path) -> None:
    write(
        config_dir(),
        """
        model.completion = "/models/my.gguf"
        model.n_ctx = 4096
        "engine.threads" = 3
        [engine]
        gpu_layers = "auto"
        idle_minutes = 2
        [index]
        enabled = false
        exclude = ["build/", "*.min.js"]
        """,
    )
    found, problems = load()
    assert problems == []
    assert (found.model.completion, found.model.n_ctx) == ("/models/my.gguf", 4096)
    assert (found.engine.threads, found.engine.gpu_layers) == (3, "auto")
    assert (found.engine.idle_minutes, type(found.engine.idle_minutes)) == (2.0, float)
    assert (found.index.enabled, found.index.exclude) == (False, ("build/", "*.min.js"))


@pytest.mark.parametrize(
    "client",
    [
        {"completion": {"enabled": False}},
        {"completion.enabled": False},
        {"completion": {"enabled": False, "languages": None}, "engine": None},
        {"completion.enabled": False, "model": []},
    ],
)
def test_clients_may_nest_or_dot_and_send_null_for_nothing(workspace: Path, client: dict[str, Any]) -> None:
    assert load(None, client) == (Settings(completion=CompletionSettings(enabled=False)), [])


@pytest.mark.parametrize(
    ("client", "name", "given", "allowed"),
    [
        ({"completion": {"enabled": 1}}, "completion.enabled", "1", "true or false"),
        ({"completion": {"max_tokens": True}}, "completion.max_tokens", "true", "a whole number from 1 to 2,048"),
        ({"completion": {"max_tokens": 0}}, "completion.max_tokens", "0", "a whole number from 1 to 2,048"),
        ({"completion": {"max_tokens": 9.0}}, "completion.max_tokens", "9.0", "a whole number from 1 to 2,048"),
        ({"completion": {"max_tokens": 10**5000}}, "completion.max_tokens", "a huge int", "from 1 to 2,048"),
        ({"completion": {"max_tokens": 10**400}}, "completion.max_tokens", "1000", "from 1 to 2,048"),
        ({"completion": {"min_confidence": "high"}}, "completion.min_confidence", '"high"', "a number from 0 to 1"),
        ({"completion": {"min_confidence": math.nan}}, "completion.min_confidence", "NaN", "a number from 0 to 1"),
        ({"completion": {"languages": "go"}}, "completion.languages", '"go"', "a list of non-empty strings"),
        ({"completion": {"languages": ["go", ""]}}, "completion.languages", '["go", ""]', "non-empty strings"),
        ({"engine": {"threads": "many"}}, "engine.threads", '"many"', '"auto" or a whole number from 1 to 512'),
        ({"engine": {"gpu_layers": -1}}, "engine.gpu_layers", "-1", '"auto" or a whole number from 0 to 1,000'),
        ({"model": {"n_ctx": False}}, "model.n_ctx", "false", "0 or a whole number from 512 to 1,048,576"),
        ({"model": {"n_ctx": 5}}, "model.n_ctx", "5", "0 or a whole number from 512 to 1,048,576"),
        ({"model": {"completion": 7}}, "model.completion", "7", "a string"),
        ({"model": "qwen"}, "model", '"qwen"', "a table of settings"),
        ({"privacy": {"exclude": ["!.env"]}}, "privacy.exclude", '["!.env"]', "none beginning with !"),
    ],
)
def test_one_message_says_what_is_wrong_and_the_rest_applies(
    workspace: Path, client: dict[str, Any], name: str, given: str, allowed: str
) -> None:
    found, problems = load(None, {**client, "index.max_file_kib": 7})
    message = only(problems)
    assert message.startswith(f"the editor's settings: {name} is {given}")
    assert allowed in message.split("allowed: ")[1]
    assert found.index.max_file_kib == 7
    assert (found.completion, found.engine, found.model) == (
        Settings().completion,
        Settings().engine,
        Settings().model,
    )


def test_a_wrong_value_leaves_what_an_earlier_source_set(workspace: Path) -> None:
    write(config_dir(), "completion.max_tokens = 12")
    file = write(workspace, "completion.max_tokens = 'lots'\ncompletion.enabled = false")
    found, problems = load(workspace)
    assert found.completion == CompletionSettings(max_tokens=12, enabled=False)
    assert only(problems).startswith(f'{file}: completion.max_tokens is "lots"; ')
    assert only(problems).endswith("It stays 12.")


@pytest.mark.parametrize(
    ("client", "said"),
    [
        ({"completion": {"max_token": 5}}, "completion.max_token; did you mean completion.max_tokens?"),
        ({"completions": {"max_tokens": 5, "enabled": 1}}, "completions; did you mean completion?"),
        ({"max_tokens": 5}, "max_tokens; did you mean completion.max_tokens?"),
        (
            {"engine": {"zzzzzzzz": 5}},
            "engine.zzzzzzzz; allowed in engine: threads, gpu_layers, gpu_reserve_mib, flash_attention, idle_minutes, "
            "unload_minutes, remote.",
        ),
        ({"zzz": 5}, "zzz; allowed: model, engine, remote, completion, chat, index, privacy, feedback."),
        ({"z\n" * 99: 5}, '"z\\nz'),
    ],
)
def test_an_unknown_setting_is_named_with_what_was_meant(workspace: Path, client: dict[str, Any], said: str) -> None:
    found, problems = load(None, client)
    assert said in only(problems)
    assert "\n" not in only(problems)
    assert len(only(problems)) < 200
    assert found == Settings()


@pytest.mark.parametrize("client", ["on", 7, ["completion"], True])
def test_client_options_that_are_no_table(workspace: Path, client: Any) -> None:
    found, problems = load(None, client)
    assert "midline is " in only(problems)
    assert "a table of settings" in only(problems)
    assert found == Settings()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a = 1\n[completion\n", "line 2"),
        (b"[completion]\nmax_tokens = [1,\n", "line 3, the end of the file"),
        (b"# ok\n# caf\xe9\n", "not UTF-8 at line 2"),
        (b"a = " + b"[" * 20_000, "not TOML: a number is too long, or it is nested too deeply"),
        (b"a = " + b"1" * 5_000, "not TOML: a number is too long"),
        (b"#" * 70_000, "larger than 64 KiB"),
    ],
)
def test_a_broken_file_is_one_message_and_the_other_sources_apply(workspace: Path, content: bytes, said: str) -> None:
    write(config_dir(), "completion.max_tokens = 12")
    file = workspace / "midline.toml"
    file.write_bytes(content)
    found, problems = load(workspace, {"completion.enabled": False})
    assert only(problems).startswith(f"{file}: ")
    assert said in only(problems)
    assert found.completion == CompletionSettings(max_tokens=12, enabled=False)


def test_a_file_in_windows_dress(workspace: Path) -> None:
    (workspace / "midline.toml").write_bytes(b"\xef\xbb\xbf[completion]\r\nmax_tokens = 5\r\n")
    found, problems = load(workspace)
    assert (found.completion.max_tokens, problems) == (5, [])


@pytest.mark.parametrize("kind", ["folder", "loop", "device", "fifo"])
def test_what_is_no_regular_file_is_not_read(workspace: Path, kind: str) -> None:
    file = workspace / "midline.toml"
    if kind == "folder":
        file.mkdir()
    elif kind == "loop":
        file.symlink_to(file)
    elif kind == "device":
        file.symlink_to("/dev/zero")
    else:
        os.mkfifo(file)
    found, problems = load(workspace)
    assert only(problems).startswith(f"{file}: ")
    assert found == Settings()


def test_a_workspace_cant_choose_what_runs_on_the_machine(workspace: Path) -> None:
    text = 'model.completion = "/tmp/evil.gguf"\nengine.threads = 512\ncompletion.max_tokens = 5\n'
    write(workspace, text)
    found, problems = load(workspace)
    assert found == Settings(completion=CompletionSettings(max_tokens=5))
    assert len(problems) == 2
    for name, problem in zip(("model.completion", "engine.threads"), problems, strict=True):
        assert problem.startswith(f"{workspace / 'midline.toml'}: {name} can't be set by a workspace")
        assert str(config_dir() / "midline.toml") in problem

    # The same text is fine where it is the user's own.
    (workspace / "midline.toml").unlink()
    write(config_dir(), text)
    found, problems = load(workspace)
    assert (found.model.completion, found.engine.threads, problems) == ("/tmp/evil.gguf", 512, [])


@pytest.mark.parametrize("path", ["./x", "/tmp/x.gguf", "x.gguf:0.5", "~x", "..", "a\\b"])
def test_a_workspace_chooses_adapters_by_name_alone(workspace: Path, path: str) -> None:
    write(config_dir(), "model.adapters = ['/mine.gguf:0.5', 'style']")
    write(workspace, f"model.adapters = ['style', '{path}']")
    found, problems = load(workspace)
    assert found.model.adapters == ("/mine.gguf:0.5", "style")
    assert "model.adapters: a workspace's file" in only(problems)
    write(workspace, "model.adapters = ['house:1.5']")
    assert load(workspace)[0].model.adapters == ("house:1.5",)
    assert load(workspace, {"model.adapters": []})[0].model.adapters == ()


def test_a_workspace_only_adds_to_what_is_private(workspace: Path) -> None:
    write(config_dir(), "privacy.exclude = ['*.pem', '!slip']")
    found, problems = load()
    assert found.privacy.exclude == ("*.pem",), "a slip in one entry doesn't uncover what the others hide"
    assert "!slip" in only(problems)
    write(config_dir(), "privacy.exclude = ['*.pem']")
    write(workspace, "privacy.exclude = []")
    assert load(workspace, {"privacy": {"exclude": []}})[0].privacy.exclude == ("*.pem",)
    write(workspace, "privacy.exclude = ['.env']")
    assert load(workspace, {"privacy.exclude": ["x"]})[0].privacy.exclude == ("*.pem", ".env", "x")
    write(workspace, "privacy.exclude = ['!*.pem']")
    found, problems = load(workspace)
    assert found.privacy.exclude == ("*.pem",)
    assert "none beginning with !" in only(problems)


def test_the_users_own_folder_as_the_workspace_is_trusted(workspace: Path) -> None:
    write(config_dir(), "engine.threads = 2\nprivacy.exclude = ['a']")
    found, problems = load(config_dir())
    assert problems == []
    assert found.engine.threads == 2
    assert found.privacy.exclude == ("a",)


def test_a_file_full_of_mistakes_doesnt_flood_the_user(workspace: Path) -> None:
    write(workspace, "".join(f"zz{i} = 1\n" for i in range(1_000)))
    _, problems = load(workspace)
    assert len(problems) == 11
    assert "990 more" in problems[-1]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
SECTIONS = [section.name for section in fields(Settings)]
NAMES = [f"{section.name}.{leaf.name}" for section in fields(Settings) for leaf in fields(section.default)]


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(client=json_values | st.dictionaries(st.sampled_from(SECTIONS + NAMES) | st.text(), json_values))
def test_nothing_a_client_sends_raises_or_gets_past_the_rules(workspace: Path, client: Any) -> None:
    found, problems = load(workspace, client)
    assert all("\n" not in problem for problem in problems)
    # What was accepted is accepted again, and is the same.
    dotted = {name: getattr(getattr(found, name.split(".")[0]), name.split(".")[1]) for name in NAMES}
    assert load(workspace, dotted) == (found, [])


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=40) | st.text("[]{}=\"'.#\n ,a1\\", max_size=40).map(str.encode))
def test_no_file_content_raises(workspace: Path, content: bytes) -> None:
    (workspace / "midline.toml").write_bytes(content)
    found, _ = load(workspace)
    assert found == Settings()


@pytest.mark.parametrize(
    ("languages", "wanted", "unwanted"),
    [
        ((), ["python", "markdown"], []),
        (("python", "sh"), ["python", "shellscript"], ["markdown"]),
        (("!markdown",), ["python", "plaintext"], ["markdown"]),
        (("python", "!python"), [], ["python", "go"]),
    ],
)
def test_languages(languages: tuple[str, ...], wanted: list[str], unwanted: list[str]) -> None:
    section = CompletionSettings(languages=languages)
    assert all(section.wanted_in(language) for language in wanted)
    assert not any(section.wanted_in(language) for language in unwanted)
    assert not any(CompletionSettings(enabled=False).wanted_in(language) for language in wanted)


def test_the_document_is_up_to_date() -> None:
    assert DOC.read_text(encoding="utf-8") == markdown()
    printed = subprocess.run([sys.executable, "-m", "lsp.settings"], capture_output=True, text=True, check=True)
    assert printed.stdout == markdown()


def test_the_document_has_every_setting_with_all_of_its_row() -> None:
    rows = [line for line in markdown().splitlines() if line.startswith("| `")]
    assert [row.split("`")[1] for row in rows] == NAMES
    assert all(row.count("|") == 6 and all(cell.strip() for cell in row.split("|")[1:-1]) for row in rows)
