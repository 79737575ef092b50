"""What LoRA adapters cost: tokens a second with and without, loading one, changing it, and two clients with others."""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from pathlib import Path
from statistics import median

import gguf
import msgspec
import numpy as np

from bench.common import bench_home, engine_config, machine, print_report, running_engine
from lsp.engine.client import EngineClient
from lsp.engine.config import EngineConfig
from lsp.engine.protocol import Special, Text
from lsp.models.adapters import resolve

MATRICES = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")
CODE = "def merge(left, right):\n    result = []\n" * 12


def write_adapter(path: Path, model: Path, rank: int, seed: int) -> Path:
    """An adapter of all matrices with random weights, so small that the model goes on writing what it would."""
    reader = gguf.GGUFReader(model)
    writer = gguf.GGUFWriter(path, reader.fields["general.architecture"].contents())
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", float(rank))
    random = np.random.default_rng(seed)
    for tensor in reader.tensors:
        if tensor.name.split(".")[-2] in MATRICES and len(tensor.shape) == 2:
            columns, rows = map(int, tensor.shape)
            for half, shape in (("a", (rank, columns)), ("b", (rows, rank))):
                weights = random.standard_normal(shape, dtype=np.float32) * np.float32(0.01)
                writer.add_tensor(f"{tensor.name}.lora_{half}", weights.astype(np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


async def generated(client: EngineClient, key: str, tokens: int) -> tuple[float, float]:
    """Tokens a second behind the first one, and milliseconds up to it."""
    began = time.perf_counter()
    times = [time.perf_counter() async for _ in client.generate(key, prompt(key), max_tokens=tokens, priority="chat")]
    return (len(times) - 1) / (times[-1] - times[0]), 1000 * (times[0] - began)


def prompt(key: str) -> list[Special | Text]:
    """Something to go on with for long."""
    return [Special("prefix"), Text(f"# {key}\n{CODE}"), Special("suffix"), Special("middle"), Text("    while left")]


async def measure(config: EngineConfig, rank: int, tokens: int, folder: Path) -> dict[str, object]:
    """All figures."""
    model = Path(config.model)
    files = [str(write_adapter(folder / f"{seed}.gguf", model, rank, seed)) for seed in range(2)]
    configs = [config, *(msgspec.structs.replace(config, adapters=resolve(files[:n], model)) for n in (1, 2))]
    other = msgspec.structs.replace(config, adapters=resolve(files[1:], model))
    report: dict[str, object] = {"rank": rank, "adapter_bytes": Path(files[0]).stat().st_size}
    async with running_engine(config) as first:
        clients = [first]
        for more in (*configs[1:], other):
            client = EngineClient(more)
            client.start()
            await client.ready()
            clients.append(client)
        for count, client in enumerate(clients[:3]):
            await generated(client, f"file{count}", 2)  # read once: what is measured is what follows
            report[f"tokens_per_second_with_{count}"] = round((await generated(client, f"file{count}", tokens))[0], 2)
        one, two = clients[1], clients[3]
        await generated(two, "other", 2)
        alternating = [await generated(client, key, 1 + 1) for client, key in [(one, "file1"), (two, "other")] * 10]
        staying = [await generated(one, "file1", 1 + 1) for _ in range(20)]
        report["first_token_ms_after_a_change"] = round(median(ms for _, ms in alternating), 1)
        report["first_token_ms_without"] = round(median(ms for _, ms in staying), 1)
        both = await asyncio.gather(generated(one, "file1", tokens), generated(two, "other", tokens))
        report["tokens_per_second_of_two_at_once"] = [round(speed, 2) for speed, _ in both]
        await generated(one, "file3", 2)
        same = await asyncio.gather(generated(one, "file1", tokens), generated(one, "file3", tokens))
        report["tokens_per_second_of_two_with_the_same"] = [round(speed, 2) for speed, _ in same]
        for client in clients[1:]:
            await client.close()
    return report


def main() -> None:
    """Run the bench."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--tokens", type=int, default=100, help="generated for each speed")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with bench_home() as home, tempfile.TemporaryDirectory() as folder:
        figures = asyncio.run(measure(engine_config(home), arguments.rank, arguments.tokens, Path(folder)))
    print_report(figures | {"machine": machine()}, arguments.json)


if __name__ == "__main__":
    main()
