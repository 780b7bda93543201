"""`python -m tests.hostile`: every misbehaviour put to a running exporter, and one table of how it held.

python -m tests.hostile [-k PART]         the table; exit code 1 where a row does not hold
python -m tests.hostile --blackbox        the rows that Debian's blackbox_exporter can meet, both side by side
"""

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

import aiohttp

from tests.hostile import beside, report
from tests.hostile.names import resolver
from tests.hostile.process import hostile
from tests.hostile.rounds import Rounds
from tests.hostile.rows import control, rows
from tests.hostile.schedule import together
from tests.hostile.subjects import Exporter


async def main(options: argparse.Namespace, folder: Path) -> int:
    with hostile(folder) as server, resolver(folder) as prefix:
        every = [row for row in rows(server) if options.k in row.key]
        connector = aiohttp.TCPConnector(limit=0, force_close=True)
        async with aiohttp.ClientSession(connector=connector) as session:
            if options.blackbox:
                return await beside.run(server, every, folder, prefix, session)
            exporter = Exporter(folder, server, every, prefix)
            try:
                rounds = Rounds(exporter, control(server), every, session)
                whole = await together(exporter, rounds, every, server)
            finally:
                exporter.stop()
            return report.show(list(rounds.lines.values()), whole)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.hostile")
    parser.add_argument("-k", default="", metavar="PART", help="only rows with this in protocol-behaviour")
    parser.add_argument("--blackbox", action="store_true", help="beside Debian's prometheus-blackbox-exporter")
    with tempfile.TemporaryDirectory(prefix="hostile-") as name:
        sys.exit(asyncio.run(main(parser.parse_args(), Path(name))))
