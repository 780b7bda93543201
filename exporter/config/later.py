"""Keys and names of this config format that this version does not have: said so, instead of "unknown"."""

NOT_YET = "not available in this version"

TOP = frozenset({"deploy", "discovery", "environments", "sinks", "training"})
KEYS = frozenset(
    {
        "at_least", "budget", "facts", "maintenance", "management", "oauth2", "proxy", "saturated_at", "sigv4",
        "stop_after", "wake",
    }
)  # fmt: skip
PROTOCOLS = frozenset(
    {
        "anthropic", "bentoml", "grpc_health", "infinity", "kserve_v1", "litellm", "litserve", "llamacpp", "ollama",
        "ray_serve", "sagemaker", "seldon", "sglang", "tcp", "tei", "tf_serving", "tgi", "torchserve", "triton", "vllm",
    }
)  # fmt: skip
KINDS = frozenset({"evaluate"})
