"""A run that is logged to a tracking server as MLflow's own client does it: `mlflow_run.py RUN STEPS END`.

RUN is the id of a run, or `new`; its id is printed. Each step logs three metrics; END is its status, or `stay`.
"""

import math
import os
import sys
import time

import mlflow

run_id, steps, end = sys.argv[1], int(sys.argv[2]), sys.argv[3]
if run_id == "new":
    run_id = mlflow.start_run(run_name="followed").info.run_id
    print(run_id, flush=True)
else:
    mlflow.start_run(run_id=run_id)
known = mlflow.MlflowClient().get_metric_history(run_id, "loss")
for step in range(len(known), len(known) + steps):
    mlflow.log_metrics({"loss": 1 / (step + 1), "accuracy": 1 - 1 / (step + 2), "noise": math.nan}, step=step)
    time.sleep(0.01)
if end == "stay":
    os._exit(0)  # without a word to the server
mlflow.end_run(end)
