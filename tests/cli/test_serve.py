"""`longanim serve`: everything under one roof, started, stopped, killed, started again."""
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from longanim import BUILD, Program, Serve, make_image, make_video, until  # noqa: E402


def children(pid):
    """Every process below `pid`."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            for child in task.read_text().split():
                found += [int(child), *children(int(child))]
        except OSError:
            continue
    return found


def alive(pid):
    try:
        return open(f"/proc/{pid}/stat").read().split()[2] != "Z"
    except OSError:
        return False


def inputs(folder):
    return make_video(folder / "in.mp4", 40), make_image(folder / "reference.png")


def test_jobs_results_and_keys_survive_a_restart(tmp_path):
    video, reference = inputs(tmp_path)
    with Serve(tmp_path / "data", models="null=null:delay_ms=30", drain_ms=1000) as serve:
        done = serve.submit(video, reference, seed=1)
        serve.wait(done["id"])
        running = serve.post_job(video, reference, headers={"Idempotency-Key": "k"}, seed=2, steps=30).json()
        waiting = serve.submit(video, reference, seed=3)
        until(lambda: serve.job(running["id"])["progress"]["segments_done"] >= 1, 30, "a segment")
        below, began = children(serve.pid), time.monotonic()
        assert serve.stop(20) == 0
        assert time.monotonic() - began < 20
        assert not [pid for pid in below if alive(pid)]
        assert not (tmp_path / "data" / "scratch").exists() or not list((tmp_path / "data" / "scratch").iterdir())
        serve.start()
        again = serve.post_job(video, reference, headers={"Idempotency-Key": "k"}, seed=2, steps=30)
        assert again.status_code == 202 and again.json()["id"] == running["id"]
        assert serve.job(done["id"])["state"] == "succeeded"
        assert serve.wait(running["id"])["attempt"] == 1
        assert serve.wait(waiting["id"])["state"] == "succeeded"
        assert serve.events("job.resumes")


def test_kill_nine_of_serve_takes_everything_along_and_loses_nothing(tmp_path):
    video, reference = inputs(tmp_path)
    serve = Serve(tmp_path / "data", models="null=null:delay_ms=20", lease_ms=1500, beat_ms=300)
    ids = [serve.submit(video, reference, seed=n)["id"] for n in range(3)]
    until(lambda: serve.job(ids[0])["progress"]["segments_done"] >= 1, 30, "a segment")
    address, below = (tmp_path / "data" / "api.addr").read_text().strip(), children(serve.pid)
    serve.kill()
    until(lambda: not [pid for pid in below if alive(pid)], what="all children are gone")
    serve.environment["LONGANIM_LISTEN"] = address
    serve.start()
    assert (tmp_path / "data" / "api.addr").read_text().strip() == address
    assert all(serve.wait(job_id)["state"] == "succeeded" for job_id in ids)
    serve.close()


@pytest.mark.parametrize("name", ["longanim-api", "longanim-worker", "redis-server", "longanim-probe", "longanim-engine"])
def test_a_killed_child_is_replaced(tmp_path, name):
    video, reference = inputs(tmp_path)
    with Serve(tmp_path / "data", lease_ms=1500, beat_ms=300) as serve:
        def pid_of():
            for pid in children(serve.pid):
                try:
                    if open(f"/proc/{pid}/comm").read().strip() == name:
                        return pid
                except OSError:
                    continue
            return None
        before, base = until(pid_of, what=f"{name} runs"), serve.base
        os.kill(before, signal.SIGKILL)
        until(lambda: pid_of() not in (None, before), 15, f"{name} runs again")

        def accepted():
            try:
                return serve.post_job(video, reference, headers={"Idempotency-Key": "once"}, seed=1).status_code == 202
            except OSError:
                return False
        until(accepted, 15, "a job is accepted")
        assert serve.base == base
        job_id = serve.post_job(video, reference, headers={"Idempotency-Key": "once"}, seed=1).json()["id"]
        assert serve.wait(job_id)["state"] == "succeeded"


def test_two_serves_do_not_share_a_folder(tmp_path):
    with Serve(tmp_path / "data"):
        done = subprocess.run([BUILD / "longanim", "serve", "--data", tmp_path / "data"], capture_output=True, text=True, timeout=30)
        assert done.returncode == 1 and "another" in done.stderr


def test_an_address_that_is_taken_is_said_and_ends_it(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        environment = {"LONGANIM_LISTEN": "127.0.0.1:%d" % taken.getsockname()[1], "LONGANIM_OPS_LISTEN": "127.0.0.1:0"}
        program = Program([BUILD / "longanim", "serve", "--data", tmp_path / "data"], tmp_path / "log", environment)
        assert program.process.wait(30) == 1
        assert "longanim-api could not be started" in program.log.read_text()


def test_a_deep_data_folder_works(tmp_path):
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    with Serve(deep) as serve:
        assert serve.get("/v1/capabilities").status_code == 200


def test_interrupts_at_a_terminal_stop_it_in_order(tmp_path):
    video, reference = inputs(tmp_path)
    with Serve(tmp_path / "data", models="null=null:delay_ms=20", drain_ms=500) as serve:
        job = serve.submit(video, reference, seed=1)
        until(lambda: serve.job(job["id"])["state"] == "running", what="it runs")
        serve.signal(signal.SIGINT)
        assert serve.process.wait(20) == 0
        names = [e.get("by") for e in serve.events("job.ended")]
        assert names in (["release"], ["complete"]), names
