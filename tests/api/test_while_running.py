"""What is to be had of a job before it has ended: its place, a range for its end, segments, a preview."""
import hashlib
from datetime import datetime, timedelta, timezone

import pytest
import requests

from support.longanim import make_video, until

MODEL = "null=null:delay_ms=60,segment=9,overlap=2,steps=4"


def when(text):
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


@pytest.fixture(scope="module")
def long_video(media):
    return make_video(media.folder / "longer.mp4", frames=44)


def test_jobs_that_wait_know_their_place(fresh, media):
    api = fresh().api
    ids = [api.submit(media.video, media.reference)["id"] for _ in range(3)]
    urgent = api.submit(media.video, media.reference, {"priority": 9})["id"]
    places = {job: until(lambda: api.job(job)["queue"]["position"], 5, "a place") for job in (urgent, *ids)}
    until(lambda: [api.job(job)["queue"]["position"] for job in (urgent, *ids)] == [1, 2, 3, 4], 5, f"in order; first seen: {places}")
    assert all(api.job(job)["queue"]["eta"] is None for job in ids), "nobody works: nobody knows"


def test_finished_segments_and_a_preview_come_before_the_end(fresh, media, long_video):
    service = fresh()
    service.worker(MODEL)
    api = service.api
    job = api.submit(long_video, media.reference, {"output": {"snap": "none"}})["id"]
    refused = api.problem("GET", f"/jobs/{job}/preview", 409, "result_not_ready")
    assert refused["retryable"]
    etas, began = [], datetime.now(timezone.utc)

    def two_segments():
        now = api.job(job)
        if now["queue"]["eta"]:
            etas.append(now["queue"]["eta"])
        assert not now["terminal"], now
        return now if now["progress"]["segments_done"] >= 2 else None
    seen = until(two_segments, 30, "two segments")
    progress = seen["progress"]
    assert 0 < progress["fraction"] < 1 and progress["segments_done"] < progress["segments_total"]
    assert 0 < progress["frames_done"] < 44 and seen["queue"]["position"] is None
    listed = api.get(f"/jobs/{job}/segments").json()["data"]
    content = api.get(listed[0]["url"]).content
    assert len(listed) >= 2 and hashlib.sha256(content).hexdigest() == listed[0]["sha256"]
    preview = until(lambda: (lambda r: r.status_code == 200 and r)(api.get(f"/jobs/{job}/preview")), 5, "a preview")
    assert preview.content[:3] == b"\xff\xd8\xff" and preview.headers["Content-Type"] == "image/jpeg"
    until(lambda: two_segments() and etas, 5, "an estimate")
    for eta in etas:
        assert began - timedelta(seconds=5) < when(eta["low"]) <= when(eta["finish"]) <= when(eta["high"])
    ended = api.wait(job, {"succeeded"}, 60)
    assert ended["attempt"] == 1 and ended["queue"]["eta"] is None
    assert when(ended["finished_at"]) < when(etas[-1]["high"]) + timedelta(seconds=30)
    assert [s["sha256"] for s in api.get(f"/jobs/{job}/segments").json()["data"]][:2] == [s["sha256"] for s in listed[:2]]


def test_a_client_that_goes_away_cancels_nothing(fresh, media, long_video):
    service = fresh()
    service.worker(MODEL)
    api = service.api
    job = api.submit(long_video, media.reference, {"output": {"snap": "none"}})["id"]
    with requests.get(f"{api.base}/jobs/{job}/events", stream=True, timeout=10) as events:
        next(events.iter_lines())
    with pytest.raises(requests.RequestException):
        requests.get(f"{api.base}/jobs/{job}", headers={"Prefer": "wait=30", "If-None-Match": api.get(f"/jobs/{job}").headers["ETag"]},
                     timeout=0.01)
    assert api.wait(job, {"succeeded"}, 60)["cancel_requested"] is False
