"""A model of a few kilobytes with random weights: all of an engine but its answers, loaded in no time."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np

FIM_TOKENS = ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>")
WIDTH, HEADS, HIDDEN = 64, 2, 64
_NORMAL, _CONTROL = 1, 3


def write_tiny_model(path: Path, *, fim: bool = True) -> Path:
    """Write a GGUF of architecture ``llama`` that any text can be given to; return its path.

    Args:
        path: where.
        fim: whether its vocabulary has the tokens that infilling needs.
    """
    tokens = [*_byte_tokens(), "<|endoftext|>", *(FIM_TOKENS if fim else ())]
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("Tiny")
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_context_length(4096)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(1)
    writer.add_feed_forward_length(HIDDEN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types([_NORMAL] * 256 + [_CONTROL] * (len(tokens) - 256))
    writer.add_token_merges(["a b"])
    writer.add_eos_token_id(256)
    random = np.random.default_rng(0)
    square = (WIDTH, WIDTH)
    shapes = {
        "token_embd": (len(tokens), WIDTH),
        "output_norm": (WIDTH,),
        "output": (len(tokens), WIDTH),
        "blk.0.attn_norm": (WIDTH,),
        "blk.0.attn_q": square,
        "blk.0.attn_k": square,
        "blk.0.attn_v": square,
        "blk.0.attn_output": square,
        "blk.0.ffn_norm": (WIDTH,),
        "blk.0.ffn_gate": (HIDDEN, WIDTH),
        "blk.0.ffn_up": (HIDDEN, WIDTH),
        "blk.0.ffn_down": (WIDTH, HIDDEN),
    }
    for name, shape in shapes.items():
        writer.add_tensor(f"{name}.weight", random.standard_normal(shape).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _byte_tokens() -> list[str]:
    """GPT-2's printable stand-ins for the 256 bytes, in the order of the bytes."""
    shown = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = iter(range(0x100, 0x200))
    return [chr(byte if byte in shown else next(others)) for byte in range(256)]
