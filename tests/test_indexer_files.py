"""Which files count and what they hold; git itself is the judge of its rules."""

from __future__ import annotations

import os
import random
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.content import decode
from indexer.files import FileRules, Skipped, Source, decide, explain, is_ignored, listing, read

RULES = FileRules()


@pytest.fixture(autouse=True)
def no_rules_of_this_user(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / ".config"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    return home


def put(root: Path, files: dict[str, str | bytes]) -> Path:
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content.encode() if isinstance(content, str) else content)
    return root


def paths(root: Path, rules: FileRules = RULES) -> list[str]:
    found = [item.path for item in listing(root, rules)]
    every = [path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file() or path.is_symlink()]
    assert {path for path in every if decide(root, path, rules).included} == set(found)
    return found


NAMES = ["a", "b", "foo", "bar.c", "x.py", "doc", "é", "a b"]
ATOMS = ["a", "b", "foo", "bar.c", "*.c", "*.py", "doc", "*", "**", "f*", "[ab]", "?oo", "é", "a b", "*.[cp]*"]


def pattern(dice: random.Random) -> str:
    text = "/".join(dice.choice(ATOMS) for _ in range(dice.choice([1, 1, 1, 2, 2, 3])))
    return f"{'!' * (dice.random() < 0.3)}{'/' * (dice.random() < 0.25)}{text}{'/' * (dice.random() < 0.3)}"


def plant(folder: Path, dice: random.Random, depth: int = 0) -> None:
    for name in NAMES:
        kind = dice.random()
        if kind < 0.35 and depth < 3:
            (folder / name).mkdir()
            plant(folder / name, dice, depth + 1)
        elif kind < 0.7:
            (folder / name).write_text("x")
    if dice.random() < (0.3 if depth else 0.9):
        (folder / ".gitignore").write_text("".join(f"{pattern(dice)}\n" for _ in range(dice.randint(1, 5))))


@pytest.mark.parametrize("seed", range(12))
def test_git_would_list_the_same(seed: int, tmp_path: Path) -> None:
    dice = random.Random(seed)
    plant(tmp_path, dice)
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (tmp_path / ".git/info").mkdir(exist_ok=True)
    (tmp_path / ".git/info/exclude").write_text(pattern(dice) + "\n")
    command = ["git", "-C", str(tmp_path), "ls-files", "-z", "-o", "--exclude-standard"]
    git = subprocess.run(command, check=True, capture_output=True).stdout.decode().split("\0")
    assert set(paths(tmp_path)) == set(git) - {""}


def test_rules_of_the_user_of_folders_around_and_of_midline_itself(tmp_path: Path, no_rules_of_this_user: Path) -> None:
    put(no_rules_of_this_user, {".gitconfig": "[core]\n\texcludesFile = ~/mine\n", "mine": "*.tmp\n"})
    inner = tmp_path / "repo/inner"
    put(tmp_path / "repo", {".git/HEAD": "ref: refs/heads/main", ".gitignore": "*.log\n/inner/out\n!kept.tmp\n"})
    put(inner, {"a.py": "", "a.log": "", "a.tmp": "", "kept.tmp": "", "out/b.py": "", "data/c.py": "", "big/d.py": ""})
    put(inner, {".midlineignore": "data/\n!a.log\n"})
    assert paths(inner) == [".midlineignore", "a.log", "a.py", "kept.tmp", "big/d.py"]
    assert "big/d.py" not in paths(inner, FileRules(exclude=("big/",)))
    assert "'data/' in .midlineignore, line 1" in decide(inner, "data/c.py", RULES).reason


def test_a_workspace_that_the_rules_around_it_ignore_is_opened_all_the_same(tmp_path: Path) -> None:
    put(tmp_path, {".git/HEAD": "", ".gitignore": "*\n", "project/a.py": ""})
    assert paths(tmp_path / "project") == ["a.py"]


def test_folders_of_tools_stay_out_and_folders_of_sources_in(tmp_path: Path) -> None:
    put(
        tmp_path,
        {"node_modules/a.js": "", "x/__pycache__/a.py": "", ".git/config": "", "build/a.py": "", "dist/a.py": ""},
    )
    put(
        tmp_path,
        {"target/CACHEDIR.TAG": "", "target/a.rs": "", "env/pyvenv.cfg": "", "env/a.py": "", "vendor/a.go": ""},
    )
    assert paths(tmp_path) == ["build/a.py", "dist/a.py", "vendor/a.go"]
    put(tmp_path, {".midlineignore": "!node_modules/\n!/env/\n!.git\n"})
    assert {"node_modules/a.js", "env/a.py"} < set(paths(tmp_path))
    assert not any(path.startswith(".git/") for path in paths(tmp_path))


def test_links_pipes_and_what_cannot_be_read_stay_out(tmp_path: Path) -> None:
    outside = put(tmp_path / "outside", {"secret.py": "x"})
    root = put(tmp_path / "root", {"a.py": "x", "sub/b.py": "x"})
    (root / "loop").symlink_to(root)
    (root / "sub/up").symlink_to("..")
    (root / "out.py").symlink_to(outside / "secret.py")
    (root / "outdir").symlink_to(outside)
    (root / "dangling.py").symlink_to("nowhere")
    os.mkfifo(root / "pipe.py")
    assert paths(root) == ["a.py", "sub/b.py"]
    assert not decide(root, "outdir/secret.py", RULES).included
    assert not decide(root, "../outside/secret.py", RULES).included
    for path in ("out.py", "pipe.py", "dangling.py", "sub", "gone.py", "a\0b"):
        result = read(root, path, RULES)
        assert isinstance(result, Skipped) and result.reason, path


def test_odd_names_are_listed_and_undecodable_ones_told_of(tmp_path: Path) -> None:
    names = ["a b.py", 'q"uote.py', "new\nline.py", "\U0001f600.py", "-rf", "$(x).py", "中文.py"]
    put(tmp_path, dict.fromkeys(names, "x"))
    (tmp_path / os.fsdecode(b"bad\xff.py")).write_text("x")
    skipped: dict[str, str] = {}
    assert sorted(item.path for item in listing(tmp_path, RULES, skipped.__setitem__)) == sorted(names)
    assert list(skipped.values()) == ["its name is not valid in UTF-8"]


def test_files_gone_since_they_were_listed_are_skipped(tmp_path: Path) -> None:
    put(tmp_path, {"a.py": "x", "b/c.py": "x"})
    found = listing(tmp_path, RULES)
    assert next(found).path == "a.py"
    (tmp_path / "b/c.py").unlink()
    assert list(found) == []
    assert list(listing(tmp_path / "missing", RULES)) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_is_skipped(tmp_path: Path) -> None:
    put(tmp_path, {"a.py": "x", "b/c.py": "x"})
    (tmp_path / "a.py").chmod(0)
    (tmp_path / "b").chmod(0)
    assert [item.path for item in listing(tmp_path, RULES)] == ["a.py"]
    assert isinstance(read(tmp_path, "a.py", RULES), Skipped)
    (tmp_path / "b").chmod(0o700)


def test_a_log_of_200_mb_is_skipped_by_its_size(tmp_path: Path) -> None:
    with (tmp_path / "big.log").open("wb") as file:
        file.truncate(200 << 20)
    assert paths(tmp_path) == []
    result = read(tmp_path, "big.log", RULES)
    assert isinstance(result, Skipped) and "204,800 KiB" in result.reason
    put(tmp_path, {"a.py": "x" * 1025})
    assert paths(tmp_path, FileRules(max_file_kib=1)) == []


CHINESE = "# 计算平均值,忽略空的元素\ndef mean(values):\n    return sum(values) / len(values)  # 除以个数\n"
WESTERN = "// Größe für Übergänge: naïve café, señor\nint größe = 3;\n"


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (CHINESE.encode(), CHINESE),
        (CHINESE.encode("utf-8-sig"), CHINESE),
        (CHINESE.encode("gbk"), CHINESE),
        (CHINESE.encode("gb18030"), CHINESE),
        (CHINESE.encode("utf-16"), CHINESE),
        (CHINESE.encode("utf-32"), CHINESE),
        (CHINESE.encode("utf-16-be"), CHINESE),
        (WESTERN.encode("latin-1"), WESTERN),
        (WESTERN.encode("cp1252"), WESTERN),
        (WESTERN.encode("utf-16-le"), WESTERN),
        (b"", ""),
        (b"\x81\x8d caf\xe9", "\x81\x8d café"),
        ("注释".encode("gbk"), "注释"),
        (b"x = 1\r\n", "x = 1\r\n"),
    ],
)
def test_encodings_come_out_right(data: bytes, text: str, tmp_path: Path) -> None:
    result = read(put(tmp_path, {"a.py": data}), "a.py", RULES)
    assert isinstance(result, Source), result
    assert result.text == text and result.size == len(data) and len(result.hash) == 16


@pytest.mark.parametrize(
    "data", [b"a\0b", b"\x7fELF\x01\x01\0", bytes(range(256)) * 4, b"\xff\xfe\x00\xd8a", b"\x01\x02\x03"]
)
def test_binary_content_is_skipped(data: bytes, tmp_path: Path) -> None:
    result = read(put(tmp_path, {"a.py": data}), "a.py", RULES)
    assert isinstance(result, Skipped) and "binary" in result.reason


@given(st.binary(max_size=300))
def test_any_bytes_are_text_or_binary(data: bytes) -> None:
    decoded = decode(data)
    assert decoded is None or "\0" not in decoded[0]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.min.js", "x"),
        ("package-lock.json", "{}"),
        ("go.sum", "x"),
        ("a_pb2.py", "x"),
        ("a.pb.go", "x"),
        ("a.png", "x"),
        ("app.js", "var a=1;" * 1000),
        ("a.go", "// Code generated by stringer; DO NOT EDIT.\npackage a\n"),
        ("a.ts", "/**\n * @generated by relay\n */\nexport {}\n"),
        (".env", "A=1"),
        ("id_rsa", "x"),
        ("a.py", "# Automatically generated by x, do not edit.\n"),
        ("style.css.map", "{}"),
        ("Cargo.lock", "x"),
    ],
)
def test_what_a_tool_made_is_skipped(name: str, text: str, tmp_path: Path) -> None:
    assert isinstance(read(put(tmp_path, {name: text}), name, RULES), Skipped)


def test_sources_that_speak_of_generated_code_or_hold_a_long_line_count(tmp_path: Path) -> None:
    put(tmp_path, {"a.py": 'MARK = "@generated"\n# code is generated here\n', "b.md": "word " * 1000 + "\n"})
    put(tmp_path, {"c.py": "x = 1\n" * 1000 + f"y = '{'z ' * 900}'\n"})
    for name in ("a.py", "b.md", "c.py"):
        assert isinstance(read(tmp_path, name, RULES), Source), name


def test_ignored_is_known_of_paths_that_are_gone(tmp_path: Path) -> None:
    put(tmp_path, {".gitignore": "*.log\nout/\n"})
    assert is_ignored(tmp_path, "a.log", RULES) and is_ignored(tmp_path, "out/a.py", RULES)
    assert is_ignored(tmp_path, ".git/index", RULES) and not is_ignored(tmp_path, "src/a.py", RULES)


def test_changed_rules_count_at_once(tmp_path: Path) -> None:
    put(tmp_path, {"a.py": "x", ".gitignore": "b.py\n"})
    assert decide(tmp_path, "a.py", RULES).included
    put(tmp_path, {".gitignore": "a.py\nb.py\n"})
    assert not decide(tmp_path, "a.py", RULES).included


def test_an_explanation_names_the_rule_and_never_the_secret(tmp_path: Path) -> None:
    secret = "hunter" + "two2"
    put(tmp_path, {"a.py": f'x = 1\npassword = "{secret}"\n', ".gitignore": "\n*.log\n", "b.log": "", ".env": "A=1"})
    inside = explain(tmp_path, "a.py", RULES)
    assert inside.included and inside.language == "python" and inside.encoding == "utf-8"
    assert [(finding.kind, finding.line) for finding in inside.findings] == [("assigned secret", 2)]
    assert secret not in repr(inside)
    assert explain(tmp_path, "b.log", RULES).reason == "it is ignored by '*.log' in .gitignore, line 2"
    assert "secrets" in explain(tmp_path, ".env", RULES).reason
    assert not explain(tmp_path, "gone.py", RULES).included
