"""What operators do: queues paused, dead letters driven again or purged, keys made, rotated and revoked."""
import hashlib
import signal

import pytest

from support.longanim import until


def line(name, rest):
    return f"{name} {hashlib.sha256(('secret-' + name).encode()).hexdigest()} {rest}\n"


def bearer(name, **more):
    secret = name if name.startswith("la_") else "secret-" + name
    return {"Authorization": "Bearer " + secret, **more}


@pytest.fixture
def site(fresh, tmp_path):
    (tmp_path / "keys").write_text(line("anna", "submit,read") + line("boss", "admin"))
    return fresh(keys=tmp_path / "keys")


def fail_jobs(service, media, count):
    worker = service.worker(models="null=null:fail=weights")
    ids = [service.api.post_job(media.video, media.reference, headers=bearer("anna")).json()["id"] for _ in range(count)]
    for job in ids:
        until(lambda: service.api.get(f"/jobs/{job}", headers=bearer("anna")).json()["state"] == "failed", 30, "failed")
    worker.stop()
    return ids


def state(service, job, name="anna"):
    return service.api.get(f"/jobs/{job}", headers=bearer(name)).json()["state"]


def test_a_paused_pool_gives_out_nothing(site, media):
    api = site.api
    job = api.post_job(media.video, media.reference, headers=bearer("anna")).json()["id"]
    paused = api.request("POST", "/queues/null/pause", headers=bearer("boss"))
    assert paused.status_code == 200 and paused.json()["paused"] is True and paused.json()["queued"] == 1
    site.worker()
    until(lambda: api.get("/capabilities", headers=bearer("anna")).json()["models"][0]["available"], 20, "a worker is there")
    assert state(site, job) == "queued"
    assert api.get("/queues", headers=bearer("boss")).json()["data"][0]["pool"] == "null"
    assert api.request("POST", "/queues/null/resume", headers=bearer("boss")).json()["paused"] is False
    until(lambda: state(site, job) == "succeeded", 30, "it runs")
    api.problem("POST", "/queues/nowhere/pause", 404, "pool_not_found", headers=bearer("boss"))
    for method, path in (("GET", "/queues"), ("GET", "/dead"), ("GET", "/keys"), ("POST", "/dead/redrive"), ("POST", "/keys"),
                         ("POST", "/queues/null/pause"), ("POST", "/keys/x/revoke"), ("POST", f"/jobs/{job}/purge")):
        api.problem(method, path, 403, "forbidden_scope", headers=bearer("anna"))


def test_a_paused_pool_stays_paused_when_redis_is_lost(fresh, media):
    service = fresh()
    service.worker()
    api = service.api
    until(lambda: api.get("/capabilities").json()["models"][0]["available"], 20, "a worker is there")
    api.wait(api.submit(media.video, media.reference)["id"])
    assert api.request("POST", "/queues/null/pause").status_code == 200
    job = api.submit(media.video, media.reference)["id"]
    service.redis.wipe()
    until(lambda: api.get(f"/jobs/{job}").status_code == 200, 20, "restored")
    until(lambda: api.get("/capabilities").json()["models"][0]["available"], 20, "the worker is there again")
    assert api.get("/queues").json()["data"][0]["paused"] is True
    assert api.job(job)["state"] == "queued"
    assert api.request("POST", "/queues/null/resume").json()["paused"] is False
    assert api.wait(job)["state"] == "succeeded"
    assert not (service.folder / "store" / "pools").exists()


def test_dead_letters_are_listed_and_driven_again(site, media):
    api = site.api
    ids = fail_jobs(site, media, 3)
    page = api.get("/dead?limit=2", headers=bearer("boss")).json()
    assert [j["id"] for j in page["data"]] == ids[:0:-1] and page["has_more"]
    assert {j["key"] for j in page["data"]} == {"anna"} and page["data"][0]["error"]["code"]
    rest = api.get(f"/dead?after={page['next']}", headers=bearer("boss")).json()
    assert [j["id"] for j in rest["data"]] == ids[:1] and not rest["has_more"]
    unknown = "j0_01ARZ3NDEKTSV4RRFFQ69G5FAV"
    done = api.request("POST", "/dead/redrive", headers=bearer("boss"), json={"ids": [ids[0], unknown]}).json()
    assert done == {"redriven": [ids[0]], "refused": [{"id": unknown, "code": "job_not_found"}]}
    code = page["data"][0]["error"]["code"]
    assert api.request("POST", "/dead/redrive", headers=bearer("boss"), json={"code": "gpu_oom"}).json()["redriven"] == []
    done = api.request("POST", "/dead/redrive", headers=bearer("boss"), json={"code": code, "limit": 1}).json()
    assert done["redriven"] == [ids[1]], "the oldest first"
    assert api.request("POST", f"/jobs/{ids[2]}/retry", headers=bearer("boss")).status_code == 202
    api.problem("POST", f"/jobs/{ids[2]}/retry", 409, "job_not_failed", headers=bearer("boss"))
    site.worker()
    for job in ids:
        until(lambda: state(site, job) == "succeeded", 30, "it runs this time")
    assert api.get("/dead", headers=bearer("boss")).json()["data"] == []
    assert api.request("POST", "/dead/redrive", headers=bearer("boss"), json={"ids": ids}).json()["refused"] == \
        [{"id": job, "code": "job_not_failed"} for job in ids]


def test_purged_jobs_are_gone_for_their_owners(site, media):
    api = site.api
    ids = fail_jobs(site, media, 2)
    waiting = api.post_job(media.video, media.reference, headers=bearer("anna")).json()["id"]
    api.problem("POST", f"/jobs/{waiting}/purge", 409, "job_not_terminal", headers=bearer("boss"))
    done = api.request("POST", "/dead/purge", headers=bearer("boss"), json={"ids": [ids[0], waiting]}).json()
    assert done == {"purged": [ids[0]], "refused": [{"id": waiting, "code": "job_not_failed"}]}
    assert api.request("POST", f"/jobs/{ids[1]}/purge", headers=bearer("boss")).status_code == 204
    for job in ids:
        api.problem("GET", f"/jobs/{job}", 410, "job_purged", headers=bearer("anna"))
        api.problem("POST", f"/jobs/{job}/purge", 410, "job_purged", headers=bearer("boss"))
    left = [str(p.relative_to(site.folder / "store")) for p in (site.folder / "store").rglob("*") if p.is_file()]
    for job in ids:
        assert [p.rsplit("/", 1)[1] for p in left if job in p] == ["tombstone.json"], left


def test_keys_are_made_changed_rotated_and_revoked(site, media):
    api = site.api
    made = api.request("POST", "/keys", headers=bearer("boss"), json={
        "id": "carl", "scopes": ["submit", "read"], "limits": {"queued": 1}, "expires_at": "2099-01-01T00:00:00Z"})
    assert made.status_code == 201, made.text
    first = made.json()["secret"]
    stored = (site.folder / "store" / "keys" / "carl.json").read_text()
    assert first not in stored and hashlib.sha256(first.encode()).hexdigest() in stored
    assert api.post_job(media.video, media.reference, headers=bearer(first)).status_code == 202
    assert api.post_job(media.video, media.reference, headers=bearer(first)).json()["code"] == "quota_queued"
    changed = api.request("PUT", "/keys/carl", headers=bearer("boss"), json={"limits": {"queued": 5}}).json()
    assert changed["limits"]["queued"] == 5 and changed["scopes"] == ["submit", "read"]
    assert api.post_job(media.video, media.reference, headers=bearer(first)).status_code == 202
    second = api.request("POST", "/keys/carl/rotate", headers=bearer("boss"), json={"overlap_seconds": 3600}).json()["secret"]
    assert {api.get("/jobs", headers=bearer(s)).status_code for s in (first, second)} == {200}
    third = api.request("POST", "/keys/carl/rotate", headers=bearer("boss")).json()["secret"]
    api.problem("GET", "/jobs", 401, "unauthenticated", headers=bearer(first))
    api.problem("GET", "/jobs", 401, "key_expired", headers=bearer(second))
    assert len(api.get("/jobs", headers=bearer(third)).json()["data"]) == 2
    listed = api.get("/keys", headers=bearer("boss"))
    assert [(k["id"], k["source"]) for k in listed.json()["data"]] == [("anna", "file"), ("boss", "file"), ("carl", "api")]
    assert "la_" not in listed.text and hashlib.sha256(third.encode()).hexdigest() not in listed.text
    assert api.get("/keys/carl", headers=bearer("boss")).json()["revoked_at"] is None
    assert api.request("POST", "/keys/carl/revoke", headers=bearer("boss")).json()["revoked_at"]
    api.problem("GET", "/jobs", 401, "unauthenticated", headers=bearer(third))
    api.problem("POST", "/keys/carl/revoke", 409, "key_not_changeable", headers=bearer("boss"))
    api.problem("POST", "/keys", 409, "key_exists", headers=bearer("boss"), json={"id": "carl"})
    api.problem("POST", "/keys/anna/revoke", 409, "key_not_changeable", headers=bearer("boss"))
    api.problem("PUT", "/keys/nobody", 404, "key_not_found", headers=bearer("boss"), json={})


def test_every_api_and_every_start_knows_the_keys(site, tmp_path):
    from conftest import Api
    secret = site.api.request("POST", "/keys", headers=bearer("boss"), json={"scopes": ["read"]}).json()["secret"]
    with Api(tmp_path / "second", site.redis.url, site.store, keys=tmp_path / "keys") as second:
        until(lambda: second.get("/jobs", headers=bearer(secret)).status_code == 200, what="known at the start")
        other = second.request("POST", "/keys", headers=bearer("boss"), json={"id": "other"}).json()["secret"]
        until(lambda: site.api.get("/jobs", headers=bearer(other)).status_code == 200, 2, "known elsewhere")
        assert second.request("POST", "/keys/other/revoke", headers=bearer("boss")).status_code == 200
        until(lambda: site.api.get("/jobs", headers=bearer(other)).status_code == 401, 2, "revoked elsewhere")
    site.redis.wipe()
    site.api.restart()
    until(lambda: site.api.get("/jobs", headers=bearer(secret)).status_code == 200, what="Redis is not where keys are")
    site.api.signal(signal.SIGHUP)
    assert site.api.get("/jobs", headers=bearer(secret)).status_code == 200


@pytest.mark.parametrize("body, field", [
    ({"scopes": ["all"]}, "scopes"), ({"scopes": []}, "scopes"), ({"limits": {"rate": 1}}, "limits/rate"),
    ({"limits": {"queued": -1}}, "limits/queued"), ({"expires_at": "soon"}, "expires_at"), ({"id": "a b"}, "id"), ({"name": "x"}, "name")])
def test_a_wrong_key_is_refused(site, body, field):
    problem = site.api.problem("POST", "/keys", 422, "params_invalid", headers=bearer("boss"), json=body)
    assert problem["errors"][0]["field"] == field
