"""Fixtures of the worker's tests: one Redis, one api, one store folder per test, and workers as the test wants them."""
import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from longanim import Api, Redis, Worker, make_image, make_video, until  # noqa: E402

FAST = {"lease_ms": 1500, "beat_ms": 200, "retry_base_ms": 20, "sweep_ms": 500, "sweep_age_ms": 60000}


class Site:
    """Redis, api and store; `worker()` adds one."""

    def __init__(self, folder):
        self.folder = folder
        self.store = folder / "store"
        self.redis = Redis(folder / "redis")
        self.api = Api(folder / "api", self.redis.url, f"file:{self.store}", **FAST)
        self.workers = []
        self.reference = make_image(folder / "reference.png")

    def worker(self, models="null:", **settings):
        name = f"worker-{len(self.workers)}"
        worker = Worker(self.folder / name, self.redis.url, f"file:{self.store}",
                        **{**FAST, "models": f"null={models}", "worker_id": name, **settings})
        self.workers.append(worker)
        return worker

    def video(self, frames=30, **options):
        path = self.folder / f"in-{frames}.mkv"
        return path if path.exists() else make_video(path, frames, **options)

    def submit(self, frames=30, **fields):
        """Without snap, whose exact colours would hide a wrong frame of the network."""
        fields = {"seed": 7, "output.snap": "none", **fields}
        return self.api.submit(self.video(frames), self.reference, **fields)["id"]

    def objects(self, job_id):
        """Names of the job's objects below its own folder."""
        return sorted(str(p).split(job_id + "/")[1] for p in self.store.rglob("*") if p.is_file() and job_id + "/" in str(p))

    def back(self, job_id):
        """After an outage: waits until the api tells of the job again."""
        until(lambda: self.api.get(f"/v1/jobs/{job_id}").status_code == 200, what="the api knows the job again")

    def ended(self, worker, count=1):
        """The worker's last word on its last job, once it has ended `count` of them."""
        return until(lambda: (worker.events("job.ended") or [None])[-1] if len(worker.events("job.ended")) >= count else None,
                     what=f"{count} ended jobs")

    def engine_pid(self, worker):
        return worker.events("engine.started")[-1]["pid"]

    def close(self):
        sanitized = "ASAN_OPTIONS" in os.environ or "TSAN_OPTIONS" in os.environ
        for worker in self.workers:
            worker.close() if sanitized else worker.kill()  # leaks are told at a regular end
            assert "Sanitizer" not in worker.log.read_text(errors="replace"), worker.log.read_text(errors="replace")
        self.api.kill()
        self.redis.program.kill()


@pytest.fixture
def site(tmp_path):
    made = Site(tmp_path)
    yield made
    made.close()
