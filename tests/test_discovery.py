"""Models in the stores of other programs: found, told apart and compared, whatever else lies there."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import gguf
import pytest
from discovery_support import names, put, put_hub, put_ollama
from models_support import sha256, without_other_models, write_gguf

from lsp.models import store
from lsp.models.adding import add
from lsp.models.discovery import discover as discovering
from lsp.models.discovery.discover import Found, discover


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MIDLINE_HOME", str(tmp_path / "midline"))
    return without_other_models(tmp_path / "home", monkeypatch)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gguf(tmp_path_factory.mktemp("tiny") / "tiny.gguf")


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the same size, with other weights."""
    return write_gguf(tmp_path_factory.mktemp("other") / "other.gguf", seed=1)


def test_nothing_is_found_where_nothing_is() -> None:
    assert discover() == discovering.Discovery((), (), ())


def test_each_store_is_looked_into(home: Path, tiny: Path, other: Path, tmp_path: Path) -> None:
    put_ollama(home / ".ollama/models", "registry.ollama.ai/library/tiny/1b", tiny)
    put_ollama(home / ".ollama/models", "registry.ollama.ai/somebody/tiny/latest", tiny)
    put_ollama(home / ".ollama/models", "hf.co/maker/tiny-GGUF/Q4_K_M", other)
    put(tiny, home / ".lmstudio/models/maker/tiny-GGUF/tiny-q4.gguf")
    put(tiny, home / ".cache/llama.cpp/maker_tiny-GGUF_tiny-q4.gguf")
    put_hub(home / ".cache/huggingface/hub", "maker/tiny-GGUF", "c0", "q4/tiny-q4.gguf", tiny)
    put(tiny, home / ".local/share/nomic.ai/GPT4All/tiny-q4.gguf")
    put(tiny, home / ".local/share/Jan/data/llamacpp/models/tiny-1b/model.gguf")
    put(tiny, tmp_path / "mine/code/tiny.gguf")
    assert names(str(tmp_path / "mine")) == [
        "ollama/hf.co/maker/tiny-GGUF:Q4_K_M",
        "ollama/tiny:1b",
        "ollama/somebody/tiny:latest",
        "lmstudio/maker/tiny-GGUF/tiny-q4",
        "llama.cpp/maker_tiny-GGUF_tiny-q4",
        "huggingface/maker/tiny-GGUF/q4/tiny-q4",
        "gpt4all/tiny-q4",
        "jan/tiny-1b",
        "folder/code/tiny",
    ]


def test_each_store_may_have_been_moved(
    home: Path, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = tmp_path / "away"
    for name, place in (
        ("OLLAMA_MODELS", "ollama"),
        ("LLAMA_CACHE", "llama"),
        ("HF_HOME", "hf"),
        ("XDG_DATA_HOME", "d"),
    ):
        monkeypatch.setenv(name, str(away / place))
    put_ollama(away / "ollama", "registry.ollama.ai/library/tiny/1b", tiny)
    put(tiny, away / "llama/tiny.gguf")
    put_hub(away / "hf/hub", "maker/a", "c0", "tiny.gguf", tiny)
    monkeypatch.setenv("HF_HUB_CACHE", str(away / "cache"))
    put_hub(away / "cache", "maker/b", "c0", "tiny.gguf", tiny)
    (home / ".lmstudio-home-pointer").write_text(f"{away / 'lm'}\n")
    put(tiny, away / "lm/models/a/b/tiny.gguf")
    put(tiny, away / "downloads/a/c/tiny.gguf")
    (away / "lm/settings.json").write_text(json.dumps({"downloadsFolder": str(away / "downloads")}))
    (away / "d/Jan").mkdir(parents=True)
    (away / "d/Jan/settings.json").write_text(json.dumps({"data_folder": str(away / "jan")}))
    put(tiny, away / "jan/llamacpp/models/tiny/model.gguf")
    (home / ".config/nomic.ai").mkdir(parents=True)
    (home / ".config/nomic.ai/GPT4All.ini").write_text(f"[General]\nmodelPath={away / 'gpt4all'}\n100%=%(x)s\n")
    put(tiny, away / "gpt4all/tiny.gguf")
    assert names() == [
        "ollama/tiny:1b",
        "lmstudio/a/c/tiny",
        "lmstudio/a/b/tiny",
        "llama.cpp/tiny",
        "huggingface/maker/b/tiny",
        "huggingface/maker/a/tiny",
        "gpt4all/tiny",
        "jan/tiny",
    ]


def test_settings_of_other_programs_may_be_broken(home: Path, tiny: Path) -> None:
    (home / ".lmstudio").mkdir()
    (home / ".lmstudio/settings.json").write_text("[" * 100_000)
    (home / ".lmstudio-home-pointer").write_bytes(b"\0\xff")
    (home / ".config/nomic.ai").mkdir(parents=True)
    (home / ".config/nomic.ai/GPT4All.ini").write_text("no section")
    (home / ".local/share/Jan").mkdir(parents=True)
    (home / ".local/share/Jan/settings.json").write_text('["data_folder"]')
    put(tiny, home / ".lmstudio/models/a/b/tiny.gguf")
    assert names() == ["lmstudio/a/b/tiny"]


def facts_of(path: Path) -> Found:
    (found,) = discover([str(path.parent)]).found
    return found


def test_what_a_file_says_of_itself_is_told(tmp_path: Path, tiny: Path) -> None:
    found = facts_of(put(tiny, tmp_path / "a/tiny.gguf"))
    assert found.facts is not None
    said = found.facts
    assert (said.kind, said.architecture, said.title, said.quantization) == ("model", "llama", "Tiny", "F16")
    assert (said.fim, said.chat, said.tools, said.thinking, said.parts) == ("psm", True, False, False, 1)
    assert (said.context_length, said.parameters, found.licence) == (64, 2 * 42 * 32, "mit")
    assert said.active_parameters == 42 * 32  # of the embedding, one row is looked up


def write(path: Path, architecture: str, metadata: dict[str, object], tensors: dict[str, tuple[int, ...]]) -> Path:
    """A GGUF that says just this; shapes as GGUF has them, the fastest dimension first."""
    import numpy as np

    path.parent.mkdir(parents=True, exist_ok=True)
    writer = gguf.GGUFWriter(path, architecture)
    for key, value in metadata.items():
        if isinstance(value, bool):
            writer.add_bool(key, value)
        elif isinstance(value, int):
            writer.add_uint32(key, value)
        else:
            writer.add_string(key, str(value))
    for name, shape in tensors.items():
        writer.add_tensor(name, np.zeros(shape[::-1], np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


TENSOR = {"token_embd.weight": (4, 8)}


@pytest.mark.parametrize(
    ("architecture", "metadata", "tensors", "kind"),
    [
        ("llama", {}, TENSOR, "model"),
        ("bert", {}, TENSOR, "embedding"),
        ("qwen3", {"qwen3.pooling_type": 3}, TENSOR, "embedding"),
        ("gemma3", {"gemma3.attention.causal": False}, TENSOR, "embedding"),
        ("qwen3", {"qwen3.pooling_type": 4}, TENSOR, "reranker"),
        ("bert", {}, {**TENSOR, "cls.weight": (4, 4)}, "reranker"),
        ("clip", {}, TENSOR, "projector"),
        ("llama", {"general.type": "adapter"}, TENSOR, "adapter"),
        ("llama", {}, {}, "other"),
    ],
)
def test_what_is_no_language_model_is_told_apart(
    architecture: str, metadata: dict[str, object], tensors: dict[str, tuple[int, ...]], kind: str, tmp_path: Path
) -> None:
    found = facts_of(write(tmp_path / "a/some.gguf", architecture, metadata, tensors))
    assert found.facts is not None
    assert found.facts.kind == kind


def test_a_template_tells_tools_and_thinking(tmp_path: Path) -> None:
    template = "{%- if tools %}{{ tools | tojson }}{% endif %}<think>{{ messages }}"
    found = facts_of(write(tmp_path / "a/some.gguf", "llama", {"tokenizer.chat_template": template}, TENSOR))
    assert found.facts is not None
    assert (found.facts.chat, found.facts.tools, found.facts.thinking) == (True, True, True)
    plain = "The tools of {{ messages }}"
    found = facts_of(write(tmp_path / "b/some.gguf", "llama", {"tokenizer.chat_template": plain}, TENSOR))
    assert found.facts is not None
    assert (found.facts.chat, found.facts.tools, found.facts.thinking) == (True, False, False)


def test_a_template_that_never_ends_an_expression_is_read_in_no_time(tmp_path: Path) -> None:
    template = "{{" * 200_000
    found = facts_of(write(tmp_path / "a/some.gguf", "llama", {"tokenizer.chat_template": template}, TENSOR))
    assert found.facts is not None
    assert (found.facts.chat, found.facts.tools) == (True, False)


def test_of_a_mixture_the_experts_in_use_are_active(tmp_path: Path) -> None:
    metadata: dict[str, object] = {"llama.expert_count": 8, "llama.expert_used_count": 2}
    tensors = {**TENSOR, "output.weight": (4, 8), "blk.0.ffn_up_exps.weight": (4, 4, 8), "blk.0.attn_q.weight": (4, 4)}
    found = facts_of(write(tmp_path / "a/some.gguf", "llama", metadata, tensors))
    assert found.facts is not None
    assert found.facts.parameters == 32 + 32 + 128 + 16
    assert found.facts.active_parameters == 32 + 128 // 4 + 16
    assert found.facts.active_bytes == 4 * found.facts.active_parameters


def split(path: Path, parts: int) -> list[Path]:
    """A model in several files, as llama-gguf-split makes them."""
    path.mkdir()
    return [
        write(
            path / f"big-{number + 1:05}-of-{parts:05}.gguf",
            "llama",
            {"split.no": number, "split.count": parts, "split.tensors.count": parts},
            {f"blk.{number}.attn_q.weight": (4, 4)},
        )
        for number in range(parts)
    ]


def test_a_split_model_is_one(tmp_path: Path) -> None:
    parts = split(tmp_path / "a", 3)
    found = facts_of(parts[0])
    assert found.name == "folder/big"
    assert found.path == parts[0]
    assert found.bytes == sum(part.stat().st_size for part in parts)
    assert found.facts is not None
    assert (found.facts.parts, found.facts.parameters) == (3, 48)


def test_a_missing_part_is_told_until_it_comes(tmp_path: Path) -> None:
    parts = split(tmp_path / "a", 3)
    away = parts[1].rename(tmp_path / "away")
    for _ in range(2):
        discovery = discover([str(tmp_path / "a")])
        assert discovery.found[0].facts is None
        assert "big-00002-of-00003.gguf is missing" in discovery.problems[0]
    away.rename(parts[1])
    assert discover([str(tmp_path / "a")]).problems == ()
    parts[2].unlink()
    assert "big-00003-of-00003.gguf is missing" in discover([str(tmp_path / "a")]).problems[0]


def test_equal_files_are_duplicates_and_others_of_their_size_are_not(home: Path, tiny: Path, other: Path) -> None:
    assert tiny.stat().st_size == other.stat().st_size
    mine = add(tiny, name="mine")
    put_ollama(home / ".ollama/models", "registry.ollama.ai/library/tiny/1b", tiny)
    put_ollama(home / ".ollama/models", "registry.ollama.ai/library/tiny/2b", other)
    put(other, home / ".cache/llama.cpp/b.gguf")
    own = [discovering.Owned(mine.name, mine.path, mine.sha256 or "")]
    assert {model.name: model.same_as for model in discover(own=own).found} == {
        "ollama/tiny:1b": "mine",
        "ollama/tiny:2b": "",
        "llama.cpp/b": "ollama/tiny:2b",
    }


def test_files_that_differ_in_one_place_only_are_told_apart_when_hashed(tmp_path: Path) -> None:
    first = write(tmp_path / "a/first.gguf", "llama", {}, {"blk.0.attn_q.weight": (1024, 4096)})
    second = put(first, tmp_path / "a/second.gguf")
    with second.open("r+b") as file:
        file.seek(5_000_003)  # between two samples
        file.write(b"!")
    assert [model.same_as for model in discover([str(tmp_path / "a")]).found] == ["", "folder/first"]
    found = discover([str(tmp_path / "a")], sha256_of=lambda _, path: sha256(path.read_bytes())).found
    assert [(model.same_as, model.sha256) for model in found] == [
        ("", sha256(first.read_bytes())),
        ("", sha256(second.read_bytes())),
    ]


def test_a_manifest_that_leads_nowhere_is_told(home: Path, tiny: Path) -> None:
    models = home / ".ollama/models"
    put_ollama(models, "registry.ollama.ai/library/gone/1b", tiny).unlink()
    manifests = models / "manifests/registry.ollama.ai/library"
    for name, text in (
        ("text/1b", "not JSON"),
        ("odd/1b", '{"layers": 3}'),
        ("binary/1b", b"\xff\xfe".decode("latin1")),
        ("remote/1b", '{"layers": []}'),
        ("out/1b", '{"layers": [{"mediaType": "application/vnd.ollama.image.model", "digest": "sha256:../../x"}]}'),
    ):
        (manifests / name).parent.mkdir(parents=True)
        (manifests / name).write_text(text)
    discovery = discover()
    assert discovery.found == ()
    told = "\n".join(discovery.problems)
    assert "Ollama's gone:1b isn't whole" in told
    assert "ollama pull gone:1b" in told
    for name in ("text:1b", "odd:1b", "binary:1b"):
        assert f"the manifest of Ollama's {name} isn't one" in told
    assert "remote" not in told
    assert "out:1b" not in told


def test_links_that_lead_nowhere_or_round_in_circles_are_no_trouble(home: Path, tiny: Path) -> None:
    folder = home / ".lmstudio/models"
    put(tiny, folder / "a/b/tiny.gguf")
    (folder / "a/loop").symlink_to(folder)
    (folder / "a/b/itself.gguf").symlink_to("itself.gguf")
    (folder / "a/b/gone.gguf").symlink_to("nowhere")
    (folder / "a/b/folder.gguf").mkdir()
    os.mkfifo(folder / "a/b/pipe.gguf")
    (folder / "a/b/.hidden.gguf").write_text("")
    (folder / "c").symlink_to(folder / "a" / "b")
    discovery = discover()
    assert [model.name for model in discovery.found] == ["lmstudio/a/b/tiny"]
    assert discovery.problems == (
        f"{folder / 'a/b/gone.gguf'} is a link to nowhere",
        f"can't read {folder / 'a/b/itself.gguf'}: Too many levels of symbolic links",
    )


@pytest.fixture
def as_anybody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home directory of a user who isn't root; what follows is done as that user."""
    if os.geteuid() != 0:
        yield tmp_path / "home"
        return
    nobody = 65534
    # Not in a folder that only root can enter, as those of pytest are, and at times /tmp.
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        os.chown(folder, nobody, nobody)
        monkeypatch.setenv("HOME", folder)
        monkeypatch.setenv("MIDLINE_HOME", f"{folder}/midline")
        os.seteuid(nobody)
        try:
            yield Path(folder)
        finally:
            os.seteuid(0)


def test_what_is_closed_to_us_is_told(as_anybody: Path) -> None:
    models = as_anybody / ".lmstudio/models"
    for name in ("a/b", "a/c", "a/d"):
        (models / name).mkdir(parents=True)
        write_gguf(models / name / "tiny.gguf")
    (models / "a/b").chmod(0)
    (models / "a/c/tiny.gguf").chmod(0)
    (as_anybody / ".ollama/models/manifests").mkdir(parents=True)
    (as_anybody / ".ollama/models/blobs").mkdir()
    (as_anybody / ".ollama/models/manifests").chmod(0)
    try:
        discovery = discover()
    finally:
        for folder in (models / "a/b", as_anybody / ".ollama/models/manifests"):
            folder.chmod(0o700)
    assert [model.name for model in discovery.found if model.facts] == ["lmstudio/a/d/tiny"]
    told = "\n".join(discovery.problems)
    assert f"can't look into {models / 'a/b'}: Permission denied" in told
    assert f"can't look into {as_anybody / '.ollama/models/manifests'}: Permission denied" in told
    assert "lmstudio/a/c/tiny: Can't read" in told


def test_a_folder_of_the_settings_that_is_missing_is_told(tmp_path: Path) -> None:
    assert discover([str(tmp_path / "none")]).problems == (
        f"model.folders names {tmp_path / 'none'}: No such file or directory",
    )


def test_files_that_are_no_models_are_told_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/page.gguf").write_text("<!doctype html>")
    discovery = discover([str(tmp_path / "a")])
    assert "it is a web page" in discovery.found[0].problem
    assert discovery.problems == (f"folder/page: {discovery.found[0].problem.rstrip('.')}",)


def test_files_are_read_once_and_again_when_they_change(
    tmp_path: Path, tiny: Path, other: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[Path] = []
    from lsp.models.discovery import memory

    real = memory.read_header
    monkeypatch.setattr(memory, "read_header", lambda path, **more: (read.append(path), real(path, **more))[1])
    place = put(tiny, tmp_path / "a/tiny.gguf")
    first = discover([str(tmp_path / "a")])
    assert discover([str(tmp_path / "a")]) == first
    assert read == [place]
    put(write_gguf(tmp_path / "bigger.gguf", chat=False), place)
    (again,) = discover([str(tmp_path / "a")]).found
    assert again.facts is not None
    assert not again.facts.chat
    assert read == [place, place]


def test_nothing_of_the_stores_is_changed(home: Path, tiny: Path) -> None:
    blob = put_ollama(home / ".ollama/models", "registry.ollama.ai/library/tiny/1b", tiny)
    put(tiny, home / ".lmstudio/models/a/b/tiny.gguf")
    before = {path: (path.lstat().st_mtime_ns, path.lstat().st_mode) for path in sorted(home.rglob("*"))}
    discover()
    store.find("ollama/tiny:1b")
    assert {path: (path.lstat().st_mtime_ns, path.lstat().st_mode) for path in sorted(home.rglob("*"))} == before
    assert blob.read_bytes() == tiny.read_bytes()


def test_ten_thousand_files_are_found(tmp_path: Path) -> None:
    model = write(tmp_path / "model.gguf", "llama", {}, TENSOR)
    for folder in range(100):
        (tmp_path / f"many/{folder:02}").mkdir(parents=True)
        for number in range(100):
            os.link(model, tmp_path / f"many/{folder:02}/{number:02}.gguf")
    assert len(names(str(tmp_path / "many"))) == 10_000
    assert len(names(str(tmp_path / "many"))) == 10_000
