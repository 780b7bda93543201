"""docs/reference/example.yaml: a config that uses every block, with defaults in place where it says so."""

from exporter.config.models import Limits, OnDemand

EXAMPLE = f"""\
# yaml-language-server: $schema=config.schema.json
# A config that shows every block. The smallest useful one is its first target alone.

# What holds where neither target nor module says anything.
defaults:
  interval: 15s          # of every probe but metadata
  timeout: 5s            # of one attempt of any probe
  labels: {{fleet: example}}

# How much is done at once. These are the defaults.
limits:
  concurrency: {Limits().concurrency}
  per_host: {Limits().per_host}

# Reusable blocks: a target that names one has all of it, and may change parts.
modules:
  chat:
    protocol: openai
    probes:
      health: {{}}
      ready: {{}}
      stream:            # a canary: a real question, read token by token
        interval: 1m
        timeout: 30s
        prompt: "Say OK."
        max_tokens: 16
        first_token_timeout: 10s
        expect: {{regex: "(?i)ok"}}
      long:              # a second one under a name of its own
        kind: stream
        interval: 10m
        timeout: 2m
        messages:
          - {{role: user, content: "Count to fifty."}}
        max_tokens: 200

targets:
  # The server is asked what it is, then health, ready and metadata run as far as it offers them.
  - url: http://127.0.0.1:8000

  - name: assistant
    url: http://127.0.0.1:8001
    module: chat
    model: llama-3
    labels: {{team: chat}}
    startup: 5m          # loading, not down, until it was healthy once
    probes:
      stream: {{interval: 30s}}
      long: null         # not here

  - name: fraud
    url: http://127.0.0.1:8080
    protocol: open_inference
    model: fraud
    headers: {{X-Tenant: example}}
    probes:
      health: {{interval: 5s}}
      ready: {{}}
      metadata: {{expect: {{version: "3"}}}}
      infer:
        interval: 30s
        thresholds: {{failure: 2}}
        retry: {{attempts: 3, backoff: 500ms, max_backoff: 5s}}
        inputs:
          - {{name: x, shape: [1, 4], datatype: FP32, data: [[5.1, 3.5, 1.4, 0.2]]}}
        expect:
          outputs: [{{name: predict, data: [0], tolerance: 0.001}}]

  - name: classifier
    url: http://127.0.0.1:5000
    protocol: mlflow
    probes:
      health: {{}}
      infer:
        dataframe_split: {{columns: [a, b], data: [[1, 2]]}}

  - name: gateway
    url: https://127.0.0.1:8443/internal/status
    protocol: http
    connection: keep_alive
    tls: {{server_name: gateway.example, min_version: TLS13}}
    probes:
      health:
        headers: {{Accept: application/json}}
        expect:
          status: [200-299]
          json: {{path: status, equals: ok}}

# What /probe?target=URL&module=NAME may ask beside configured targets.
on_demand:
  allow: ["10.0.0.0/8", "*.models.svc:8080"]
  debug: {"true" if OnDemand().debug else "false"}
  concurrency: {OnDemand().concurrency}

metrics:
  histograms: classic
  buckets:
    duration: [0.01, 0.1, 0.5, 1, 5, 30]
"""
