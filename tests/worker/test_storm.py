"""Fifty jobs while engine, worker, api, decoder and Redis are killed at random: every 202 ends in the right result, once."""
import os
import random
import signal
import subprocess
import threading
import time
from pathlib import Path

import requests

from longanim import BUILD, Serve, make_image, make_video, until

JOBS, SEEDS, KILLS = 50, 5, 15


def family(pid):
    """{program: pid} of everything below `pid`."""
    found = {}
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            for child in task.read_text().split():
                name = Path(f"/proc/{child}/comm").read_text().strip()
                found = {**family(child), **found, name: int(child)}
        except OSError:
            continue
    return found


def patiently(call, seconds=60):
    """Repeats a request while the server is away."""
    def attempt():
        try:
            response = call()
        except requests.RequestException:
            return None
        return None if response.status_code >= 500 else response
    return until(attempt, seconds, "an answer")


def test_nothing_is_lost_in_a_storm_of_kills(tmp_path):
    rng = random.Random(4)
    video, reference = make_video(tmp_path / "in.mkv", 8), make_image(tmp_path / "reference.png")
    wanted = {}
    for seed in range(SEEDS):
        out = tmp_path / f"{seed}.mp4"
        subprocess.run([BUILD / "longanim", "colorize", "--video", video, "--reference", reference, "--out", out, "--model",
                        "null:segment=6,overlap=2", "--seed", str(seed), "--output.snap", "none"], check=True, capture_output=True)
        wanted[seed] = out.read_bytes()
    settings = {"models": "null=null:segment=6,overlap=2", "lease_ms": 1200, "beat_ms": 200, "retry_base_ms": 20,
                "sweep_ms": 500, "sweep_age_ms": 2000, "max_attempts": 3}
    with Serve(tmp_path / "data", **settings) as serve:
        ids, kills = {}, []

        def submit():
            for n in range(JOBS):
                def post():
                    return serve.post_job(video, reference, headers={"Idempotency-Key": f"job-{n}"}, seed=n % SEEDS,
                                          **{"output.snap": "none"})
                response = patiently(post)
                assert response.status_code == 202, response.text
                ids[n] = response.json()["id"]

        sender = threading.Thread(target=submit)
        sender.start()
        while len(kills) < KILLS or sender.is_alive():
            time.sleep(rng.uniform(0.05, 0.5))
            victims = family(serve.pid)
            name = rng.choice(["longanim-engine", "longanim-worker", "longanim-api", "longanim-probe", "redis-server"])
            if name in victims and len(kills) < KILLS:
                os.kill(victims[name], signal.SIGKILL)
                kills.append(name)
        sender.join()
        assert len(set(ids.values())) == JOBS
        for n, job_id in ids.items():
            job = wait(serve, job_id)
            for _ in range(5):
                if job["state"] == "succeeded":
                    break
                assert job["state"] == "failed" and (job["attempt"] >= 3 or job["worker_losses"] >= 3), job
                assert patiently(lambda: serve.request("POST", f"/v1/jobs/{job_id}/retry")).status_code == 202
                job = wait(serve, job_id)
            assert job["state"] == "succeeded", job
            assert patiently(lambda: serve.get(f"/v1/jobs/{job_id}/result")).content == wanted[n % SEEDS], job
        listed = {j["id"] for j in pages(serve)}
        assert listed == set(ids.values())
        until(lambda: not list((tmp_path / "data" / "store").rglob(".tmp/*")), 15, "temporaries of the dead are swept")
        assert serve.stop() == 0


def wait(serve, job_id):
    def ended():
        response = patiently(lambda: serve.get(f"/v1/jobs/{job_id}"))
        return response.json() if response.status_code == 200 and response.json()["terminal"] else None
    return until(ended, 90, f"{job_id} ended")


def pages(serve):
    after = ""
    while True:
        page = patiently(lambda: serve.get(f"/v1/jobs?limit=100{after}")).json()
        yield from page["data"]
        if not page["next"]:
            return
        after = "&after=" + page["next"]
