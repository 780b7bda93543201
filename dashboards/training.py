"""Training jobs and golden sets: what is told in hours, not in seconds."""

from dashboards.board import NONE_IS_GOOD, Board, Names, Q, Variable

_TARGET = Variable("target", "Target", 'label_values(model_probe_evaluation_coverage{job=~"$job"}, target)')
_EVALUATION = Variable(
    "evaluation",
    "Evaluation",
    'label_values(model_probe_evaluation_coverage{job=~"$job", target=~"$target"}, evaluation)',
)
_TRAINING = Variable("training", "Training job", 'label_values(model_training_lines_total{job=~"$job"}, training)')

_SET = '{*, target=~"$target", evaluation=~"$evaluation"}'
_JOB = '{*, training=~"$training"}'

#: Running and stalled are what model_training_stalled tells, one added; how a job ended stands over both.
_LIVES: Names = {
    1: ("running", "blue"),
    2: ("stalled", "orange"),
    3: ("finished", "green"),
    4: ("killed", "purple"),
    5: ("failed", "red"),
}


def build() -> Board:
    board = Board(
        "training",
        "Golden sets: how well models answer, against what is asked of them. Training jobs: whether they are alive, "
        "how they ended, and what their logs told last.",
        others=(_TARGET, _EVALUATION, _TRAINING),
        since="now-24h",
    )
    _scores(board)
    _jobs(board)
    _logs(board)
    return board


def _scores(board: Board) -> None:
    board.row("Golden sets")
    series = "by (target, evaluation, metric)"
    board.graph(
        "Scores",
        "Score of the last run, and the worst that is good (dashed). A target is unhealthy only when the whole 95 % "
        "interval of its score is worse.",
        Q(f"min {series} (model_probe_evaluation_score{_SET})", "{{target}} {{evaluation}}: {{metric}}"),
        Q(f"max {series} (model_probe_evaluation_threshold{_SET})", "{{target}} {{evaluation}}: {{metric}}, limit"),
        dashed=".*, limit",
        bottom=None,
        link=True,
    )
    board.graph(
        "Coverage",
        "Share of the examples that were answered in the last run. Too low, and it says nothing of the model.",
        Q(f"min by (target, evaluation) (model_probe_evaluation_coverage{_SET})", "{{target}} {{evaluation}}"),
        unit="percentunit",
        top=1,
        link=True,
    )
    board.graph(
        "Examples",
        "Examples of finished runs by outcome, of the time before each point.",
        Q(
            f"sum by (outcome) (increase(model_probe_evaluation_examples_total{_SET}[$__rate_interval]))",
            "{{outcome}}",
        ),
        stacked=True,
        width=8,
    )
    board.graph(
        "Time of a run",
        "Time the last run took, waiting included.",
        Q(f"max by (target, evaluation) (model_probe_evaluation_duration_seconds{_SET})", "{{target}} {{evaluation}}"),
        unit="s",
        width=8,
        link=True,
    )
    board.graph(
        "Age of scores",
        "Time since the last run ended. Runs are hours apart.",
        Q(
            f"time() - max by (target, evaluation) (model_probe_evaluation_last_run_timestamp_seconds{_SET})",
            "{{target}} {{evaluation}}",
        ),
        unit="s",
        width=8,
        link=True,
    )
    board.table(
        "Data sets",
        "The last score of each evaluation and the data set it is of, by its SHA-256.",
        {
            "Score": Q(f"min {series} (model_probe_evaluation_score{_SET})"),
            "Limit": Q(f"max {series} (model_probe_evaluation_threshold{_SET})"),
            "": Q(f"max by (target, evaluation, dataset) (model_probe_evaluation_info{_SET})"),
        },
        height=7,
    )


def _jobs(board: Board) -> None:
    board.row("Training jobs")
    ends = "\n  or ".join(
        f'model_training_finished{_JOB[:-1]}, outcome="{name}"}} * {code}'
        for code, (name, _) in _LIVES.items()
        if code > 2
    )
    board.timeline(
        "Jobs over time",
        "What each job does: running, stalled (no value for longer than it should take), or how it ended.",
        Q(f"max by (training) (\n  model_training_stalled{_JOB} + 1\n  or {ends}\n)", "{{training}}"),
        _LIVES,
    )
    board.stat(
        "Stalled",
        "Jobs from which no value came for too long.",
        Q(f"sum(model_training_stalled{_JOB})"),
        steps=NONE_IS_GOOD,
        width=6,
    )
    board.stat(
        "Diverged",
        "Jobs whose loss went far above its smallest value, or is not finite any more; where the config asks for it.",
        Q(f"sum(model_training_diverged{_JOB}) or vector(0)"),
        steps=NONE_IS_GOOD,
        width=6,
    )
    board.stat(
        "Failed or killed",
        "Jobs that ended badly.",
        Q('sum(model_training_finished{*, training=~"$training", outcome=~"failed|killed"})'),
        steps=NONE_IS_GOOD,
        width=6,
    )
    board.stat(
        "Not finite",
        "Values that were NaN or infinite in the time in view.",
        Q(f"sum(increase(model_training_nonfinite_total{_JOB}[$__range]))"),
        steps=NONE_IS_GOOD,
        width=6,
    )
    board.bars(
        "Progress",
        "The done share of the whole job, where its log tells how much there is to do.",
        Q(f"max by (training) (model_training_progress_ratio{_JOB})", "{{training}}"),
        unit="percentunit",
        steps=((None, "blue"), (1, "green")),
        top=1,
    )
    board.graph(
        "Steps",
        "The last step, batch or round that the log told.",
        Q(f"max by (training) (model_training_step{_JOB})", "{{training}}"),
        width=8,
    )
    board.graph(
        "Epochs",
        "The last epoch that the log told.",
        Q(f"max by (training) (model_training_epoch{_JOB})", "{{training}}"),
        width=8,
    )


def _logs(board: Board) -> None:
    board.row("What their logs tell")
    board.graph(
        "Values",
        "The last number of each name, for alarms: between two scrapes values are lost. The curve belongs in MLflow or "
        "W&B.",
        Q(f"max by (training, name) (model_training_value{_JOB})", "{{training}}: {{name}}"),
        unit="none",
        bottom=None,
    )
    board.graph(
        "Age of values",
        "Time since the newest value was written.",
        Q(f"time() - max by (training) (model_training_last_value_timestamp_seconds{_JOB})", "{{training}}"),
        unit="s",
    )
    board.graph(
        "Lines",
        "Lines of the log, a minute, and those that were not looked at.",
        Q(f"60 * sum by (training) (rate(model_training_lines_total{_JOB}[$__rate_interval]))", "{{training}}"),
        Q(
            f"60 * sum by (training) (rate(model_training_lines_skipped_total{_JOB}[$__rate_interval]))",
            "{{training}}: skipped",
        ),
        unit="cpm",
        width=8,
    )
    board.graph(
        "Names left out",
        "Values left out because their name is not wanted, or is one too many.",
        Q(f"60 * sum by (training) (rate(model_training_dropped_names_total{_JOB}[$__rate_interval]))", "{{training}}"),
        unit="cpm",
        width=8,
    )
    board.graph(
        "Opened again",
        "Times the log had to be opened again.",
        Q(f"60 * sum by (training) (rate(model_training_reconnects_total{_JOB}[$__rate_interval]))", "{{training}}"),
        unit="cpm",
        width=8,
    )
