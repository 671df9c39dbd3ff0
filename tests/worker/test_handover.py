"""One worker stops, dies, sleeps; another goes on, and the bytes are those of an undisturbed run."""
import hashlib
import signal
import subprocess
import time
from pathlib import Path

from longanim import BUILD, until

SLOW = "null:delay_ms=40"


def result_of(site, job_id):
    job = site.api.wait(job_id)
    assert job["state"] == "succeeded", job
    body = site.api.get(f"/v1/jobs/{job_id}/result").content
    return job["result"]["sha256"], body


KNOWN = {}


def undisturbed(site, frames, model="null:", steps=None):
    """SHA-256 and bytes of the same shot, coloured in one go by `longanim colorize`."""
    key = frames, model, steps
    if key not in KNOWN:
        out = site.folder / "undisturbed.mp4"
        command = [BUILD / "longanim", "colorize", "--video", site.video(frames), "--reference", site.reference, "--out", out,
                   "--model", model, "--seed", "7", "--output.snap", "none"]
        subprocess.run(command + (["--steps", str(steps)] if steps else []), check=True, capture_output=True)
        KNOWN[key] = hashlib.sha256(out.read_bytes()).hexdigest(), out.read_bytes()
    return KNOWN[key]


def only_one_of_each(site, job_id):
    """One segment and one checkpoint per number, one attempt's results: once the end is settled."""
    def check():
        names = site.objects(job_id)
        for kind in ("seg/", "ckpt/"):
            numbers = [n.split("/")[1].split(".")[0] for n in names if n.startswith(kind)]
            if len(numbers) != len(set(numbers)):
                return False
        return len({n.split("/")[1] for n in names if n.startswith("out/")}) == 1
    until(check, what="nothing superfluous in the store")


def test_a_killed_worker_is_followed_by_one_that_resumes(site):
    frames = 80
    wanted = undisturbed(site, frames)
    first = site.worker(SLOW)
    job_id = site.submit(frames)
    until(lambda: len(first.events("segment.committed")) >= 3, what="three segments")
    first.kill()
    second = site.worker(SLOW)
    assert result_of(site, job_id) == wanted
    assert site.ended(second)["segments_kept"] >= 3
    job = site.api.job(job_id)
    assert job["worker_losses"] == 1
    receipt = site.api.get(f"/v1/jobs/{job_id}/receipt").json()
    assert set(receipt["job"]["segment_epochs"]) == {1, 2}
    only_one_of_each(site, job_id)


def test_the_real_pipeline_resumes_to_the_same_bytes(site):
    """The same with networks: memory, fusion tails and noise are carried by the state and the kept frames."""
    tiny = str(Path(__file__).resolve().parents[2] / "models" / "tiny_a")
    wanted = undisturbed(site, 45, tiny, 2)
    first = site.worker(tiny)
    job_id = site.submit(45, steps=2)
    until(lambda: len(first.events("segment.committed")) >= 2, 60, "two segments")
    first.kill()
    second = site.worker(tiny)
    assert result_of(site, job_id) == wanted
    assert site.ended(second)["segments_kept"] >= 2


def test_segments_of_another_model_are_not_taken_over(site):
    frames = 60
    first = site.worker("null:delay_ms=40,segment=20")
    job_id = site.submit(frames)
    until(lambda: len(first.events("segment.committed")) >= 2, what="two segments")
    first.kill()
    second = site.worker("null:segment=24")
    got = result_of(site, job_id)
    assert site.ended(second)["segments_kept"] == 0
    assert got == result_of(site, site.submit(frames))
    numbers = [s["n"] for s in site.api.get(f"/v1/jobs/{job_id}/segments").json()["data"]]
    assert numbers == list(range(len(numbers)))
    only_one_of_each(site, job_id)


def test_sigterm_gives_the_job_back_at_its_last_segment(site):
    frames = 80
    wanted = undisturbed(site, frames)
    first = site.worker(SLOW)
    job_id = site.submit(frames)
    until(lambda: first.events("segment.committed"), what="a segment")
    began = time.monotonic()
    assert first.stop() == 0
    assert time.monotonic() - began < 15
    job = site.api.job(job_id)
    assert job["state"] == "queued" and job["attempt"] <= 1 and job["worker_losses"] == 0, job
    done = job["progress"]["segments_done"]
    assert done >= 1
    second = site.worker(SLOW)
    assert result_of(site, job_id) == wanted
    assert site.ended(second)["segments_kept"] >= done
    assert site.api.job(job_id)["attempt"] == 1


def test_a_worker_that_slept_through_its_lease_changes_nothing(site):
    frames = 80
    wanted = undisturbed(site, frames)
    zombie = site.worker(SLOW)
    job_id = site.submit(frames)
    until(lambda: zombie.events("segment.committed"), what="a segment")
    zombie.signal(signal.SIGSTOP)
    second = site.worker(SLOW)
    until(lambda: second.events("job.claimed"), what="the second worker has it")
    time.sleep(1)
    zombie.signal(signal.SIGCONT)
    until(lambda: zombie.events("job.lost"), what="the zombie knows")
    assert result_of(site, job_id) == wanted
    time.sleep(0.3)
    assert site.api.job(job_id)["result"]["sha256"] == wanted[0]
    only_one_of_each(site, job_id)
    assert zombie.stop() == 0


def test_redis_away_for_longer_than_a_lease(site):
    wanted = undisturbed(site, 60)
    worker = site.worker("null:delay_ms=60")
    job_id = site.submit(60)
    until(lambda: worker.events("segment.committed"), what="a segment")
    site.redis.kill()
    until(lambda: worker.events("lease.fenced"), what="the fence")
    site.redis.start()
    site.back(job_id)
    assert result_of(site, job_id) == wanted
    assert worker.process.poll() is None


def test_redis_asleep_for_longer_than_a_lease(site):
    wanted = undisturbed(site, 60)
    worker = site.worker("null:delay_ms=60")
    job_id = site.submit(60)
    until(lambda: worker.events("segment.committed"), what="a segment")
    site.redis.program.signal(signal.SIGSTOP)
    until(lambda: worker.events("lease.fenced"), what="the fence")
    site.redis.program.signal(signal.SIGCONT)
    site.back(job_id)
    assert result_of(site, job_id) == wanted
    assert worker.process.poll() is None


def test_redis_wiped_in_the_middle(site):
    wanted = undisturbed(site, 60)
    worker = site.worker("null:delay_ms=40")
    job_id = site.submit(60)
    until(lambda: worker.events("segment.committed"), what="a segment")
    site.redis.wipe()
    site.back(job_id)
    assert result_of(site, job_id) == wanted
    until(lambda: len(worker.events("job.claimed")) == 2)
    only_one_of_each(site, job_id)


def test_scratch_of_the_dead_is_removed(site):
    first = site.worker("null:delay_ms=200", data=site.folder / "shared")
    site.submit(30)
    until(lambda: first.events("job.claimed"), what="a claim")
    first.kill()
    second = site.worker(data=site.folder / "shared")
    until(lambda: second.events("scratch.swept"), what="a sweep")
    assert len(list((site.folder / "shared" / "scratch").iterdir())) == 1


def test_fifty_acknowledged_jobs_finish_after_redis_was_lost_whole(site):
    frames = 5
    wanted = undisturbed(site, frames)
    jobs = [site.submit(frames) for _ in range(50)]
    site.redis.wipe()
    site.back(jobs[0])
    site.worker()
    assert all(result_of(site, job) == wanted for job in jobs)
    assert {j["id"] for j in site.api.get("/v1/jobs?limit=100").json()["data"]} == set(jobs)
