"""`model-exporter run`: the exporter itself."""

import os
import ssl
import sys
from pathlib import Path

import click

from exporter import garbage, log
from exporter.cli import errors, options
from exporter.cli.command import Command

#: How blackbox_exporter's hands write our options, and one of its log levels. Not shown in the help.
_ALIASES = {
    "config.file": "config",
    "web.config.file": "web-config",
    "web.listen-address": "listen",
    "log.level": "log-level",
    "log.format": "log-format",
    "warn": "warning",
}


@click.command(
    "run",
    cls=Command,
    short_help="Watch models and serve /metrics: the exporter itself.",
    context_settings={"token_normalize_func": lambda name: _ALIASES.get(name, name)},
    examples=(
        "model-exporter run --target http://127.0.0.1:8000",
        "model-exporter run --config models.yml --listen 127.0.0.1:10838",
    ),
)
@options.config()
@options.option("--target", multiple=True, metavar="URL", help="Watch this url too; what it is is found out.")
@options.option(
    "--listen",
    type=options.Address(),
    multiple=True,
    default=[":10838"],
    show_default=":10838, all addresses",
    metavar="ADDR:PORT",
    help="Where to serve; can be repeated.",
)
@options.option(
    "--web-config",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="TLS, passwords and more of what is served: a web config, as all Prometheus exporters take it.",
)
@options.option(
    "--shard",
    type=options.Shard(),
    metavar="I/N",
    help="Watch only part I of N of the targets, counted from 0.",
)
@options.option(
    "--reload-interval",
    type=options.Duration(),
    default="10s",
    show_default=True,
    metavar="D",
    help="How often to look whether the config changed; 0 for never.",
)
@options.option(
    "--shutdown-grace",
    type=options.Duration(),
    default="5s",
    show_default=True,
    metavar="D",
    help="How long probes under way may take to end after SIGTERM.",
)
@options.option(
    "--external-url", type=options.Url(), default="", metavar="U", help="The address people reach the exporter at."
)
@options.option(
    "--route-prefix", type=options.RoutePrefix(), default="", metavar="P", help="A path to serve everything under."
)
@options.option(
    "--log-level",
    type=click.Choice(log.LEVELS),
    default="info",
    show_default=True,
    help="The least important lines to log.",
)
@options.option(
    "--log-format",
    type=click.Choice(log.FORMATS),
    default="logfmt",
    show_default=True,
    help="How log lines are written; they go to standard error.",
)
def command(
    config: tuple[Path, ...],
    target: tuple[str, ...],
    listen: tuple[tuple[str, int], ...],
    web_config: Path | None,
    shard: tuple[int, int] | None,
    reload_interval: float,
    shutdown_grace: float,
    external_url: str,
    route_prefix: str,
    log_level: str,
    log_format: log.Format,
) -> None:
    """Watch models and serve what is found at /metrics, until SIGTERM.

    Give a config file, urls, or both. SIGHUP and changed content load the config again; a wrong config changes
    nothing, and is told in the log and in a metric.
    """
    if not config and not target:
        raise click.UsageError(
            "There is nothing to watch. Give --config FILE or --target URL; "
            "`model-exporter init URL` writes a config, `model-exporter demo` needs neither."
        )
    log.configure(log_level, log_format)
    from exporter.options import Options

    chosen = Options(
        config=config,
        targets=target,
        listen=listen,
        web_config=web_config,
        reload_interval=reload_interval,
        shutdown_grace=shutdown_grace,
        external_url=external_url,
        route_prefix=route_prefix,
        shard=shard,
    )
    with errors.told((*config, web_config) if web_config else config):
        with garbage.rarely():
            # A wrong config is told before what only a good one needs is loaded.
            from exporter.config import loader

            loaded = loader.beforehand(config)
            _load_aiohttp()
            from exporter import process
        garbage.in_small_steps()
        sys.exit(process.run_blocking(chosen, loaded))


def _load_aiohttp() -> None:
    """Loading it reads the certificates of all the system's authorities, for calls that bring no TLS of their own: two
    MiB, and a good part of the start. Every call of ours brings its own, so there are none to be read that while.
    """
    variable = ssl.get_default_verify_paths().openssl_cafile_env
    given = os.environ.get(variable)
    os.environ[variable] = os.devnull
    try:
        import aiohttp  # noqa: F401
    finally:
        del os.environ[variable]
        if given is not None:
            os.environ[variable] = given
