"""``python -m lsp.engine.features``: what the compiled llama.cpp can do, as JSON; apart, for its import may fail."""

from __future__ import annotations

import json

import msgspec

from lsp.engine.devices import can_offload, devices
from lsp.engine.llama import backend_features


def main() -> None:
    """Print the features."""
    features = {
        "features": backend_features(),
        "offload": can_offload(),
        "gpus": [msgspec.to_builtins(device.gpu) for device in devices()],
    }
    print(json.dumps(features))


if __name__ == "__main__":
    main()
