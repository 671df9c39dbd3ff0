"""What a job made, with a real worker and the null model: result, segments, preview, receipt, events, cancel while it runs."""
import hashlib
import json

import pytest
import requests

from support.longanim import make_video, until


@pytest.fixture(scope="module")
def running(service):
    """The service with a worker; its model takes a few steps per segment of 8 frames."""
    service.worker("null=null:delay_ms=5,segment=9,overlap=2,steps=4")
    return service


@pytest.fixture(scope="module")
def long_video(media):
    return make_video(media.folder / "long.mp4", frames=40)


@pytest.fixture(scope="module")
def done(running, media, long_video):
    job = running.api.submit(long_video, media.reference, seed=7)
    return running.api.wait(job["id"], {"succeeded"}, 40)


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def test_waiting_on_the_post_sees_the_end(running, media):
    response = running.api.post_job(media.video, media.reference, headers={"Prefer": "wait=30"})
    assert response.status_code == 200, response.text
    assert response.json()["state"] == "succeeded" and response.headers["Location"]


def test_the_result_is_what_the_job_says(running, done):
    response = running.api.get(f"/jobs/{done['id']}/result")
    assert response.status_code == 200
    assert response.headers["Content-Type"] == done["result"]["content_type"] == "video/mp4"
    assert response.headers["ETag"] == f'"{done["result"]["sha256"]}"'
    assert response.headers["Accept-Ranges"] == "bytes"
    assert f'filename="{done["id"]}.mp4"' in response.headers["Content-Disposition"]
    assert len(response.content) == done["result"]["bytes"] and sha256(response.content) == done["result"]["sha256"]
    assert done["result"]["frames"] == 40
    head = running.api.request("HEAD", f"/jobs/{done['id']}/result")
    assert head.headers["Content-Length"] == str(len(response.content)) and head.headers["ETag"] == response.headers["ETag"]
    assert running.api.get(f"/jobs/{done['id']}/result?redirect=1").content == response.content


def test_ranges_are_served(running, done):
    api, url = running.api, f"/jobs/{done['id']}/result"
    whole = api.get(url)
    size, tag = len(whole.content), whole.headers["ETag"]
    for value, first, last in (("bytes=0-0", 0, 0), ("bytes=5-99", 5, 99), ("bytes=-10", size - 10, size - 1),
                               (f"bytes={size - 1}-", size - 1, size - 1), ("bytes=0-99999999", 0, size - 1)):
        part = api.get(url, headers={"Range": value})
        assert part.status_code == 206 and part.content == whole.content[first:last + 1]
        assert part.headers["Content-Range"] == f"bytes {first}-{last}/{size}"
    for value in ("bytes=0-1,5-6", "bytes=5-4", "frames=0-1", "bytes=x"):
        assert api.get(url, headers={"Range": value}).status_code == 200
    refused = api.get(url, headers={"Range": f"bytes={size}-"})
    assert refused.status_code == 416 and refused.headers["Content-Range"] == f"bytes */{size}"
    for condition, status in ((tag, 206), (f"W/{tag}", 200), ('"other"', 200), ("Mon, 23 Nov 2026 00:00:00 GMT", 200)):
        assert api.get(url, headers={"Range": "bytes=0-9", "If-Range": condition}).status_code == status
    assert api.get(url, headers={"If-None-Match": tag}).status_code == 304
    assert api.request("HEAD", url, headers={"Range": "bytes=0-9"}).headers["Content-Length"] == "10"


def test_a_job_that_succeeded_has_done_everything(done):
    progress = done["progress"]
    assert progress["fraction"] == 1 and progress["stage"] is None and progress["step"] == progress["steps"]
    assert progress["segments_done"] == progress["segments_total"] > 2 and progress["frames_done"] == done["result"]["frames"]


def test_the_reference_profile_wants_a_segment_at_least(running, media):
    """Told in the answer to the POST: the api knows the model's segments once a worker has announced it."""
    until(lambda: running.api.get("/capabilities").json()["models"][0]["available"], what="the worker announced its model")
    response = running.api.post_job(media.video, media.reference, profile="reference")
    assert response.status_code == 422 and "at least 9 frames, not 8" in response.json()["detail"], response.text


def test_segments_are_kept_and_listed(running, done):
    listed = running.api.get(f"/jobs/{done['id']}/segments").json()["data"]
    assert [s["n"] for s in listed] == list(range(done["progress"]["segments_total"])) and len(listed) > 2
    assert listed[0]["first_frame"] == 0
    for segment in listed[:2]:
        content = running.api.get(segment["url"]).content
        assert len(content) == segment["bytes"] and sha256(content) == segment["sha256"]
    part = running.api.get(listed[0]["url"], headers={"Range": "bytes=1-3"})
    assert part.status_code == 206 and len(part.content) == 3
    for n in ("99", "x", "-1", "1.0"):
        running.api.problem("GET", f"/jobs/{done['id']}/segments/{n}", 404, "segment_not_found")


def test_preview_and_receipt(running, done, media):
    preview = running.api.get(f"/jobs/{done['id']}/preview")
    assert preview.status_code == 200 and preview.content[:3] == b"\xff\xd8\xff"
    assert running.api.get(f"/jobs/{done['id']}/preview", headers={"If-None-Match": preview.headers["ETag"]}).status_code == 304
    receipt = running.api.get(f"/jobs/{done['id']}/receipt")
    text = json.dumps(receipt.json())
    assert receipt.status_code == 200 and done["result"]["sha256"] in text
    assert done["input"]["video"]["sha256"] in text and done["input"]["references"][0]["sha256"] in text


def test_the_log_tells_what_the_worker_did(running, done):
    answer = running.api.get(f"/jobs/{done['id']}/logs")
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert answer.status_code == 200 and all(line["job"] == done["id"] for line in lines)
    events = [line["event"] for line in lines]
    assert events[0] == "job.claimed" and events[-1] == "job.ends" and lines[-1]["as"] == "complete"
    assert events.count("segment.committed") == done["progress"]["segments_total"]


def read_events(api, job, last_id=None, seconds=30):
    """(id, type, job) of a stream up to its end."""
    headers = {"Last-Event-ID": last_id} if last_id else {}
    events, current = [], {}
    with requests.get(f"{api.base}/jobs/{job}/events", headers=headers, stream=True, timeout=seconds) as response:
        assert response.status_code == 200
        assert response.headers["Content-Type"] == "text/event-stream"
        assert response.headers["Cache-Control"] == "no-cache" and response.headers["X-Accel-Buffering"] == "no"
        for line in response.iter_lines():
            if line:
                name, _, value = line.decode().partition(": ")
                current[name] = value
            elif "event" in current:
                events.append((current.get("id"), current["event"], json.loads(current["data"])))
                current = {}
            else:
                current = {}
    return events


def test_events_tell_the_whole_story_and_end(running, media, long_video):
    job = running.api.submit(long_video, media.reference)["id"]
    events = read_events(running.api, job)
    assert events[0][1] == "state" and events[-1][2]["state"] == "succeeded"
    assert all(e[0] for e in events) and len({e[0] for e in events}) == len(events)
    versions = [e[2]["version"] for e in events]
    assert versions == sorted(versions)
    assert {"state", "progress", "segment"} <= {e[1] for e in events}
    stages = {e[2]["progress"]["stage"] for e in events}
    assert len(stages) > 2
    again = read_events(running.api, job)
    assert [e[0] for e in again] == [e[0] for e in events]
    middle = len(events) // 2
    assert [e[0] for e in read_events(running.api, job, events[middle][0])] == [e[0] for e in events[middle + 1:]]
    after_all = read_events(running.api, job, events[-1][0])
    assert after_all[-1][2]["state"] == "succeeded"


def test_an_id_that_is_not_retained_resets(running, done):
    for unknown in ("1-1", "nonsense", "99999999999999-0"):
        events = read_events(running.api, done["id"], unknown)
        assert events[0][1] == "reset" and events[0][2]["id"] == done["id"]
        assert events[-1][2]["state"] == "succeeded" and len(events) > 2


def test_cancel_stops_a_running_job(running, media, long_video):
    job = running.api.submit(long_video, media.reference, {"steps": 200})["id"]
    running.api.wait(job, {"running"})
    response = running.api.request("POST", f"/jobs/{job}/cancel")
    assert response.status_code == 202 and response.json()["cancel_requested"] and response.json()["state"] == "running"
    ended = running.api.wait(job, seconds=10)
    assert ended["state"] == "canceled" and ended["result"] is None
    running.api.problem("GET", f"/jobs/{job}/result", 409, "job_has_no_result")


def test_a_running_job_has_no_result_yet_and_cannot_be_deleted(running, media, long_video):
    job = running.api.submit(long_video, media.reference, {"steps": 100})["id"]
    running.api.wait(job, {"running"})
    assert running.api.problem("GET", f"/jobs/{job}/result", 409, "result_not_ready")["retryable"]
    running.api.problem("DELETE", f"/jobs/{job}", 409, "job_not_terminal")
    running.api.problem("POST", f"/jobs/{job}/retry", 409, "job_not_failed")
    running.api.request("POST", f"/jobs/{job}/cancel")
    running.api.wait(job, {"canceled"}, 10)
    assert running.api.request("DELETE", f"/jobs/{job}").status_code == 204
