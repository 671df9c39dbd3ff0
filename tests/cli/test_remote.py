"""submit, status, watch, get, cancel and list against a real server."""
import hashlib
import json
import os
import pty
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from longanim import BUILD, Serve, make_image, make_video, until  # noqa: E402


class Site:
    def __init__(self, folder):
        self.serve = Serve(folder / "data", models="null=null:delay_ms=5")
        self.video, self.reference = make_video(folder / "in.mp4", 20), make_image(folder / "reference.png")

    def run(self, *arguments, **options):
        env = {**os.environ, "LONGANIM_SERVER": self.serve.base, "LONGANIM_API_KEY": ""}
        return subprocess.run([BUILD / "longanim", *map(str, arguments)], capture_output=True, text=True, timeout=60, env=env,
                              **options)

    def submit(self, *arguments):
        done = self.run("submit", "--video", self.video, "--reference", self.reference, *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip().splitlines()[0]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    made = Site(tmp_path_factory.mktemp("remote"))
    yield made
    made.serve.close()


def test_a_shot_goes_there_and_back(site, tmp_path):
    job_id = site.submit("--seed", 7, "--output.format", "mp4", "--tags.shot", "a1", "--params", '{"steps": 3}')
    done = site.run("watch", job_id)
    assert done.returncode == 0, done.stderr
    last = json.loads(done.stdout.splitlines()[-1])
    assert last["state"] == "succeeded" and last["params"]["steps"] == 3 and last["params"]["seed"] == 7
    assert last["tags"] == {"shot": "a1"}
    out = tmp_path / "out.mp4"
    done = site.run("get", job_id, "-o", out)
    assert done.returncode == 0 and done.stdout.strip() == str(out), done.stderr
    local = tmp_path / "local.mp4"
    subprocess.run([BUILD / "longanim", "colorize", "--video", site.video, "--reference", site.reference, "--out", local, "--seed",
                    "7", "--steps", "3", "--model", "null:"], check=True, capture_output=True)
    assert out.read_bytes() == local.read_bytes()
    assert json.loads(site.run("status", job_id).stdout)["id"] == job_id


def test_submit_can_watch(site):
    done = site.run("submit", "--video", site.video, "--reference", site.reference, "--watch")
    assert done.returncode == 0
    assert json.loads(done.stdout.splitlines()[-1])["state"] == "succeeded"


def test_the_same_idempotency_key_gives_the_same_job(site):
    assert site.submit("--seed", 1, "--idempotency-key", "k1") == site.submit("--seed", 1, "--idempotency-key", "k1")


def test_an_interrupted_download_goes_on(site, tmp_path):
    job_id = site.submit("--seed", 9)
    assert site.run("watch", job_id).returncode == 0
    whole = site.serve.get(f"/v1/jobs/{job_id}/result")
    out = tmp_path / "out.mp4"
    (tmp_path / "out.mp4.part").write_bytes(whole.content[:1000])
    (tmp_path / "out.mp4.part.etag").write_text(whole.headers["ETag"])
    assert site.run("get", job_id, "-o", out).returncode == 0
    assert out.read_bytes() == whole.content and not (tmp_path / "out.mp4.part").exists()


def test_get_chooses_a_name(site, tmp_path):
    job_id = site.submit("--output.format", "mov")
    assert site.run("get", job_id, cwd=tmp_path).returncode in (0, 1)
    site.run("watch", job_id)
    assert site.run("get", job_id, cwd=tmp_path).returncode == 0
    assert (tmp_path / f"{job_id}.mov").exists()


def test_what_lies_beside_a_result_is_had_by_name(site, tmp_path):
    job_id = site.submit("--output.planes", "true")
    assert site.run("watch", job_id).returncode == 0
    rows = {row.split()[0]: row.split()[1:] for row in site.run("get", job_id, "--list").stdout.splitlines()}
    beside = {a["name"]: a for a in site.serve.get(f"/v1/jobs/{job_id}/artifacts").json()["data"]}
    assert set(rows) == {"result", "preview.jpg", "receipt.json", *beside} and "palette.json" in beside and "paint.zip" in beside
    assert all(rows[name] == [str(a["bytes"]), a["sha256"]] for name, a in beside.items())
    done = site.run("get", job_id, "palette.json", "-o", tmp_path / "colours.json")
    assert done.returncode == 0 and done.stdout.strip() == str(tmp_path / "colours.json"), done.stderr
    assert hashlib.sha256((tmp_path / "colours.json").read_bytes()).hexdigest() == beside["palette.json"]["sha256"]
    done = site.run("get", job_id, "result", "line.zip", "-o", tmp_path / "two")
    assert sorted(p.name for p in (tmp_path / "two").iterdir()) == [f"{job_id}-line.zip", f"{job_id}.mp4"], done.stderr
    done = site.run("get", job_id, "--all", "-o", f"{tmp_path}/all/")
    assert len(done.stdout.splitlines()) == len(rows) == len(list((tmp_path / "all").iterdir()))
    assert zipfile.is_zipfile(tmp_path / "all" / f"{job_id}-regions.zip")
    assert (tmp_path / "all" / f"{job_id}-preview.jpg").read_bytes()[:2] == b"\xff\xd8"
    assert json.loads((tmp_path / "all" / f"{job_id}-receipt.json").read_text())["job"]["id"] == job_id
    done = site.run("get", job_id, "sheets.png", cwd=tmp_path)
    assert done.returncode == 1 and "--list" in done.stderr


def test_cancel_and_list(site):
    ids = [site.submit("--steps", 200, "--tags.batch", "x") for _ in range(3)]
    done = site.run("cancel", *ids)
    assert done.returncode == 0 and len(done.stdout.splitlines()) == 3
    for job_id in ids:
        watched = site.run("watch", job_id)
        assert watched.returncode == 1 and "canceled" in watched.stderr
    rows = site.run("list", "--tag", "batch:x", "--json").stdout.splitlines()
    assert {json.loads(row)["id"] for row in rows} == set(ids)
    assert len(site.run("list", "-n", 2).stdout.splitlines()) == 2
    assert all("canceled" in row for row in site.run("list", "--state", "canceled").stdout.splitlines())


def test_watching_through_a_dead_api(site):
    job_id = site.submit("--steps", 100)
    watching = subprocess.Popen([BUILD / "longanim", "watch", job_id], stdout=subprocess.PIPE, text=True,
                                env={**os.environ, "LONGANIM_SERVER": site.serve.base})
    assert json.loads(watching.stdout.readline())["event"] == "progress"
    children = open(f"/proc/{site.serve.pid}/task/{site.serve.pid}/children").read().split()
    api = next(int(pid) for pid in children if open(f"/proc/{pid}/comm").read().strip() == "longanim-api")
    os.kill(api, 9)
    lines = watching.stdout.read().splitlines()
    assert watching.wait(30) == 0
    assert json.loads(lines[-1])["state"] == "succeeded"


@pytest.mark.parametrize("arguments, status, says", [
    (["status", "j0_00000000000000000000000000"], 1, "404"),
    (["status", "nonsense"], 1, "not a job"),
    (["get", "j0_00000000000000000000000000", "-o", "/tmp/x"], 1, "404"),
    (["cancel", "j0_00000000000000000000000000"], 1, "404"),
    (["list", "--state", "odd"], 2, "state"),
    (["list", "--tag", "odd"], 2, "key:value"),
    (["dead", "redrive"], 2, "name jobs"),
    (["list", "--server", "nonsense"], 2, "URL"),
    (["list", "--server", "http://127.0.0.1:1"], 1, "longanim:"),
    (["submit"], 2, "needed"),
    (["submit", "--video", "/does/not/exist", "--reference", "/x"], 1, "longanim:"),
])
def test_what_goes_wrong_is_said(site, arguments, status, says):
    done = site.run(*arguments)
    assert done.returncode == status, done
    assert says in done.stderr


def test_a_file_that_is_no_video_is_3(site, tmp_path):
    (tmp_path / "in.mp4").write_bytes(b"no video" * 1000)
    done = site.run("submit", "--video", tmp_path / "in.mp4", "--reference", site.reference)
    assert done.returncode == 3 and done.stdout == "" and "server says" in done.stderr
    done = site.run("submit", "--video", tmp_path / "nowhere.mp4", "--reference", site.reference)
    assert done.returncode == 1 and "nowhere.mp4" in done.stderr


def test_a_terminal_gets_a_bar(site):
    job_id = site.submit("--steps", 200)
    ours, theirs = pty.openpty()
    running = subprocess.Popen([BUILD / "longanim", "watch", job_id], stderr=theirs, stdout=subprocess.PIPE,
                               env={**os.environ, "LONGANIM_SERVER": site.serve.base})
    os.close(theirs)
    text = bytearray()

    def read():
        try:
            while chunk := os.read(ours, 65536):
                text.extend(chunk)
        except OSError:
            return
    reader = threading.Thread(target=read)
    reader.start()
    assert running.wait(30) == 0 and running.stdout.read() == b""
    reader.join()
    assert b"diffusion" in text and b"%" in text


def test_a_stopped_watch_is_130_and_leaves_the_job(site):
    job_id = site.submit("--steps", 60)
    watching = subprocess.Popen([BUILD / "longanim", "watch", job_id], stdout=subprocess.PIPE, text=True,
                                env={**os.environ, "LONGANIM_SERVER": site.serve.base})
    watching.stdout.readline()
    watching.send_signal(2)
    assert watching.wait(10) == 130
    assert until(lambda: site.serve.job(job_id)["state"] in ("running", "succeeded"))
