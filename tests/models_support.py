"""Tiny GGUF files and a package index on loopback, for the tests of ``lsp.models``."""

from __future__ import annotations

import hashlib
import io
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import gguf
import numpy as np
import pytest

from lsp.models.discovery import places

FIM_TOKENS = ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>", "<|file_sep|>", "<|repo_name|>")
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
NORMAL, CONTROL = 1, 3


def write_gguf(
    path: Path, *, fim: bool = True, chat: bool = True, seed: int = 0, layers: int | None = 1, weights: bool = True
) -> Path:
    """Write a GGUF with random weights that llama.cpp accepts as a model, and return its path."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("Tiny")
    writer.add_license("mit")
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    writer.add_context_length(64)
    writer.add_embedding_length(32)
    if layers is not None:
        writer.add_block_count(layers)
    writer.add_feed_forward_length(32)
    writer.add_head_count(2)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-5)
    tokens = [*LETTERS, "<|endoftext|>", *(FIM_TOKENS if fim else ())]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types([NORMAL if len(token) == 1 else CONTROL for token in tokens])
    writer.add_token_merges(["a b"])
    writer.add_eos_token_id(len(LETTERS))
    if chat:
        writer.add_chat_template("{% for message in messages %}{{ message.content }}{% endfor %}")
    if weights:
        random = np.random.default_rng(seed)
        for name in ("token_embd.weight", "output.weight"):
            writer.add_tensor(name, random.standard_normal((len(tokens), 32)).astype(np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def wheel(package: str, member: str, data: bytes, version: str = "1.0") -> bytes:
    """The bytes of a wheel that holds ``data`` as ``member``, without compression."""
    stem = f"{package.replace('-', '_')}-{version}"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(member, data)
        archive.writestr(f"{stem}.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
        archive.writestr(
            f"{stem}.dist-info/WHEEL",
            "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        archive.writestr(f"{stem}.dist-info/RECORD", "")
    return buffer.getvalue()


@dataclass
class Server:
    """A package index and model hub: ``pages`` by path; those in ``cut`` break off halfway, in ``stalled`` wait.

    ``etags`` are what it says of some pages, instead of their sha256.
    """

    url: str = ""
    pages: dict[str, bytes] = field(default_factory=dict)
    cut: set[str] = field(default_factory=set)
    stalled: set[str] = field(default_factory=set)
    etags: dict[str, str] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    stalling: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)

    def publish(self, package: str, member: str, data: bytes) -> str:
        """Offer a wheel that holds ``data`` as ``member``; return its path."""
        path = f"/files/{package.replace('-', '_')}-1.0-py3-none-any.whl"
        self.pages[path] = wheel(package, member, data)
        self.pages[f"/simple/{package}/"] = f'<a href="{path}">{path.rpartition("/")[2]}</a>'.encode()
        return path


@contextmanager
def serving() -> Iterator[Server]:
    """Run a ``Server`` on loopback."""
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.requests.append(self.path)
            page = self.send_head()
            if page is None:
                return
            half = len(page) // 2
            self.wfile.write(page[:half])
            if self.path in state.cut:
                self.close_connection = True
                return
            if self.path in state.stalled:
                self.wfile.flush()
                state.stalling.set()
                state.go_on.wait(60)
            self.wfile.write(page[half:])

        def do_HEAD(self) -> None:
            self.send_head()

        def send_head(self) -> bytes | None:
            page = state.pages.get(self.path)
            if page is None:
                self.send_error(404)
                return None
            self.send_response(200)
            self.send_header("Content-Length", str(len(page)))
            self.send_header("Content-Type", "text/html" if self.path.endswith("/") else "application/zip")
            # What a model hub says, besides.
            self.send_header("ETag", f'"{state.etags.get(self.path, sha256(page))}"')
            self.send_header("X-Repo-Commit", "0" * 40)
            self.end_headers()
            return page

        def log_message(self, *_: object) -> None:
            pass

    class QuietServer(ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            pass  # clients are killed here on purpose

    server = QuietServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield state
    finally:
        state.go_on.set()
        server.shutdown()
        server.server_close()
        thread.join()


_STORES = (
    *("OLLAMA_MODELS", "LLAMA_CACHE", "HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "JAN_DATA_FOLDER"),
    *("XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"),
)


def without_other_models(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make ``home`` the home directory of a machine where no other program keeps models; return it."""
    for name in _STORES:
        monkeypatch.delenv(name, raising=False)
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setattr(places, "_OLLAMA_SERVICES", ())
    monkeypatch.setattr("sys.platform", "linux")
    return home


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
