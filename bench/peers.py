"""The peers of ``bench.side_by_side``, each in a process of its own so that none disturbs another's llama.cpp.

``python -m bench.peers llama-server MODEL PORT THREADS`` serves HTTP on the loopback interface, set as llama.vim's
README starts it. ``python -m bench.peers llama MODEL THREADS`` answers JSON lines on stdin with llama-cpp-python's
high-level class.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# llama.vim's defaults.
LINES_ABOVE, LINES_BELOW = 256, 64
MOST_RIGHT_OF_CURSOR = 8
N_CTX = 8192
START_SECONDS = 60.0


@dataclass(frozen=True)
class Window:
    """The text around a cursor as llama.vim cuts it: whole lines above, the line's two halves, whole lines below."""

    above: str
    before: str
    below: str

    @classmethod
    def of(cls, text: str, offset: int) -> Window | None:
        """None where llama.vim asks for nothing by itself: too much stands right of the cursor."""
        start = text.rfind("\n", 0, offset) + 1
        end = text.find("\n", offset)
        end = len(text) if end < 0 else end
        before, after = text[start:offset], text[offset:end]
        if len(after) > MOST_RIGHT_OF_CURSOR:
            return None
        if not (before + after).strip():  # a blank line is completed from its beginning
            before = after = ""
        above = text[:start].split("\n")[:-1][-LINES_ABOVE:]
        below = text[end + 1 :].split("\n")[:LINES_BELOW]
        return cls("\n".join(above) + "\n", before, after + "\n" + "\n".join(below) + "\n")


@dataclass(frozen=True)
class Cost:
    """Prompt tokens computed for a key, milliseconds until they were, and prompt tokens in all."""

    evaluated: int
    first_ms: float
    prompt: int


class LlamaServer:
    """A real llama-server, asked as llama.vim asks it."""

    def __init__(self, port: int) -> None:
        self._port = port

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self._port}"

    def complete(self, window: Window, n_predict: int) -> Cost:
        """One key's request."""
        request = {
            "id_slot": 0,
            "input_prefix": window.above,
            "input_suffix": window.below,
            "input_extra": [],
            "prompt": window.before,
            "n_predict": n_predict,
            "stop": [],
            "n_indent": len(window.before) - len(window.before.lstrip()),
            "top_k": 40,
            "top_p": 0.90,
            "samplers": ["top_k", "top_p", "infill"],
            "stream": False,
            "cache_prompt": True,
            "t_max_prompt_ms": 500,
            "t_max_predict_ms": 250,
        }
        # A connection for each request, as curl has: the server closes those that wait for somebody to type.
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self._port, timeout=300)) as connection:
            connection.request("POST", "/infill", json.dumps(request), {"Content-Type": "application/json"})
            answer = json.loads(connection.getresponse().read())
        if "timings" not in answer:
            raise RuntimeError(f"llama-server answered {answer}")
        timings = answer["timings"]
        # `tokens_evaluated` there is the prompt's length, whether computed or not.
        return Cost(timings["prompt_n"], timings["prompt_ms"], answer["tokens_evaluated"])


class HighLevelLlama:
    """llama-cpp-python's ``Llama(...)`` with ``suffix=``."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def complete(self, window: Window, n_predict: int) -> Cost:
        """One key's request."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None and stdout is not None
        question = {"prompt": window.above + window.before, "suffix": window.below, "max_tokens": n_predict}
        stdin.write(json.dumps(question) + "\n")
        stdin.flush()
        return Cost(**json.loads(stdout.readline()))


@contextlib.contextmanager
def llama_server(model: Path, threads: int) -> Iterator[LlamaServer]:
    """Start one on a free port of the loopback interface."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "bench.peers", "llama-server", str(model), str(port), str(threads)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + START_SECONDS
        while not _healthy(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("llama-server doesn't start; is xllamacpp installed (pip install midline[bench])?")
            time.sleep(0.2)
        yield LlamaServer(port)
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def high_level_llama(model: Path, threads: int) -> Iterator[HighLevelLlama]:
    """Start one."""
    command = [sys.executable, "-m", "bench.peers", "llama", str(model), str(threads)]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        yield HighLevelLlama(process)
    finally:
        process.kill()
        process.wait()


def _healthy(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def _serve(model: str, port: int, threads: int) -> None:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = model
    params.hostnames = ["127.0.0.1"]
    params.port = port
    params.n_ctx = N_CTX
    params.n_batch = params.n_ubatch = 1024
    params.n_cache_reuse = 256
    params.n_parallel = 1
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    server = xllamacpp.Server(params)
    print(server.listening_address, file=sys.stderr)
    threading.Event().wait()


def _answer(model: str, threads: int) -> None:
    from llama_cpp import Llama

    # llama.cpp prints to file descriptor 1, which is ours to answer on.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    llama = Llama(model, n_ctx=N_CTX, n_threads=threads, n_threads_batch=threads, verbose=False)
    evaluate = llama.eval
    counts: list[int] = []

    def counting(tokens: Any) -> None:
        counts.append(len(tokens))
        evaluate(tokens)

    llama.eval = counting  # type: ignore[method-assign]
    for line in sys.stdin:
        question = json.loads(line)
        counts.clear()
        began = time.perf_counter()
        first = 0.0
        for _ in llama.create_completion(**question, temperature=0.0, stream=True):
            first = first or (time.perf_counter() - began) * 1000
        prompt = len(llama.tokenize((question["prompt"] + question["suffix"]).encode(), add_bos=False))
        answers.write(json.dumps({"evaluated": counts[0], "first_ms": first, "prompt": prompt + 3}) + "\n")


if __name__ == "__main__":
    if sys.argv[1] == "llama-server":
        _serve(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
    else:
        _answer(sys.argv[2], int(sys.argv[3]))
