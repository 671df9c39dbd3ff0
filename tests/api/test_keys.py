"""API keys: who may do what, and that nobody sees what belongs to another key."""
import hashlib
import signal

import pytest

from support.longanim import until

SECRETS = {"anna": "submit,read", "bert": "submit,read,admin", "rita": "read", "sam": "submit", "olga": "read 2020-01-01T00:00:00Z"}


def line(name, scopes):
    return f"{name} {hashlib.sha256(('secret-' + name).encode()).hexdigest()} {scopes}\n"


def bearer(name):
    return {"Authorization": f"Bearer secret-{name}"}


@pytest.fixture(scope="module")
def keyed(tmp_path_factory):
    from conftest import Service
    folder = tmp_path_factory.mktemp("keyed")
    (folder / "keys").write_text("# test\n" + "".join(line(*row) for row in SECRETS.items()))
    with Service(folder, keys=folder / "keys") as made:
        yield made


def test_without_a_good_key_nothing_is_answered(keyed):
    api = keyed.api
    for headers in ({}, {"Authorization": "Bearer nobody"}, {"Authorization": "Basic secret-anna"}, {"Authorization": "Bearer "}):
        for method, path in (("GET", "/jobs"), ("POST", "/jobs"), ("GET", "/jobs/x"), ("GET", "/capabilities"), ("DELETE", "/jobs/x")):
            api.problem(method, path, 401, "unauthenticated", headers=headers)
    assert api.get("/jobs").headers["WWW-Authenticate"] == "Bearer"
    api.problem("GET", "/jobs", 401, "key_expired", headers=bearer("olga"))
    for path in ("/openapi.json", "/docs", "/problems/job_not_found"):
        assert api.get(path).status_code == 200


def test_scopes_are_kept(keyed, media):
    api = keyed.api
    job = api.post_job(media.video, media.reference, headers=bearer("anna")).json()["id"]
    api.problem("POST", "/jobs", 403, "forbidden_scope", headers=bearer("rita"), files=media.files())
    api.problem("GET", "/jobs", 403, "forbidden_scope", headers=bearer("sam"))
    api.problem("POST", f"/jobs/{job}/cancel", 403, "forbidden_scope", headers=bearer("rita"))
    api.problem("DELETE", f"/jobs/{job}", 403, "forbidden_scope", headers=bearer("rita"))
    api.problem("POST", f"/jobs/{job}/retry", 403, "forbidden_scope", headers=bearer("anna"))
    assert api.get("/capabilities", headers=bearer("rita")).json()["key"]["scopes"] == ["read"]


def test_other_keys_jobs_are_as_unknown_as_any(keyed, media):
    """Word for word: only the id that was asked for and the trace differ."""
    api = keyed.api
    job = api.post_job(media.video, media.reference, headers=bearer("anna")).json()["id"]
    assert api.get(f"/jobs/{job}", headers=bearer("anna")).status_code == 200

    def said(method, path):
        response = api.request(method, path, headers=bearer("bert"))
        problem = response.json()
        del problem["trace_id"]
        return (response.status_code, str(problem).replace(job, "ID").replace(unknown, "ID"),
                sorted(k for k in response.headers if k != "Date"), len(response.content))
    unknown = "j0_01ARZ3NDEKTSV4RRFFQ69G5FAV"
    for method, end in (("GET", ""), ("GET", "/result"), ("GET", "/events"), ("GET", "/segments"), ("GET", "/segments/0"), ("GET", "/preview"),
                        ("GET", "/receipt"), ("GET", "/logs"), ("GET", "/artifacts"), ("GET", "/artifacts/x.zip"), ("POST", "/cancel"),
                        ("DELETE", "")):
        assert said(method, f"/jobs/{job}{end}") == said(method, f"/jobs/{unknown}{end}"), (method, end)
    for method, end in (("GET", ""), ("GET", "/content"), ("GET", "/content?variant=thumbnail"), ("DELETE", "")):
        assert said(method, f"/videos/{job}{end}") == said(method, f"/videos/{unknown}{end}"), (method, end)
    upload = api.request("POST", "/uploads", headers={**bearer("anna"), "Upload-Length": "10"}).headers["Location"].rsplit("/", 1)[1]
    hook = api.request("POST", "/webhooks", headers=bearer("anna"), json={"url": "https://studio.example/x"}).json()["id"]
    strange = {upload: "u0_01ARZ3NDEKTSV4RRFFQ69G5FAV", hook: "wh_0123456789abcdef01234567"}

    def of(method, path, thing):
        response = api.request(method, path + thing, headers=bearer("bert"))
        problem = response.json()
        del problem["trace_id"]
        return response.status_code, str(problem).replace(thing, "ID"), len(response.content)
    for method, path, thing in (("GET", "/uploads/", upload), ("DELETE", "/uploads/", upload), ("GET", "/webhooks/", hook), ("DELETE", "/webhooks/", hook)):
        assert of(method, path, thing) == of(method, path, strange[thing]), (method, path)
        assert of(method, path, thing)[0] == 404
    assert api.get("/jobs", headers=bearer("bert")).json()["data"] == []
    api.request("POST", f"/jobs/{job}/cancel", headers=bearer("anna"))
    api.request("DELETE", f"/jobs/{job}", headers=bearer("anna"))
    assert said("GET", f"/jobs/{job}") == said("GET", f"/jobs/{unknown}"), "a deleted job is nobody else's business either"


def test_idempotency_keys_belong_to_an_api_key(keyed, media):
    ids = {keyed.api.post_job(media.video, media.reference, headers={**bearer(name), "Idempotency-Key": "same"}).json()["id"]
           for name in ("anna", "bert", "anna")}
    assert len(ids) == 2


def test_keys_are_read_again_on_sighup(keyed):
    api, path = keyed.api, keyed.folder / "keys"
    before = path.read_text()
    path.write_text(before + line("nina", "read"))
    api.problem("GET", "/jobs", 401, "unauthenticated", headers=bearer("nina"))
    api.signal(signal.SIGHUP)
    until(lambda: api.get("/jobs", headers=bearer("nina")).status_code == 200, what="the new key works")
    path.write_text("nonsense\n")
    api.signal(signal.SIGHUP)
    until(lambda: [e for e in api.events("api.keys") if e["level"] == "error"], what="the broken file is reported")
    assert api.get("/jobs", headers=bearer("nina")).status_code == 200, "the old keys stay"
    path.write_text(before)
    api.signal(signal.SIGHUP)
    until(lambda: api.get("/jobs", headers=bearer("nina")).status_code == 401, what="the key is gone")


def test_a_key_has_a_rate(fresh, tmp_path):
    keys = tmp_path / "keys"
    keys.write_text(line("anna", "read") + line("bert", "read"))
    api = fresh(keys=keys, rate_per_minute=30).api
    answers = [api.get("/jobs", headers=bearer("anna")) for _ in range(35)]
    assert [a.status_code for a in answers[:30]] == [200] * 30
    refused = answers[-1]
    assert refused.status_code == 429 and refused.json()["code"] == "rate_limited" and refused.json()["retryable"]
    assert refused.headers["RateLimit-Policy"] == '"default";q=30;w=60'
    assert refused.headers["RateLimit"].startswith('"default";r=0;t=')
    assert 1 <= int(refused.headers["Retry-After"]) <= 2
    assert api.get("/jobs", headers=bearer("bert")).status_code == 200
    assert api.get("/openapi.json").status_code == 200


def test_a_rate_is_one_rate_at_all_apis(fresh, tmp_path):
    from conftest import Api
    (tmp_path / "keys").write_text(line("anna", "read"))
    first = fresh(keys=tmp_path / "keys", rate_per_minute=30)
    with Api(tmp_path / "second", first.redis.url, first.store, keys=tmp_path / "keys", rate_per_minute=30) as second:
        assert [first.api.get("/jobs", headers=bearer("anna")).status_code for _ in range(25)] == [200] * 25
        def heard():
            answer = second.get("/jobs", headers=bearer("anna"))
            return int(answer.headers["RateLimit"].split(";")[1][2:]) <= 5
        until(heard, 5, "the other api knows")
        until(lambda: first.api.get("/jobs", headers=bearer("anna")).status_code == 429, 5, "refused at the first")
        until(lambda: second.get("/jobs", headers=bearer("anna")).status_code == 429, 5, "refused at the second")
        first.redis.wipe()
        refused = first.api.get("/jobs", headers=bearer("anna"))
        assert refused.status_code == 429, "what is counted here is not lost with Redis"


def test_a_key_follows_so_many_jobs_at_once(fresh, tmp_path, media):
    (tmp_path / "keys").write_text(line("anna", "submit,read") + line("bert", "submit,read streams=1"))
    api = fresh(keys=tmp_path / "keys", max_streams=3).api
    jobs = {name: api.post_job(media.video, media.reference, headers=bearer(name)).json()["id"] for name in ("anna", "bert")}

    def follow(name):
        return api.request("GET", f"/jobs/{jobs[name]}/events", headers=bearer(name), stream=True)
    streams = [follow("anna") for _ in range(3)]
    assert [s.status_code for s in streams] == [200] * 3
    refused = follow("anna")
    assert refused.status_code == 429 and refused.json()["code"] == "rate_limited" and "3 jobs" in refused.json()["detail"]
    assert follow("bert").status_code == 200 and follow("bert").status_code == 429
    assert api.request("POST", f"/jobs/{jobs['anna']}/cancel", headers=bearer("anna")).status_code == 200
    assert all(b"canceled" in s.content for s in streams)  # they have ended, and make room
    again = api.post_job(media.video, media.reference, headers=bearer("anna")).json()["id"]
    until(lambda: api.request("GET", f"/jobs/{again}/events", headers=bearer("anna"), stream=True).status_code == 200, 5, "room")


def test_without_keys_only_loopback_is_answered(fresh):
    service = fresh(listen="0.0.0.0:0")
    assert service.api.base.startswith("http://127.0.0.1:")
    assert service.api.events("api.no_keys")
