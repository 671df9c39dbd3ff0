"""What was accepted is never lost, what was refused never runs, and nothing is left lying about."""
import os
import signal
import threading
import time

import pytest
import requests

import wire
from support.longanim import until


def test_a_repeat_after_redis_was_lost_gives_the_same_job(fresh, media):
    service = fresh()
    headers = {"Idempotency-Key": "k1"}
    jobs = [service.api.submit(media.video, media.reference)["id"] for _ in range(3)]
    first = service.api.post_job(media.video, media.reference, headers=headers, seed=1).json()
    version = service.api.job(first["id"])["version"]
    service.redis.wipe()

    def again():
        response = service.api.post_job(media.video, media.reference, headers=headers, seed=1)
        return response if response.status_code == 202 else None
    repeated = until(again, what="accepted again")
    assert repeated.json()["id"] == first["id"] and repeated.headers["Idempotency-Replayed"] == "true"
    assert service.api.job(first["id"])["version"] >= version
    assert {j["id"] for j in service.api.get("/jobs").json()["data"]} == {*jobs, first["id"]}


def test_ends_and_deletions_survive_the_loss_of_redis(fresh, media):
    service = fresh()
    canceled, deleted = (service.api.submit(media.video, media.reference)["id"] for _ in range(2))
    for job in (canceled, deleted):
        service.api.request("POST", f"/jobs/{job}/cancel")
    assert service.api.request("DELETE", f"/jobs/{deleted}").status_code == 204
    service.redis.wipe()
    until(lambda: service.api.get(f"/jobs/{canceled}").status_code == 200, what="restored")
    assert service.api.job(canceled)["state"] == "canceled"
    service.api.problem("GET", f"/jobs/{deleted}", 410, "job_purged")


def test_a_refused_job_does_not_run_although_the_queue_heard_of_it(fresh, media):
    """Redis freezes before the enqueue: it takes the command in and runs it when the client has long been told 503."""
    service = fresh()
    body = requests.Request("POST", "http://x", files=media.files()).prepare()
    results = []
    with wire.open_socket(service.api.base, 30) as sock:
        sock.sendall(b"POST /jobs HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n"
                     % (body.headers["Content-Type"].encode(), len(body.body)))
        time.sleep(0.1)
        service.redis.program.signal(signal.SIGSTOP)
        sock.sendall(body.body)
        results.append(wire.read_answer(sock))
        service.redis.program.signal(signal.SIGCONT)
    assert results[0].status == 503, results[0].body
    until(lambda: service.api.ops.get("/readyz").status_code == 200, what="ready again")
    until(lambda: service.api.get("/jobs").json()["data"] == [], what="no job")
    assert not [p for p in service.folder.glob("store/v1/**/manifest.json")]


def test_an_api_killed_under_load_leaves_whole_jobs_only(fresh, media):
    """Every 202 is a job after the restart; nothing else is, but for requests that got no answer."""
    service = fresh(sweep_ms=300, sweep_age_ms=500)
    accepted, unanswered, stop = [], [0], threading.Event()

    def post(n):
        number = 0
        while not stop.is_set():
            number += 1
            try:
                response = requests.post(service.api.base + "/jobs", files=media.files(), timeout=10,
                                         headers={"Idempotency-Key": f"{n}-{number}"})
                if response.status_code == 202:
                    accepted.append(response.json()["id"])
            except requests.ConnectionError:
                unanswered[0] += 1
                time.sleep(0.02)
    service.api.environment["LONGANIM_LISTEN"] = service.api.base.removeprefix("http://")
    threads = [threading.Thread(target=post, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for _ in range(4):
        before = len(accepted)
        until(lambda: len(accepted) > before, 20, "under load")
        time.sleep(0.2)
        service.api.kill()
        service.api.start()
    stop.set()
    for thread in threads:
        thread.join()
    until(lambda: service.api.ops.get("/readyz").status_code == 200, what="ready")
    assert accepted and unanswered[0]
    for job in accepted:
        assert service.api.job(job)["state"] == "queued"
    until(lambda: not list((service.folder / "api" / "spool").iterdir()), what="spool swept")
    known = set()
    cursor = ""
    while cursor is not None:
        page = service.api.get(f"/jobs?limit=100{cursor}").json()
        known |= {j["id"] for j in page["data"]}
        cursor = f"&after={page['next']}" if page["next"] else None
    assert set(accepted) <= known

    def stored():
        return {p.name for p in service.folder.glob("store/v1/*/*/*") if any(f.is_file() for f in p.rglob("*"))}
    until(lambda: stored() == known, what=f"store and queue agree: {stored() ^ known}")


def test_leftovers_of_a_dead_process_are_swept(fresh):
    service = fresh(sweep_ms=200, sweep_age_ms=1000)
    leftover = service.folder / "api" / "spool" / "0123456789abcdef"
    leftover.write_bytes(b"x")
    until(lambda: not leftover.exists(), what="swept")


def test_a_thousand_streams_are_cheap_and_hear_the_end(fresh, media):
    service = fresh()
    api = service.api
    job = api.submit(media.video, media.reference)["id"]
    before = int(next(line for line in open(f"/proc/{api.pid}/status") if line.startswith("VmRSS")).split()[1])
    sockets = [wire.open_socket(api.base) for _ in range(1000)]
    for sock in sockets:
        sock.sendall(b"GET /jobs/%s/events HTTP/1.1\r\nHost: x\r\n\r\n" % job.encode())
    for sock in sockets:
        data = b""
        while b"\n\n" not in data.partition(b"event: state")[2]:
            data += sock.recv(65536)
    after = int(next(line for line in open(f"/proc/{api.pid}/status") if line.startswith("VmRSS")).split()[1])
    if not {"ASAN_OPTIONS", "TSAN_OPTIONS"} & set(os.environ):  # with these, memory is not what it is
        assert (after - before) / 1000 < 40, "kilobytes a stream"
    until(lambda: "longanim_sse_clients 1000" in api.ops.get("/metrics").text, what="counted")
    for sock in sockets[:500]:
        sock.close()
    start = time.monotonic()
    api.request("POST", f"/jobs/{job}/cancel")
    for sock in sockets[500:]:
        data = b""
        while b'"terminal":true' not in data:
            piece = sock.recv(65536)
            assert piece
            data += piece
        sock.close()
    assert time.monotonic() - start < 3
    until(lambda: "longanim_sse_clients 0" in api.ops.get("/metrics").text, what="all gone")
