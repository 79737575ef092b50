"""``python -m lsp.engine.features``: what the compiled llama.cpp can do, as JSON; apart, for its import may fail."""

from __future__ import annotations

import json

from lsp.engine.llama import backend_features, can_offload, gpu_free_bytes


def main() -> None:
    """Print the features."""
    offload = can_offload()
    features = {
        "features": backend_features(),
        "offload": offload,
        "gpu_free_bytes": gpu_free_bytes() if offload else 0,
    }
    print(json.dumps(features))


if __name__ == "__main__":
    main()
