"""The ops listener, starting and stopping, and what happens while Redis or the store is away."""
import json
import os
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest
import requests

from support.longanim import until


def test_health_is_told_apart_from_readiness(service):
    ops = service.api.ops
    assert ops.get("/livez").status_code == 200
    assert ops.get("/startupz").status_code == 200
    ready = ops.get("/readyz")
    assert ready.status_code == 200 and all(c["ok"] for c in ready.json()["checks"].values())
    assert ops.get("/jobs").status_code == 404
    assert ops.request("GET", "/drain").status_code == 405
    assert service.api.get("/livez").status_code == 404, "ops paths are not public"


def test_metrics_cover_requests_queue_and_build(service, media):
    job = service.api.submit(media.video, media.reference)
    service.api.get("/jobs/" + job["id"])
    service.api.request("POST", f"/jobs/{job['id']}/cancel")
    page = service.api.ops.get("/metrics").text
    names = {line.split("{")[0].split(" ")[0] for line in page.splitlines() if line and line[0] != "#"}
    for ending in ("http_requests_total", "http_request_duration_seconds_count", "queue_depth", "jobs_total", "build_info"):
        assert [n for n in names if n.endswith(ending)], ending
    assert job["id"] not in page
    assert 'route="/jobs/{id}"' in page
    assert 'longanim_jobs_total{pool="null",result="canceled"} ' in page


def test_scale_tells_the_demand(service, media):
    before = service.api.ops.get("/scale?pool=null").json()
    service.api.submit(media.video, media.reference)
    assert service.api.ops.get("/scale?pool=null").json() == {"pool": "null", "demand": before["demand"] + 1}
    assert service.api.ops.get("/scale?pool=other").json()["demand"] == 0


def test_nothing_of_libav_or_torch_is_mapped(service):
    maps = Path(f"/proc/{service.api.pid}/maps").read_text()
    assert "libmicrohttpd" in maps
    for library in ("libav", "libswscale", "libtorch", "libc10", "libx264"):
        assert library not in maps


def test_the_document_is_served_and_true(service):
    import contract
    served = service.api.get("/openapi.json").json()
    assert served == json.loads(json.dumps(contract.DOCUMENT))
    table = (contract.ROOT / "api" / "route.c").read_text().split("ops_routes")[0]
    import re
    routes = {(m.lower(), p, o) for m, p, o in re.findall(r'\{"([A-Z]+)",\s+"([^"]+)",\s+"(\w+)"', table)}
    documented = {(m, path, op["operationId"]) for path, item in served["paths"].items() for m, op in item.items()
                  if m in contract.METHODS}
    assert routes == documented


def test_every_error_code_is_documented(service):
    import contract
    import re
    table = (contract.ROOT / "service" / "base" / "err.h").read_text()
    rows = re.findall(r"X\((\w+), \d+", table.split("only in the `error` of a job")[0])
    assert set(rows) == set(contract.DOCUMENT["components"]["schemas"]["Problem"]["properties"]["code"]["enum"])
    described = " ".join(r["description"] for r in contract.DOCUMENT["components"]["responses"].values())
    assert not [code for code in rows if code not in described]
    for code in ("job_not_found", "media_unreadable"):
        assert service.api.get(f"/problems/{code}").json()["code"] == code
    service.api.problem("GET", "/problems/nonsense", 404, "route_not_found")


def test_address_files_and_a_restart_on_the_same_port(fresh):
    service = fresh()
    address = (service.folder / "api" / "api.addr").read_text()
    assert service.api.base == "http://" + address.strip() and address.endswith("\n")
    service.api.environment["LONGANIM_LISTEN"] = address.strip()
    with requests.get(service.api.base + "/docs", stream=True):
        service.api.kill()
    service.api.start()
    assert service.api.base == "http://" + address.strip()
    assert service.api.events("api.listening")[-1]["address"] == address.strip()


def test_sigterm_ends_quickly_and_answers_who_waits(fresh, media):
    service = fresh()
    job = service.api.submit(media.video, media.reference)["id"]
    answers = []
    waiting = [threading.Thread(target=lambda: answers.append(requests.get(f"{service.api.base}/jobs/{job}", timeout=20,
                                                                           headers={"Prefer": "wait=30"}).status_code)),
               threading.Thread(target=lambda: answers.append(len(requests.get(f"{service.api.base}/jobs/{job}/events",
                                                                               timeout=20).content) > 0))]
    for thread in waiting:
        thread.start()
    time.sleep(0.3)
    start = time.monotonic()
    assert service.api.stop() == 0
    assert time.monotonic() - start < 3
    for thread in waiting:
        thread.join()
    assert sorted(map(str, answers)) == ["200", "True"]


def children_of(pid):
    return [int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()]


def test_children_die_with_a_killed_api(fresh):
    service = fresh()
    children = children_of(service.api.pid)
    assert children
    service.api.kill()

    def gone(pid):
        try:
            return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
        except FileNotFoundError:
            return True
    until(lambda: all(gone(pid) for pid in children), what="probe gone")


def test_a_dead_prober_is_replaced(fresh, media):
    service = fresh()
    os.kill(children_of(service.api.pid)[0], signal.SIGKILL)
    deadline = time.monotonic() + 2
    while True:
        response = service.api.post_job(media.video, media.reference)
        assert response.status_code in (202, 503), response.text
        if response.status_code == 202:
            break
        assert time.monotonic() < deadline


def test_it_starts_and_lives_without_redis(fresh, media):
    service = fresh()
    api = service.api
    job = api.submit(media.video, media.reference)["id"]
    service.redis.kill()
    until(lambda: api.ops.get("/readyz").json()["checks"]["redis"].get("code") == "dependency_redis", what="the reason")
    assert api.ops.get("/readyz").status_code == 503
    assert api.ops.get("/livez").status_code == 200
    for method, path in (("GET", f"/jobs/{job}"), ("GET", "/jobs"), ("POST", f"/jobs/{job}/cancel"), ("GET", f"/jobs/{job}/result"),
                         ("GET", "/capabilities")):
        start = time.monotonic()
        api.problem(method, path, 503, "dependency_redis")
        assert time.monotonic() - start < 1
    api.problem("POST", "/jobs", 503, "dependency_redis", files=media.files())
    api.restart()
    assert api.ops.get("/readyz").status_code == 503
    api.problem("GET", f"/jobs/{job}", 503, "dependency_redis")
    service.redis.start()
    start = time.monotonic()
    until(lambda: api.ops.get("/readyz").status_code == 200, what="ready again")
    assert time.monotonic() - start < 1.5
    assert api.job(job)["state"] == "queued"


def test_a_frozen_redis_does_not_freeze_the_rest(fresh, media):
    service = fresh()
    api = service.api
    job = api.submit(media.video, media.reference)["id"]
    service.redis.program.signal(signal.SIGSTOP)
    try:
        threads = [threading.Thread(target=lambda: requests.get(f"{api.base}/jobs/{job}", timeout=20)) for _ in range(20)]
        for thread in threads:
            thread.start()
        took = []
        for _ in range(20):
            start = time.monotonic()
            assert api.get("/docs").status_code == 200
            took.append(time.monotonic() - start)
            time.sleep(0.05)
        assert max(took) < 0.2, took
        until(lambda: api.ops.get("/readyz").status_code == 503, what="not ready")
    finally:
        service.redis.program.signal(signal.SIGCONT)
    for thread in threads:
        thread.join()
    until(lambda: api.ops.get("/readyz").status_code == 200, what="ready again")


def test_redis_restarts_under_load_and_nobody_sees_a_wrong_answer(fresh, media):
    service = fresh()
    jobs = [service.api.submit(media.video, media.reference)["id"] for _ in range(4)]
    stop, wrong = threading.Event(), []

    def poll(n):
        session = requests.Session()
        while not stop.is_set():
            response = session.get(f"{service.api.base}/jobs/{jobs[n % 4]}", timeout=20)
            good = response.status_code == 200 and response.json()["state"] == "queued"
            away = response.status_code == 503 and response.headers.get("Retry-After")
            if not good and not away:
                wrong.append((response.status_code, response.text))
            time.sleep(0.01)
    threads = [threading.Thread(target=poll, args=(n,)) for n in range(16)]
    for thread in threads:
        thread.start()
    for _ in range(3):
        time.sleep(0.3)
        service.redis.restart()
    until(lambda: service.api.ops.get("/readyz").status_code == 200, what="ready again")
    stop.set()
    for thread in threads:
        thread.join()
    assert not wrong, wrong[:3]


def test_a_store_that_is_away_is_503_and_comes_back(fresh, media):
    service = fresh()
    store = service.folder / "store"
    moved = service.folder / "moved"
    store.rename(moved)
    store.write_text("not a folder")
    until(lambda: service.api.ops.get("/readyz").status_code == 503, what="not ready")
    response = service.api.post_job(media.video, media.reference)
    assert response.status_code == 503 and response.json()["code"] == "dependency_storage"
    store.unlink()
    moved.rename(store)
    until(lambda: service.api.ops.get("/readyz").status_code == 200, what="ready again")
    assert service.api.post_job(media.video, media.reference).status_code == 202


def test_many_connections_are_served(fresh):
    api = fresh().api
    host, port = api.base.removeprefix("http://").split(":")
    sockets = []
    try:
        for _ in range(2000):
            sockets.append(socket.create_connection((host, int(port))))
        for sock in sockets[::50]:
            sock.sendall(b"GET /docs HTTP/1.1\r\nHost: x\r\n\r\n")
            assert sock.recv(12) == b"HTTP/1.1 200"
    finally:
        for sock in sockets:
            sock.close()


def test_wrong_settings_are_told_and_end_the_program(tmp_path):
    from support.longanim import BUILD
    for environment, word in (({"LONGANIM_REDIS": "unix:/tmp/x", "LONGANIM_STORE": f"file:{tmp_path}", "LONGANIM_LISTEN": "nowhere"}, "nowhere"),
                              ({"LONGANIM_REDIS": "nonsense", "LONGANIM_STORE": f"file:{tmp_path}"}, "redis"), ({"LONGANIM_LEASE_MS": "x"}, "LEASE"),
                              ({"LONGANIM_REDIS": "unix:/tmp/x", "LONGANIM_STORE": "ftp://x"}, "store"),
                              ({"LONGANIM_REDIS": "unix:/tmp/x", "LONGANIM_STORE": f"file:{tmp_path}", "LONGANIM_KEYS": "/none"}, "none")):
        done = subprocess.run([BUILD / "longanim-api"], env={"LONGANIM_LISTEN": "127.0.0.1:0", "LONGANIM_OPS_LISTEN": "127.0.0.1:0", **environment},
                              capture_output=True, timeout=10, text=True)
        assert done.returncode == (1 if word == "none" else 2) and word.lower() in done.stderr.lower(), done.stderr
