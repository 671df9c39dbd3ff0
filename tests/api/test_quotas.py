"""What one key or one address may have: quotas, connections, uploads."""
import hashlib
import json
import signal
import socket
import threading

import pytest

from support.longanim import until


def line(name, rest):
    return f"{name} {hashlib.sha256(('secret-' + name).encode()).hexdigest()} {rest}\n"


def bearer(name, **more):
    return {"Authorization": f"Bearer secret-{name}", **more}


@pytest.fixture
def keyed(fresh, tmp_path):
    def make(keys, **settings):
        (tmp_path / "keys").write_text(keys)
        return fresh(keys=tmp_path / "keys", **settings)
    return make


def used(api, name):
    return api.get("/capabilities", headers=bearer(name)).json()["key"]["used"]


def test_the_queue_of_a_key_has_an_end(keyed, media):
    api = keyed(line("anna", "submit,read queued=2") + line("bert", "submit,read")).api
    first = api.post_job(media.video, media.reference, headers=bearer("anna", **{"Idempotency-Key": "one"}))
    assert first.status_code == 202
    assert api.post_job(media.video, media.reference, headers=bearer("anna")).status_code == 202
    refused = api.post_job(media.video, media.reference, headers=bearer("anna"))
    assert refused.status_code == 429 and refused.json()["code"] == "quota_queued", refused.text
    assert refused.json()["retryable"] and int(refused.headers["Retry-After"]) >= 1
    assert '"queued";q=2' in refused.headers["RateLimit-Policy"] and '"queued";r=0' in refused.headers["RateLimit"]
    assert used(api, "anna")["queued"] == 2
    again = api.post_job(media.video, media.reference, headers=bearer("anna", **{"Idempotency-Key": "one"}))
    assert again.status_code == 202 and again.json()["id"] == first.json()["id"], "a repeat makes no new job"
    assert api.post_job(media.video, media.reference, headers=bearer("bert")).status_code == 202
    api.request("POST", f"/jobs/{first.json()['id']}/cancel", headers=bearer("anna"))
    assert api.post_job(media.video, media.reference, headers=bearer("anna")).status_code == 202


def test_a_refusal_comes_before_the_upload(keyed):
    """A gigabyte is announced; the answer is there after the first bytes."""
    service = keyed(line("anna", "submit,read storage=1M"))
    host, port = service.api.base.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as s:
        s.sendall(b"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer secret-anna\r\nContent-Length: 1000000000\r\n"
                  b"Content-Type: multipart/form-data; boundary=b\r\n\r\n--b\r\nContent-Disposition: form-data; "
                  b"name=\"video\"; filename=\"v.mp4\"\r\n\r\n" + b"x" * 4096)

        def answer():
            s.sendall(b"y" * 1024)
            s.settimeout(0.05)
            try:
                return s.recv(4096)
            except TimeoutError:
                return b""
        got = until(answer, what="the answer")
    assert b" 429 " in got.split(b"\r\n")[0] and b"quota_storage" in got, got


def test_storage_is_counted_from_upload_to_deletion(keyed, media):
    service = keyed(line("anna", "submit,read storage=2M"))
    api, size = service.api, len(media.video.read_bytes()) + len(media.reference.read_bytes())
    service.worker()
    job = api.post_job(media.video, media.reference, headers=bearer("anna")).json()["id"]
    assert used(api, "anna")["stored_bytes"] >= size
    until(lambda: api.get(f"/jobs/{job}", headers=bearer("anna")).json()["state"] == "succeeded", 60, "done")
    done = api.get(f"/jobs/{job}", headers=bearer("anna")).json()["result"]["bytes"]
    segments = sum(s["bytes"] for s in api.get(f"/jobs/{job}/segments", headers=bearer("anna")).json()["data"])
    assert used(api, "anna")["stored_bytes"] >= size + done + segments
    tus = bearer("anna", **{"Tus-Resumable": "1.0.0", "Upload-Length": str(3 << 20)})
    api.problem("POST", "/uploads", 429, "quota_storage", headers=tus)
    tus["Upload-Length"] = "1000"
    made = api.request("POST", "/uploads", headers=tus)
    assert made.status_code == 201
    before = used(api, "anna")["stored_bytes"]
    assert api.request("DELETE", made.headers["Location"], headers=bearer("anna")).status_code == 204
    assert used(api, "anna")["stored_bytes"] == before - 1000
    assert api.request("DELETE", f"/jobs/{job}", headers=bearer("anna")).status_code == 204
    assert used(api, "anna")["stored_bytes"] == 0


def test_a_key_runs_as_many_jobs_at_once_as_it_may(keyed, media):
    service = keyed(line("anna", "submit,read running=1") + line("bert", "submit,read"))
    api = service.api
    for _ in range(2):
        service.worker(models="null=null:delay_ms=100")
    for name in ("anna", "anna", "bert"):
        api.post_job(media.video, media.reference, headers=bearer(name), params={"steps": 30})
    until(lambda: used(api, "bert")["running"] == 1 and used(api, "anna")["running"] == 1, what="one of each runs")
    assert used(api, "anna")["queued"] == 1


def test_limits_are_read_again_on_sighup(keyed, media, tmp_path):
    service = keyed("* queued=1\n" + line("anna", "submit,read"))
    api = service.api
    assert api.post_job(media.video, media.reference, headers=bearer("anna")).status_code == 202
    assert api.post_job(media.video, media.reference, headers=bearer("anna")).status_code == 429
    (tmp_path / "keys").write_text("* queued=1 rate=9\n" + line("anna", "submit,read queued=2"))
    api.signal(signal.SIGHUP)
    until(lambda: api.get("/capabilities", headers=bearer("anna")).json()["key"]["limits"]["queued"] == 2, what="read")
    answer = api.post_job(media.video, media.reference, headers=bearer("anna"))
    assert answer.status_code == 202 and answer.headers["RateLimit-Policy"] == '"default";q=9;w=60'


def test_an_address_has_so_many_connections(keyed):
    service = keyed(line("anna", "read"), max_connections_per_address=8)
    host, port = service.api.base.removeprefix("http://").split(":")
    request = b"GET /v1/jobs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer secret-anna\r\n\r\n"

    def ask(s):
        try:
            s.sendall(request)
            return s.recv(4096)
        except OSError:
            return b""
    held = [socket.create_connection((host, int(port)), timeout=10) for _ in range(8)]
    assert all(b" 200 " in ask(s) for s in held)
    more = [socket.create_connection((host, int(port)), timeout=10) for _ in range(12)]
    answers = [ask(s) for s in more]
    assert b" 429 " in answers[0] and b"rate_limited" in answers[0] and b"Retry-After" in answers[0]
    assert answers[-1] == b"", "far beyond the bound there is not even an answer"
    for s in held + more:
        s.close()
    until(lambda: b" 200 " in ask(socket.create_connection((host, int(port)), timeout=10)), what="room again")


def test_an_address_has_so_many_uploads(keyed, media):
    service = keyed(line("anna", "submit,read"), max_uploads_per_address=2)
    host, port = service.api.base.removeprefix("http://").split(":")
    begun = b"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer secret-anna\r\nContent-Length: 100000\r\n" \
            b"Expect: 100-continue\r\nContent-Type: multipart/form-data; boundary=b\r\n\r\n"
    held = [socket.create_connection((host, int(port)), timeout=10) for _ in range(2)]
    for s in held:
        s.sendall(begun)
        assert b" 100 " in s.recv(100)  # it is counted: the next one cannot overtake it
    until(lambda: service.api.post_job(media.video, media.reference, headers=bearer("anna")).status_code == 429,
          what="a third upload is refused")
    assert service.api.get("/jobs", headers=bearer("anna")).status_code == 200
    for s in held:
        s.close()
    until(lambda: service.api.post_job(media.video, media.reference, headers=bearer("anna")).status_code == 202,
          what="room again")


def test_without_keys_there_is_no_cap(fresh):
    api = fresh(max_connections_per_address=2, rate_per_minute=1, max_stored_bytes=1).api
    host, port = api.base.removeprefix("http://").split(":")
    held = [socket.create_connection((host, int(port)), timeout=10) for _ in range(50)]
    threads = [threading.Thread(target=lambda s=s: s.sendall(b"GET /v1/jobs HTTP/1.1\r\nHost: x\r\n\r\n")) for s in held]
    for t in threads:
        t.start()
    for t, s in zip(threads, held):
        t.join()
        assert b" 200 " in s.recv(4096)
        s.close()
    limits = api.get("/capabilities").json()["key"]["limits"]
    assert limits["rate_per_minute"] == limits["stored_bytes"] == 0, json.dumps(limits)
