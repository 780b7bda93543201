"""To import us is to do nothing: no network, no process, nothing written."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

#: Imports every module, and tells of each thing done meanwhile that an import must not do.
IMPORT_ALL = """
import pkgutil, sys
import exporter
sys.dont_write_bytecode = True
done = []
def hook(event, args):
    opened = event == "open" and isinstance(args[1], str) and set(args[1]) & set("wax+")
    if opened or event in {"socket.connect", "socket.bind", "socket.getaddrinfo", "subprocess.Popen", "os.system"}:
        done.append((event, args))
sys.addaudithook(hook)
names = [each.name for each in pkgutil.walk_packages(exporter.__path__, "exporter.") if "__main__" not in each.name]
for name in names:
    __import__(name)
print(len(names), done)
"""


def test_an_import_does_nothing() -> None:
    command = [sys.executable, "-c", IMPORT_ALL]
    done = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    count, _, what = done.strip().partition(" ")
    assert int(count) > 100
    assert what == "[]"
