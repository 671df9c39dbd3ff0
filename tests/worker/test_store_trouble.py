"""A store that is full or away: running jobs wait for it, and no attempt is used up."""
import os
import shutil
import subprocess

import pytest

from longanim import until

SLOW = "null:delay_ms=40"


@pytest.fixture
def small_store(tmp_path):
    """The site's store as a file system of 8 MiB of its own."""
    folder = tmp_path / "store"
    folder.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "none", folder], capture_output=True).returncode:
        pytest.skip("mounting a small file system is not allowed here")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def fill(folder):
    with open(folder / "filler", "wb", buffering=0) as stream:
        try:
            while stream.write(b"\0" * 4096):
                pass
        except OSError:
            return


def test_a_full_store_is_waited_for(small_store, site):
    worker = site.worker(SLOW)
    job_id = site.submit(frames=60)
    until(lambda: worker.events("segment.committed"), what="a segment")
    fill(small_store)
    until(lambda: worker.events("job.waits"), what="the worker waits")
    assert worker.events("job.waits")[-1]["code"] == "storage_full"
    assert site.api.job(job_id)["state"] == "running"
    refused = site.api.post_job(site.video(5), site.reference)
    assert refused.status_code == 507, refused.text
    (small_store / "filler").unlink()
    job = site.api.wait(job_id)
    assert job["state"] == "succeeded" and job["attempt"] == 1 and job["worker_losses"] == 0, job


def test_a_job_that_waits_for_the_store_can_be_canceled(small_store, site):
    worker = site.worker(SLOW)
    job_id = site.submit(frames=60)
    until(lambda: worker.events("segment.committed"), what="a segment")
    fill(small_store)
    until(lambda: worker.events("job.waits"), what="the worker waits")
    assert site.api.request("POST", f"/v1/jobs/{job_id}/cancel").status_code == 202
    assert site.api.wait(job_id)["state"] == "canceled"


def test_segments_lost_from_the_store_are_made_again(site):
    first = site.worker(SLOW)
    job_id = site.submit(frames=60)
    until(lambda: len(first.events("segment.committed")) >= 3, what="three segments")
    first.kill()
    for path in (p for p in site.store.rglob("00001.*") if p.is_file()):
        path.unlink()
    second = site.worker(SLOW)
    job = site.api.wait(job_id)
    assert job["state"] == "succeeded", job
    assert site.ended(second)["segments_kept"] == 1


def test_segments_that_rotted_are_made_again(site):
    wanted = site.worker(SLOW)
    clean = site.api.wait(site.submit(frames=60))["result"]["sha256"]
    wanted.stop()
    first = site.worker(SLOW)
    job_id = site.submit(frames=60)
    until(lambda: len(first.events("segment.committed")) >= 3, what="three segments")
    first.kill()
    for path in (p for p in site.store.rglob("00001.*.mkv") if p.is_file() and job_id in str(p)):
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        shutil.copy(path, str(path) + ".copy")  # a new inode: a worker's link to the old one is none of this test
        os.replace(str(path) + ".copy", path)
        path.write_bytes(data)
    second = site.worker(SLOW)
    job = site.api.wait(job_id)
    assert job["state"] == "succeeded" and job["result"]["sha256"] == clean, job
    receipt = site.api.get(f"/v1/jobs/{job_id}/receipt").json()
    assert receipt["result"]["sha256"] == clean
