"""What operators type: queue, dead, retry and key against a real server."""
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from longanim import BUILD, Serve, make_image, make_video, until  # noqa: E402


class Site:
    def __init__(self, folder):
        boss = "boss " + hashlib.sha256(b"secret").hexdigest() + " submit,read,admin\n"
        (folder / "keys").write_text(boss)
        self.headers = {"Authorization": "Bearer secret"}
        self.serve = Serve(folder / "data", models="null=null:fail=weights", keys=folder / "keys")
        self.video, self.reference = make_video(folder / "in.mp4"), make_image(folder / "reference.png")

    def run(self, *arguments, status=0, key="secret"):
        env = {**os.environ, "LONGANIM_SERVER": self.serve.base, "LONGANIM_API_KEY": key}
        done = subprocess.run([BUILD / "longanim", *map(str, arguments)], capture_output=True, text=True, timeout=60, env=env)
        assert done.returncode == status, (done.stdout, done.stderr)
        return done.stdout if status == 0 else done.stdout + done.stderr

    def submit(self):
        return self.run("submit", "--video", self.video, "--reference", self.reference).strip()

    def state(self, job):
        answer = self.serve.get(f"/v1/jobs/{job}", headers=self.headers)
        return answer.json().get("state", answer.status_code)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    made = Site(tmp_path_factory.mktemp("operate"))
    yield made
    made.serve.close()


def test_dead_letters(site):
    jobs = [site.submit() for _ in range(3)]
    for job in jobs:
        until(lambda: site.state(job) == "failed", 30, "failed")
    rows = [json.loads(line) for line in site.run("dead", "list", "--json").splitlines()]
    assert [r["id"] for r in rows] == jobs[::-1] and {r["key"] for r in rows} == {"boss"}
    assert site.run("dead", "--code", "gpu_oom") == ""
    site.run("queue", "pause", "null")
    assert "paused" in site.run("queue")
    assert site.run("retry", jobs[0]) == f"{jobs[0]} queued\n"
    assert site.run("dead", "redrive", "--code", "model_error", "-n", 1) == f"{jobs[1]} redriven\n"
    assert [site.state(j) for j in jobs] == ["queued", "queued", "failed"]
    assert "job_not_failed" in site.run("dead", "purge", jobs[0], status=1)
    assert site.run("dead", "purge", jobs[2]) == f"{jobs[2]} purged\n"
    assert site.state(jobs[2]) == 410
    site.run("dead", "purge", status=2)
    assert "open" in site.run("queue", "resume", "null")
    until(lambda: site.state(jobs[0]) == "failed", 30, "tried again")


def test_a_key_is_made_rotated_and_revoked(site):
    made = site.run("key", "create", "--id", "carl", "--scopes", "read", "--expires", "2099-01-01T00:00:00Z")
    secret = made.split("secret: ")[1].strip()
    assert site.run("list", key=secret) == ""
    other = site.run("key", "rotate", "carl", "--overlap", 60).split("secret: ")[1].strip()
    assert site.run("list", key=secret) == site.run("list", key=other) == ""
    assert "carl" in site.run("key", "list") and "boss" in site.run("key", "list")
    assert site.run("key", "revoke", "carl") == "carl revoked\n"
    assert "401" in site.run("list", key=other, status=1)
    site.run("key", "list", key="nobody", status=1)


@pytest.mark.parametrize("wrong", [["queue", "stop"], ["queue", "pause"], ["dead", "list", "x"], ["key", "rotate"], ["key", "new", "x"], ["key"]])
def test_what_is_no_command_is_wrong_usage(site, wrong):
    site.run(*wrong, status=2)
