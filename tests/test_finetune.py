"""``midline model finetune-data``: a repository as examples for training, without what mustn't be in it."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from indexer.outline import parse
from lsp.cli import main
from lsp.finetune.duplicates import Seen
from lsp.finetune.examples import gaps
from lsp.finetune.licences import Licences, in_head
from lsp.finetune.middles import middles

HERE = Path(__file__).parent
SAMPLES = sorted(path for path in (HERE / "samples").iterdir() if path.suffix in (".py", ".ts", ".go", ".java", ".rs"))
TOKEN = "ghp_" + "a1B2c3D4e5F6g7H8i9J0" * 2

ORDERS = '''
"""Orders and what they cost."""

from shop.money import Money


class Order:
    """What somebody bought."""

    @property
    def total(self) -> Money:
        """Add up what all of its lines cost."""
        total = Money(0)
        for line in self.lines:
            total += line.price * line.count
        return total

    def ship(self, address: str) -> None:
        self.address = address
        for line in self.lines:
            self.warehouse.pick(line.article, line.count)
        self.shipped = True


def discount(order: Order, percent: int) -> Money:
    """Take some percent off the total of an order."""
    if not 0 <= percent <= 100:
        raise ValueError(percent)
    return order.total * (100 - percent) / 100
'''.lstrip()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIDLINE_HOME", str(tmp_path / "home"))


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = tmp_path / "repository"
    write(root, {"shop/orders.py": ORDERS, "README.md": "# Shop\n" * 20, "data.json": "[1,\n2,\n3,\n4,\n5,\n6,\n7]\n"})
    return root


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def exported(root: Path, capsys: pytest.CaptureFixture[str], *options: str) -> tuple[list[Any], dict[str, Any]]:
    """The examples, and the report."""
    out = root.parent / "out.jsonl"
    assert main(["model", "finetune-data", str(root), "-o", str(out), "--json", *options]) == 0
    return [json.loads(line) for line in out.read_text().splitlines()], json.loads(capsys.readouterr().out)


def test_a_repository_becomes_gaps_and_tasks(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    examples, report = exported(repository, capsys, "--validation", "0")
    found = [one for one in examples if one["kind"] == "fim"]
    assert len(found) == report["examples"]["fim_train"] >= 2
    for gap in found:
        assert gap["prefix"] + gap["middle"] + gap["suffix"] == ORDERS
        assert ORDERS.split("\n")[gap["line"] - 1].startswith(gap["prefix"].rpartition("\n")[2])
    asked = {one["symbol"]: one["messages"] for one in examples if one["kind"] == "instruct"}
    assert asked.keys() == {"Order.total", "discount"}
    wish, answer = asked["Order.total"]
    assert "Add up what all of its lines cost." in wish["content"]
    assert answer["content"].startswith("```python\n@property\ndef total(self) -> Money:\n    ")
    assert report["left_out"] == {"no_code": 2}
    assert report["languages"] == {"python": 1}


def test_the_same_seed_gives_the_same_bytes(repository: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(repository, tmp_path / "elsewhere")

    def bytes_of(root: Path, seed: str) -> bytes:
        out = tmp_path / f"{root.name}-{seed}.jsonl"
        assert main(["model", "finetune-data", str(root), "-o", str(out), "--seed", seed]) == 0
        return out.read_bytes()

    assert bytes_of(repository, "1") == bytes_of(copy, "1") != bytes_of(repository, "2")


def test_a_file_is_for_training_or_for_validation(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root, out = tmp_path / "repository", tmp_path / "out"
    write(root, {f"m{i}.py": "\n".join(f"value_{i}_{j} = compute_{i * j}({j})" for j in range(9)) for i in range(40)})
    assert main(["model", "finetune-data", str(root), "-o", str(out), "--json", "--validation", "0.3"]) == 0
    report = json.loads((out / "report.json").read_text())
    assert report == json.loads(capsys.readouterr().out)
    paths = {
        split: {json.loads(line)["path"] for line in (out / f"fim.{split}.jsonl").read_text().splitlines()}
        for split in ("train", "validation")
    }
    assert not paths["train"] & paths["validation"]
    assert 4 <= report["files"]["validation"] <= 20  # twelve, give or take
    assert report["files"]["validation"] + report["files"]["train"] == 40
    # A file that was for validation may be for training in the next run: nothing of this one stays.
    assert main(["model", "finetune-data", str(root), "-o", str(out), "--validation", "0"]) == 0
    assert {path.name for path in out.iterdir()} == {"fim.train.jsonl", "report.json"}
    assert all(path.stat().st_mode & 0o077 == 0 for path in out.iterdir())


def test_what_is_secret_private_or_ignored_stays_out(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    secretive = "".join(f'def send_{i}():\n    token = "{TOKEN}"\n    post_{i}(token)\n\n' for i in range(30))
    others = {"private/plan.py": "private", "made/up.py": "ignored", ".env.py": "environment"}
    write(repository, {name: f"{word} = 1\n" * 20 for name, word in others.items()})
    write(
        repository,
        {
            "client.py": secretive,
            ".gitignore": "made/\n",
            "midline.toml": '[privacy]\nexclude = ["private/"]\n',
        },
    )
    examples, report = exported(repository, capsys)
    text = json.dumps(examples)
    assert TOKEN not in text
    assert not any(f"{word} = 1" in text for word in others.values())
    assert {one["path"] for one in examples} == {"shop/orders.py", "client.py"}
    learnt = [one["middle"] if one["kind"] == "fim" else one["messages"][1]["content"] for one in examples]
    assert not any("<redacted>" in one for one in learnt)
    assert report["with_secrets"] > 0
    assert report["left_out"]["ignored"] == 2
    assert report["left_out"]["secret_files"] == 1


def test_what_is_there_twice_is_learnt_once(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    alone, _ = exported(repository, capsys)
    copied = "import os\n\n" + ORDERS[ORDERS.index("def discount") :] + "\n\ndef other():\n    return os.environ\n"
    write(repository, {"z/copy.py": ORDERS.replace("Money(0)", "Money(1)"), "z/part.py": copied})
    examples, report = exported(repository, capsys)
    assert report["left_out"]["similar_files"] == 1
    assert report["similar_functions"] == 1
    assert [one for one in examples if one["path"] == "shop/orders.py"] == alone
    assert Counter(one["symbol"] for one in examples if one["kind"] == "instruct")["discount"] == 1
    again = copied.index("def discount"), copied.index("def other")
    for gap in (one for one in examples if one["path"] == "z/part.py"):
        assert not again[0] <= len(gap["prefix"]) < again[1]


def test_other_licences_stay_out_unless_they_are_named(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = "\n".join(f"def f{i}(): return g{i}(h{i * i})" for i in range(20))
    write(
        repository,
        {
            "LICENSE": "MIT License\n\nPermission is hereby granted, free of charge, to any person",
            "vendor/COPYING": "GNU GENERAL PUBLIC LICENSE\n  Version 3, 29 June 2007\n",
            "vendor/a.py": code,
            "tagged.py": "# SPDX-License-Identifier: Apache-2.0\n" + code.replace("f", "p"),
            "ours.py": "# SPDX-License-Identifier: GPL-2.0-or-later OR MIT\n" + code.replace("f", "q"),
        },
    )
    examples, report = exported(repository, capsys)
    assert {one["path"] for one in examples} == {"shop/orders.py", "ours.py"}
    assert report["licences"] == {"GPL-3.0": 1, "Apache-2.0": 1}
    examples, _ = exported(repository, capsys, "--licence", "gpl-3.0-only")
    assert "vendor/a.py" in {one["path"] for one in examples}


@pytest.mark.parametrize(
    ("text", "licences"),
    [
        ("/*\n * Licensed under the Apache License, Version 2.0 (the\n */\n", {"Apache-2.0"}),
        ("# under the terms of the GNU General Public License as published by\n# the FSF, version 2\n", {"GPL-2.0"}),
        ("// GNU Lesser General\n// Public License v2.1\n", {"LGPL-2.1"}),
        ("# SPDX-License-Identifier: (MIT OR BSD-2-Clause)\nx = 1", {"MIT", "BSD-2-Clause"}),
        ('PHRASE = "gnu general public license"', set()),
        ("# Copyright 2024 Somebody\nimport os\n", set()),
    ],
)
def test_licences_are_read_from_a_files_first_comments(text: str, licences: set[str]) -> None:
    assert in_head(text) == licences


def test_licences_of_folders(tmp_path: Path) -> None:
    write(tmp_path, {"a/LICENCE.txt": "Do what Ann says.", "b/licence.py": "x = 1", "c/LICENSE": "Do what Ann  says."})
    found = Licences(tmp_path)
    assert not found.own
    assert found.of("a/deep/down.py", "") == found.of("c/x.py", "") != frozenset()
    assert found.of("b/x.py", "") == frozenset()


def test_nothing_to_learn_from_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "empty", {"a.md": "# A\n" * 9})
    out = tmp_path / "out.jsonl"
    out.write_text("mine")
    assert main(["model", "finetune-data", str(tmp_path / "empty"), "-o", str(out)]) == 1
    assert "1 no code" in capsys.readouterr().err
    assert out.read_text() == "mine"
    assert main(["model", "finetune-data", str(tmp_path / "absent"), "-o", str(out)]) == 1
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["out.jsonl"]


@pytest.mark.parametrize("options", [["--validation", "0.9"], ["--seed", "-1"], ["--validation", "x"]])
def test_bad_usage(repository: Path, options: list[str]) -> None:
    with pytest.raises(SystemExit) as error:
        main(["model", "finetune-data", str(repository), "-o", "x", *options])
    assert error.value.code == 2


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_units_stand_as_they_should(path: Path) -> None:
    parsed = parse(
        path.read_text(), {".py": "python", ".ts": "typescript", ".rs": "rust"}.get(path.suffix, path.suffix[1:])
    )
    text = parsed.text
    units = Counter[str]()
    for seed in range(30):
        for middle in middles(parsed, Random(seed)):
            units[middle.unit] += 1
            before = text[: middle.start].rpartition("\n")[2]
            behind = text[middle.end :].partition("\n")[0]
            inside = text[middle.start : middle.end]
            if middle.unit in ("block", "statement"):
                assert not before.strip()
                assert not behind.strip()
                assert ("\n" in inside) == (middle.unit == "block")
            elif middle.unit in ("line", "expression"):
                assert "\n" not in inside
            if middle.unit == "line":
                assert not behind
    assert units.keys() >= {"body", "block", "statement", "expression", "line", "span"}


@given(
    st.text(st.sampled_from("def f(x):\n    return {1} é中\t\"'#;\U0001f600\0"), min_size=1, max_size=400),
    st.integers(0, 99),
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_is_cut_where_it_can_be_put_together_again(text: str, seed: int) -> None:
    parsed = parse(text, "python")
    for gap in gaps("a.py", "train", parsed, Random(seed)):
        assert gap.prefix + gap.middle + gap.suffix == parsed.text
        assert gap.middle.strip()


@given(st.lists(st.integers(0, 2_000), min_size=80, max_size=200, unique=True), st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_texts_alike_are_found_and_others_arent(words: list[int], data: st.DataObject) -> None:
    text = " ".join(f"w{word}" for word in words)
    seen = Seen()
    assert not seen.has_like(text)
    assert seen.has_like(text.replace(" ", "\n  "))
    at = data.draw(st.integers(0, len(words)))
    assert seen.has_like(" ".join([*text.split()[:at], "other", *text.split()[at:]]))
    assert not seen.has_like(" ".join(f"v{word}" for word in words))
