"""All that touches a model: its process, the protocol to it, scheduling, the KV ledger, sampling, offload."""
