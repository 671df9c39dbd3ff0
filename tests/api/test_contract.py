"""openapi.yaml against the running server, by calls that schemathesis makes up: good ones, bad ones, and chains of them."""
import hashlib
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
SECONDS = 30


def test_every_answer_is_one_that_the_document_promises(fresh, tmp_path):
    """No 5xx, no status or shape that is not documented, bad calls refused, good ones taken, no route without its key."""
    (tmp_path / "keys").write_text(f"anna {hashlib.sha256(b'secret').hexdigest()} submit,read,admin\n")
    service = fresh(keys=tmp_path / "keys", rate_per_minute=0)
    service.worker()
    base = service.api.base
    done = subprocess.run(
        [Path(sys.executable).parent / "st", "--config-file", HERE / "schemathesis.toml", "--no-color", "run", base + "/openapi.json",
         "--url", base + "/v1", "--header", "Authorization: Bearer secret", "--phases", "coverage,fuzzing,stateful",
         "--max-time", str(SECONDS), "--max-examples", "20", "--request-timeout", "10", "--seed", os.environ.get("LONGANIM_SEED", "1"),
         "--generation-database", "none", "--continue-on-failure", "--warnings", "off"],
        cwd=tmp_path, capture_output=True, text=True, timeout=150,
        env={**os.environ, "SCHEMATHESIS_HOOKS": "schemathesis_hooks", "PYTHONPATH": str(HERE)})
    assert done.returncode == 0, done.stdout[-20000:] + done.stderr[-2000:]
    assert service.api.process.poll() is None
