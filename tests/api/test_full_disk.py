"""Disks that are full: 507 and nothing broken; everything as before once there is room again."""
import hashlib
import json
import os
import subprocess

import pytest

from support.longanim import BUILD, until


@pytest.fixture
def small(tmp_path):
    """Makes a folder of the service a small file system of its own: small("store", "8m")."""
    mounted = []

    def mount(name, size):
        folder = tmp_path / "service0" / name
        folder.mkdir(parents=True)
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", folder]
        if os.geteuid() != 0 or subprocess.run(command, capture_output=True).returncode:
            pytest.skip("mounting a small file system is not allowed here")
        mounted.append(folder)
        return folder
    yield mount
    for folder in mounted:
        subprocess.run(["umount", "-l", folder], check=True)


def fill(folder, leave=0):
    """Takes all room but `leave` bytes."""
    room = os.statvfs(folder)
    with open(folder / "filler", "wb", buffering=0) as stream:
        try:
            left = room.f_bavail * room.f_frsize - leave
            while left > 0:
                left -= stream.write(b"\0" * min(left, 65536))
        except OSError:
            pass
    return folder / "filler"


def audit(service):
    done = subprocess.run([BUILD / "longanim", "audit", "--json", "--age", "0", "--redis", service.redis.url, "--store",
                           service.store], capture_output=True, text=True)
    return json.loads(done.stdout)


def objects(folder):
    return {p for p in folder.rglob("*") if p.is_file() and p.name != "filler"}


@pytest.mark.parametrize("leave", [0, 200_000])
def test_a_full_store_takes_no_uploads_until_there_is_room(fresh, small, media, leave):
    """Really full, and below the reserve that is kept."""
    store = small("store", "8m")
    service = fresh()
    api = service.api
    first = api.submit(media.video, media.reference)["id"]
    filler = fill(store, leave)
    until(lambda: api.ops.get("/readyz").status_code == 503, what="not ready")
    assert api.ops.get("/readyz").json()["checks"]["store"]["code"] == "storage_full"
    before = objects(store)
    problem = api.problem("POST", "/jobs", 507, "storage_full", files=media.files())
    assert problem["retryable"] is True
    tus = {"Tus-Resumable": "1.0.0", "Upload-Length": "10"}
    assert api.request("POST", "/uploads", headers=tus).status_code == 507
    assert api.job(first)["state"] == "queued"
    assert objects(store) == before
    until(lambda: not list((service.folder / "api" / "spool").iterdir()), what="the spool is empty")
    filler.unlink()
    accepted = until(lambda: (r := api.post_job(media.video, media.reference)).status_code == 202 and r.json()["id"], what="accepted")
    service.worker()
    assert all(api.wait(job)["state"] == "succeeded" for job in (first, accepted))
    until(lambda: audit(service)["clean"], what="a clean audit")


def test_a_store_that_runs_full_under_an_upload_keeps_nothing_of_it(fresh, small, media):
    """The check at the door passes; the object does not fit."""
    store = small("store", "8m")
    service = fresh()
    fill(store, 1_000_000)
    big = media.folder / "big.mp4"
    box = 1_500_000  # a free box: the video is as good as before, and large
    big.write_bytes(media.video.read_bytes() + box.to_bytes(4, "big") + b"free" + os.urandom(box - 8))
    before = objects(store)
    answer = service.api.post_job(big, media.reference, headers={"Idempotency-Key": "k"})
    assert answer.status_code == 507 and answer.json()["code"] == "storage_full", answer.text
    assert objects(store) == before
    until(lambda: not list((service.folder / "api" / "spool").iterdir()), what="the spool is empty")
    (store / "filler").unlink()
    job = until(lambda: (r := service.api.post_job(big, media.reference, headers={"Idempotency-Key": "k"})).status_code == 202
                and r.json(), what="accepted under the same key")
    assert job["input"]["video"]["sha256"] == hashlib.sha256(big.read_bytes()).hexdigest()
    assert audit(service)["clean"]


def test_a_disk_that_is_full_where_uploads_wait_is_told_and_heals(fresh, small, media):
    data = small("api", "2m")
    service = fresh()
    filler = fill(data)
    service.api.problem("POST", "/jobs", 507, "storage_full", files=media.files())
    until(lambda: not list((data / "spool").iterdir()), what="the torn upload is gone")
    filler.unlink()
    assert service.api.post_job(media.video, media.reference).status_code == 202
