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

# How much is done at once, these are the defaults, and in all.
limits:
  concurrency: {Limits().concurrency}
  per_host: {Limits().per_host}
  budget: {{tokens: 500000, per: 1d}}    # all canaries together; by default there is no limit

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
    budget: {{tokens: 20000, requests: 500, per: 1h}}
    maintenance:         # left alone: nothing is asked, the state stays
      - {{days: [sun], at: "02:00", for: 1h, timezone: Europe/Berlin}}
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
      golden:            # a golden set: all its examples are asked, hours apart, and the answers scored
        kind: evaluate
        interval: 6h
        dataset: {{url: "https://data.example/fraud.jsonl"}}
        scorer: accuracy
        at_least: 0.95

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

  # One of each other protocol; `model-exporter init URL...` writes such blocks for servers that are there.
  - {{name: flowers-grpc, url: "grpc://127.0.0.1:8001", protocol: open_inference, model: flowers}}
  - {{name: kserve, url: "http://127.0.0.1:8081", protocol: kserve_v1, model: flowers}}
  - {{name: triton, url: "http://127.0.0.1:8002", protocol: triton, model: flowers}}
  - {{name: tensorflow, url: "http://127.0.0.1:8501", protocol: tf_serving, model: flowers}}
  - {{name: torchserve, url: "http://127.0.0.1:8083", protocol: torchserve, model: flowers, management: "http://127.0.0.1:8084"}}
  - {{name: bento, url: "http://127.0.0.1:3000", protocol: bentoml}}
  - {{name: ray, url: "http://127.0.0.1:8003/flowers", protocol: ray_serve}}
  - {{name: litserve, url: "http://127.0.0.1:8004", protocol: litserve}}
  - {{name: container, url: "http://127.0.0.1:8085", protocol: sagemaker}}
  - {{name: seldon, url: "http://127.0.0.1:9001", protocol: seldon}}
  - {{name: claude, url: "http://127.0.0.1:8086", protocol: anthropic, model: large}}
  - {{name: tgi, url: "http://127.0.0.1:8087", protocol: tgi}}
  - {{name: embedder, url: "http://127.0.0.1:8088", protocol: tei}}
  - {{name: infinity, url: "http://127.0.0.1:7997", protocol: infinity, model: small}}
  - {{name: ollama, url: "http://127.0.0.1:11434", protocol: ollama, model: llama3}}
  - {{name: litellm, url: "http://127.0.0.1:4001", protocol: litellm, model: large}}
  - {{name: sidecar, url: "grpc://127.0.0.1:50051", protocol: grpc_health}}
  - {{name: port, url: "tcp://127.0.0.1:50052", protocol: tcp}}

  - name: ranker         # one target, several servers: each address is watched by itself
    url: http://ranker.models.svc:8080
    protocol: open_inference
    model: ranker
    replicas: dns        # or addresses: [10.0.0.1, "10.0.0.2:8081", "[fd00::1]"]

# Where further targets come from: here, from a server's own list of models.
discovery:
  - catalogue:
      url: http://127.0.0.1:4000
      protocol: openai
      interval: 1m
      exclude: "-embed"
      expected: [llama-3]  # watched, and counted as missing, also while it is not listed
      limit: 50
    name: gateway
    module: chat
    labels: {{team: chat}}
  - file: {{paths: ["targets/*.yml"]}} # target groups, as Prometheus's file_sd
    module: chat
    relabel_configs:
      - {{source_labels: [served_model], target_label: __model__}}
      - {{action: labeldrop, regex: served_model}}
  - dns: {{names: [_http._tcp.models.svc.cluster.local], type: SRV}} # records, as Prometheus's dns_sd
  - kubernetes:          # what is annotated model-exporter/probe: "true", as it comes and goes
      role: pod          # or service, endpointslice, inferenceservice
      namespaces: [models]
      modules: [chat]    # that model-exporter/module may name
    name: cluster
    relabel_configs:
      - {{source_labels: [__meta_kubernetes_namespace], target_label: namespace}}

# Training jobs whose logs are followed: whether they move on, and how they end.
training:
  - {{job: job-123, file: {{path: /logs/train.log}}, preset: plain}}
  - job_from: filename   # each file is a job
    file: {{glob: "/logs/jobs/*.log", forget: 1h}}
    preset: huggingface
    stall_after: 15m
    names: [loss, eval_loss]
    diverged: {{name: loss, factor: 3, values: 20}}
  - job: sweep
    http: {{url: "http://127.0.0.1:9100/log"}}
    regex: 'step (?P<step>\\d+) loss (?P<loss>\\S+)'
    ends: {{finished: "^all done", failed: "CUDA error"}}
  - {{job: finetune, kubernetes: {{namespace: jobs, selector: job-name=finetune}}, preset: lightning}}
  - {{job: run, mlflow: {{url: "http://127.0.0.1:5000", run: 0123456789abcdef0123456789abcdef}}}}

# Where every result and every change of state goes, beside /metrics.
sinks:
  - jsonl: {{path: results.jsonl, rotate: 100MB, keep: 5}}    # path: "-" is standard output
    status: [unhealthy, error]
  - name: incidents
    webhook: {{url: "http://127.0.0.1:9200/in", secret: better-a-file, timeout: 5s}}
    only: [state_change]
  - otlp: {{url: "http://127.0.0.1:4318", resource: {{deployment.environment.name: example}}}}

# What /probe?target=URL&module=NAME may ask beside configured targets.
on_demand:
  allow: ["10.0.0.0/8", "*.models.svc:8080"]
  debug: {"true" if OnDemand().debug else "false"}
  concurrency: {OnDemand().concurrency}

metrics:
  histograms: both          # classic, native, or both; native ones reach scrapers that ask for protobuf
  buckets:
    duration: [0.01, 0.1, 0.5, 1, 5, 30]

# What `model-exporter deploy --to NAME` changes; these two blocks may stand in a file that the daemon never reads.
environments:
  eu: {{select: {{fleet: example, protocol: open_inference}}}}
  cluster:
    select: {{target: fraud}}
    kserve: {{namespace: models, storage_uri: "s3://models/{{model}}/{{version}}"}}
deploy:
  auth: {{bearer: {{file: /run/secrets/deployer}}}}      # its own: what probes send is never used for this
  torchserve: {{url: "{{model}}-{{version}}.mar", workers: 2}}
"""
