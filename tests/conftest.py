"""Makes tests/support importable and offers its servers as fixtures."""
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent / "support"))
import longanim  # noqa: E402


@pytest.fixture
def redis(tmp_path):
    """A real Redis of this test's own on a unix socket."""
    with longanim.Redis(tmp_path / "redis") as server:
        yield server


@pytest.fixture
def service(tmp_path):
    """Factory of `longanim serve` programs, each in a folder of its own; stopped at the end of the test."""
    running = []

    def start(name="data", **environment):
        running.append(longanim.Serve(tmp_path / name, **environment))
        return running[-1]

    yield start
    for server in running:
        server.close()
