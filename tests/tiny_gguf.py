"""Models of some hundred kilobytes with random weights, one for each kind of memory that llama.cpp has.

Their answers mean nothing, but they depend on every token before: whoever reuses a wrong or stale state gets others.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import gguf
import numpy as np
import numpy.typing as npt

# full: attention to all tokens before; sliding: every other layer sees the last WINDOW only; recurrent: a state that
# each token changes; hybrid: layers of both sorts; hybrid_sliding: the same with a window for the attention.
Kind = Literal["full", "sliding", "recurrent", "hybrid", "hybrid_sliding"]
# Models that can't complete: one that fills in masks, one that embeds, one whose decoder wants an encoder's output.
Unfit = Literal["diffusion", "embedding", "encoder"]

ARCHITECTURES: dict[Kind | Unfit, str] = {
    "full": "llama",
    "sliding": "gemma2",
    "recurrent": "mamba",
    "hybrid": "jamba",
    "hybrid_sliding": "lfm2",
    "diffusion": "llada",
    "embedding": "llama",
    "encoder": "t5encoder",
}
WINDOW = 32
LAYERS, WIDTH, HEADS, HIDDEN = 4, 64, 2, 96
INNER, STATE, CONV, STEP = 2 * WIDTH, 16, 4, 4  # of a state space layer
FIM_TOKENS = ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>")
NORMAL, _UNKNOWN, CONTROL, USER_DEFINED, _BYTE = 1, 2, 3, 4, 6
# Some tokens of several bytes, so that healing has something to heal.
_WORDS = ("def", "return", "self", "import", "    ", "()", "in", "or", "==", "__")

Array = npt.NDArray[np.float32]


def write_tiny_gguf(
    path: Path,
    kind: Kind | Unfit,
    *,
    fim: Sequence[str] = FIM_TOKENS,
    fim_type: int = CONTROL,
    spaced: bool = False,
    name: str = "",
    seed: int = 0,
) -> Path:
    """Write a model of ``kind``; return its path.

    Args:
        path: where.
        kind: what memory it has, or why it can't complete.
        fim: its infilling tokens; without the one for the middle, prompts are laid out suffix first.
        fim_type: what sort of tokens the file says that those are.
        spaced: its tokenizer is SentencePiece's, which begins texts with a space; otherwise a byte-level one.
        name: what the file calls it.
        seed: other weights for each.
    """
    architecture = ARCHITECTURES[kind]
    writer = gguf.GGUFWriter(path, architecture)
    # By default one whose name leaves no doubt how it infills: nothing is tried out when it is loaded.
    writer.add_name(name or f"Granite Tiny {kind}")
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_context_length(4096)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_feed_forward_length(0 if kind == "recurrent" else HIDDEN)
    count = (_add_sentencepiece if spaced else _add_vocabulary)(writer, fim, fim_type)
    _add_parameters(writer, kind)
    random = np.random.default_rng(seed)
    tensors = _tensors(kind, count, random)
    for name, array in tensors.items():
        writer.add_tensor(name, array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add_vocabulary(writer: gguf.GGUFWriter, fim: Sequence[str], fim_type: int) -> int:
    """All bytes, the beginnings of some words, and special tokens; returns how many."""
    shown = _byte_tokens()
    beginnings = _beginnings(["".join(shown[byte] for byte in word.encode()) for word in _WORDS])
    special = ["<|endoftext|>", *fim]
    tokens = [*shown, *beginnings, *special]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types([NORMAL] * (len(tokens) - len(special)) + [CONTROL] + [fim_type] * len(fim))
    writer.add_token_merges([f"{token[:-1]} {token[-1]}" for token in beginnings])
    writer.add_eos_token_id(len(tokens) - len(special))
    return len(tokens)


def _add_sentencepiece(writer: gguf.GGUFWriter, fim: Sequence[str], fim_type: int) -> int:
    """The same for SentencePiece: words with the space before them, and letters; bytes for all else."""
    words = _beginnings([f"▁{word}".replace(" ", "▁") for word in _WORDS])
    letters = [*map(chr, range(33, 127)), "▁"]
    special, in_bytes = ["<unk>", "<s>", "</s>"], [f"<0x{byte:02X}>" for byte in range(256)]
    tokens = [*special, *in_bytes, *letters, *words, *fim]
    types = [_UNKNOWN, CONTROL, CONTROL] + [_BYTE] * 256 + [NORMAL] * (len(letters) + len(words))
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([0.0 if len(token) < 2 else float(len(token)) for token in tokens])
    writer.add_token_types([*types, *[fim_type] * len(fim)])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    return len(tokens)


def _beginnings(words: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(word[:end] for word in words for end in range(2, len(word) + 1)))


def _add_parameters(writer: gguf.GGUFWriter, kind: Kind | Unfit) -> None:
    if kind != "recurrent":
        writer.add_head_count(HEADS)
        writer.add_head_count_kv([HEADS if _attends(kind, i) else 0 for i in range(LAYERS)])
    if kind in ("sliding", "hybrid_sliding"):
        writer.add_sliding_window(WINDOW)
    if kind in ("recurrent", "hybrid"):
        writer.add_ssm_conv_kernel(CONV)
        writer.add_ssm_inner_size(INNER)
        writer.add_ssm_state_size(STATE)
        writer.add_ssm_time_step_rank(STEP)
    if kind == "hybrid_sliding":
        writer.add_shortconv_l_cache(CONV - 1)
    if kind == "embedding":
        writer.add_pooling_type(gguf.PoolingType.MEAN)
        writer.add_causal_attention(False)
    if kind == "encoder":
        writer.add_relative_attn_buckets_count(8)


def _attends(kind: Kind | Unfit, layer: int) -> bool:
    """Whether the layer has attention."""
    return kind != "recurrent" and (kind not in ("hybrid", "hybrid_sliding") or layer % 2 == 1)


def _tensors(kind: Kind | Unfit, count: int, random: np.random.Generator) -> dict[str, Array]:
    tensors = {"token_embd.weight": _normal(random, count, WIDTH) * np.float32(0.5), "output_norm.weight": _ones(WIDTH)}
    if kind == "hybrid_sliding":
        tensors["token_embd_norm.weight"] = tensors.pop("output_norm.weight")
    elif kind not in ("sliding", "encoder"):
        tensors["output.weight"] = _matrix(random, count, WIDTH, 3.0)
    for i in range(LAYERS):
        layer = _layer(kind, i, random)
        tensors |= {f"blk.{i}.{name}": array for name, array in layer.items()}
    if kind == "encoder":
        return {name if name.startswith("token") else f"enc.{name}": array for name, array in tensors.items()}
    return tensors


def _layer(kind: Kind | Unfit, i: int, random: np.random.Generator) -> dict[str, Array]:
    layer = {"attn_norm.weight": _ones(WIDTH)}
    if _attends(kind, i):
        for name in ("attn_q", "attn_k"):
            layer[f"{name}.weight"] = _matrix(random, WIDTH, WIDTH, 1.4)
        output = "attn_o" if kind == "encoder" else "attn_output"
        for name in ("attn_v", output):
            layer[f"{name}.weight"] = _matrix(random, WIDTH, WIDTH, 1.5)
    elif kind == "hybrid_sliding":
        layer["shortconv.conv.weight"] = _matrix(random, WIDTH, CONV - 1, 1.0)
        layer["shortconv.in_proj.weight"] = _matrix(random, 3 * WIDTH, WIDTH, 1.5)
        layer["shortconv.out_proj.weight"] = _matrix(random, WIDTH, WIDTH, 1.5)
    else:
        layer |= _state_space(kind, random)
    if kind == "hybrid_sliding" and _attends(kind, i):
        layer |= {f"attn_{part}_norm.weight": _ones(WIDTH // HEADS) for part in "qk"}
    if kind == "sliding":
        layer |= {"post_attention_norm.weight": _ones(WIDTH), "post_ffw_norm.weight": _ones(WIDTH)}
    if kind != "recurrent":
        layer["ffn_norm.weight"] = _ones(WIDTH)
        layer["ffn_gate.weight"] = _matrix(random, HIDDEN, WIDTH, 1.0)
        layer["ffn_up.weight"] = _matrix(random, HIDDEN, WIDTH, 1.0)
        layer["ffn_down.weight"] = _matrix(random, WIDTH, HIDDEN, 1.0)
    return layer


def _state_space(kind: Kind | Unfit, random: np.random.Generator) -> dict[str, Array]:
    """Mamba's tensors; some parts of the state fade within ten tokens, some last for thousands."""
    layer = {
        "ssm_in.weight": _matrix(random, 2 * INNER, WIDTH, 2.0),
        "ssm_conv1d.weight": _matrix(random, INNER, CONV, 1.0),
        "ssm_conv1d.bias": np.zeros(INNER, np.float32),
        "ssm_x.weight": _matrix(random, STEP + 2 * STATE, INNER, 1.0),
        "ssm_dt.weight": _matrix(random, INNER, STEP, 0.5),
        "ssm_dt.bias": np.full(INNER, -2.0, np.float32),
        "ssm_a": -np.tile(np.geomspace(0.003, 1, STATE, dtype=np.float32), (INNER, 1)),
        "ssm_d": _ones(INNER),
        "ssm_out.weight": _matrix(random, WIDTH, INNER, 1.0),
    }
    if kind == "hybrid":
        layer |= {f"ssm_{name}_norm.weight": _ones(size) for name, size in (("dt", STEP), ("b", STATE), ("c", STATE))}
    return layer


def _normal(random: np.random.Generator, *shape: int) -> Array:
    return random.standard_normal(shape, dtype=np.float32)


def _matrix(random: np.random.Generator, rows: int, columns: int, gain: float) -> Array:
    """Weights that keep a vector's size, times ``gain``."""
    return _normal(random, rows, columns) * np.float32(gain / columns**0.5)


def _ones(size: int) -> Array:
    return np.ones(size, np.float32)


def _byte_tokens() -> list[str]:
    """GPT-2's printable stand-ins for the 256 bytes, in the order of the bytes."""
    shown = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = iter(range(0x100, 0x200))
    return [chr(byte if byte in shown else next(others)) for byte in range(256)]
