"""What is on the wire beside the contract: compression, the log of requests, retention."""
import gzip
import json

import pytest
import requests

from support.longanim import until


def test_long_documents_are_compressed_for_who_takes_that(fresh, media):
    api = fresh().api
    for _ in range(3):
        api.submit(media.video, media.reference)
    for path in ("/jobs", "/openapi.json", "/capabilities"):
        plain = api.get(path, headers={"Accept-Encoding": "identity"})
        assert "Content-Encoding" not in plain.headers and plain.headers["Vary"] == "Accept-Encoding"
        small = api.get(path, headers={"Accept-Encoding": "br;q=1, gzip"}, stream=True)
        bytes_ = small.raw.read()
        assert small.headers["Content-Encoding"] == "gzip" and len(bytes_) < len(plain.content) / 2
        assert json.loads(gzip.decompress(bytes_)).keys() == plain.json().keys()
        head = api.request("HEAD", path, headers={"Accept-Encoding": "gzip"})
        assert head.headers["Content-Encoding"] == "gzip" and not head.content
    assert "Content-Encoding" not in api.get("/jobs", headers={"Accept-Encoding": "gzip;q=0, *"}).headers
    job = api.get("/jobs").json()["data"][0]["id"]
    assert "Content-Encoding" not in api.get(f"/jobs/{job}", headers={"Accept-Encoding": "gzip"}).headers, "the hot one is not"


@pytest.mark.parametrize("wanted, seen", [("all", {"GET", "POST"}), ("changes", {"POST"}), ("none", set())])
def test_requests_are_logged_without_what_is_nobodys_business(fresh, media, wanted, seen):
    service = fresh(access_log=wanted)
    api, trace = service.api, "0af7651916cd43dd8448eb211c80319c"
    answer = api.post_job(media.video, media.reference, headers={"traceparent": f"00-{trace}-b7ad6b7169203331-01"}, prompt="secret-word")
    assert answer.status_code == 202
    requests.get(api.base + "/jobs?tag=secret-word:1\r\nX: y")
    requests.get(api.base + "/nowhere/%22secret-word")
    api.get(f"/jobs/{answer.json()['id']}")
    api.stop()
    lines = [e for e in api.events("api.request")]
    assert {e["method"] for e in lines if e["route"].startswith("/jobs")} == seen
    assert "secret-word" not in api.log.read_text()
    for e in lines:
        if e["method"] == "POST":
            assert e["status"] == 202 and e["route"] == "/jobs" and e["trace_id"] == trace and e["bytes_in"] > 1000 and e["dur_ms"] >= 0


def test_a_result_says_when_its_last_day_has_come(fresh, media):
    seen = {}
    for name, days in (("short", 0.5), ("long", 2)):
        service = fresh(retention_ms=int(days * 86400000))
        service.worker(retention_ms=int(days * 86400000))
        job = service.api.wait(service.api.submit(media.video, media.reference)["id"])
        seen[name] = service.api.get(f"/jobs/{job['id']}/result").headers.get("Sunset")
    assert seen["long"] is None and seen["short"].endswith(" GMT")


def test_ended_jobs_are_kept_for_so_long(fresh, media):
    service = fresh(retention_ms=1000, sweep_ms=200)
    api = service.api
    job = api.submit(media.video, media.reference)["id"]
    kept = api.submit(media.video, media.reference)["id"]
    ended = api.request("POST", f"/jobs/{job}/cancel").json()
    assert ended["expires_at"] > ended["finished_at"]
    until(lambda: api.get(f"/jobs/{job}").status_code == 410, 10, "its time is over")
    assert api.get(f"/jobs/{kept}").json()["state"] == "queued", "what has not ended does not expire"
