"""llama.cpp's own server, as xllamacpp carries it: llama_server.py MODEL PORT. It runs until it is killed."""

import sys
import threading

import xllamacpp

#: Seconds without a request after which it unloads its model.
SLEEP = 5


def main(model: str, port: str) -> None:
    """Serve the model as `tiny`, as `llama-server --slots --metrics --sleep-idle-seconds 5` does."""
    params = xllamacpp.CommonParams()
    params.model.path = model
    params.model_alias = {"tiny"}
    params.hostnames = ["127.0.0.1"]
    params.port = int(port)
    params.n_ctx = 1024
    params.n_parallel = 2
    # Several of its threads wait for each other by spinning, which a busy machine has no time for.
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.endpoint_slots = params.endpoint_metrics = True
    params.sleep_idle_seconds = SLEEP
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main(*sys.argv[1:])
