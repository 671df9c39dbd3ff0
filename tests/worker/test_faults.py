"""What the engine does wrong ends where it should: retried, failed, or in another's hands; never the supervisor's death."""
import json
import os
import signal
import time
from pathlib import Path

import pytest

from longanim import until


@pytest.mark.parametrize("fault", ["oom", "device", "internal", "crash", "nan"])
def test_a_fault_that_strikes_once_is_retried(site, tmp_path, fault):
    worker = site.worker(f"null:fail={fault},fail_at_segment=1,fault_file={tmp_path}/struck")
    job = site.api.wait(site.submit())
    assert job["state"] == "succeeded" and job["attempt"] == 2, job
    assert worker.process.poll() is None
    log = [json.loads(line) for line in site.api.get(f"/jobs/{job['id']}/logs").text.splitlines()]
    assert [line["as"] for line in log if line["event"] == "job.ends"] == ["fail", "complete"], log
    restarted = fault in ("oom", "device", "crash")
    assert (len(worker.events("engine.started")) > 1) == restarted
    if fault == "oom":
        assert worker.events("engine.started")[-1]["low_memory"] is True


def test_after_an_oom_a_run_that_cannot_be_smaller_is_not_refused(site, tmp_path):
    site.worker(f"null:fail=oom,fail_at_segment=1,device_bytes=1000000,fault_file={tmp_path}/struck")
    job = site.api.wait(site.submit())
    assert job["state"] == "succeeded" and job["attempt"] == 2, job


@pytest.mark.parametrize("fault, codes, attempts", [
    ("weights", {"model_error"}, 1),
    ("nan", {"nan_output"}, 3),
    ("crash", {"worker_lost", "poison"}, 3),
    ("oom", {"gpu_oom"}, 2),
])
def test_a_fault_that_stays_fails_the_job_and_not_the_next(site, fault, codes, attempts):
    worker = site.worker(f"null:fail={fault}")
    job = site.api.wait(site.submit(frames=5))
    assert job["state"] == "failed" and job["error"]["code"] in codes and job["attempt"] == attempts, job
    assert worker.process.poll() is None
    worker.stop()
    site.worker("null:")
    assert site.api.wait(site.submit(frames=5, seed=8))["state"] == "succeeded"


def test_what_was_done_before_a_crash_is_kept(site, tmp_path):
    worker = site.worker(f"null:crash_at_segment=2,fault_file={tmp_path}/struck")
    job = site.api.wait(site.submit(frames=60))
    assert job["state"] == "succeeded" and job["attempt"] == 2
    assert site.ended(worker, 2)["segments_kept"] == 2


def test_a_hanging_engine_is_killed_and_the_job_goes_on(site, tmp_path):
    worker = site.worker(f"null:hang_at_segment=1,fault_file={tmp_path}/struck", stall_ms=1000)
    job = site.api.wait(site.submit())
    assert job["state"] == "succeeded" and job["attempt"] == 2
    assert any("progress" in (e.get("why") or "") for e in worker.events("engine.killed"))


def test_a_killed_engine_costs_one_attempt_and_leaves_no_zombie(site):
    worker = site.worker("null:delay_ms=50")
    job_id = site.submit(frames=60)
    until(lambda: worker.events("segment.committed"), what="a segment")
    os.kill(site.engine_pid(worker), signal.SIGKILL)
    job = site.api.wait(job_id)
    assert job["state"] == "succeeded" and job["attempt"] == 2
    children = [line.split()[0] for line in open(f"/proc/{worker.pid}/task/{worker.pid}/children").read().splitlines()]
    assert children == [str(site.engine_pid(worker))]


def test_threads_of_the_networks_sleep_while_they_wait(site):
    """libgomp reads the policy when the program starts, so it has to be in the environment that exec got."""
    worker = site.worker("null:")
    until(lambda: worker.events("engine.started"), 10, "the engine")
    until(lambda: b"OMP_WAIT_POLICY=passive" in Path(f"/proc/{site.engine_pid(worker)}/environ").read_bytes(), 10,
          "the policy in the engine's environment")


def test_cancel_stops_within_a_step_and_keeps_the_engine(site):
    worker = site.worker("null:delay_ms=150,steps=50")
    job_id = site.submit()
    until(lambda: site.api.job(job_id)["progress"]["step"] > 0, what="a step")
    assert site.api.request("POST", f"/v1/jobs/{job_id}/cancel").status_code == 202
    began = time.monotonic()
    job = site.api.wait(job_id)
    assert job["state"] == "canceled" and time.monotonic() - began < 2
    assert len(worker.events("engine.started")) == 1
    assert not [name for name in site.objects(job_id) if name.startswith("out/") and not name.endswith("end.json")]
    assert site.api.get(f"/v1/jobs/{job_id}/result").status_code == 409


def test_a_job_past_its_deadline_is_stopped(site):
    site.worker("null:delay_ms=100,steps=100")
    assert site.api.wait(site.submit(frames=1, steps=1))["state"] == "succeeded"
    response = site.api.post_job(site.video(), site.reference, headers={"X-Job-Deadline": "2"}, seed=7)
    assert response.status_code == 202, response.text
    job = site.api.wait(response.json()["id"])
    assert job["state"] == "failed" and job["error"]["code"] == "deadline_exceeded", job
