"""GET, list, cancel, delete, retry: the life of a job as a client sees it, without a worker unless it must run."""
import re
import threading
import time

import pytest

from support.longanim import until

UNKNOWN = "j0_01ARZ3NDEKTSV4RRFFQ69G5FAV"


def canceled(api, media, **fields):
    job = api.submit(media.video, media.reference, **fields)
    response = api.request("POST", f"/jobs/{job['id']}/cancel")
    assert response.status_code == 200
    return response.json()


def test_unknown_and_malformed_ids_are_the_same_404(api):
    seen = set()
    for path in (UNKNOWN, "x", "j0_" + "A" * 200, "j0_01ARZ3NDEKTSV4RRFFQ69G5FA", "%F0%9F%98%80"):
        problem = api.problem("GET", f"/jobs/{path}", 404, "job_not_found")
        seen.add((problem["title"], problem["detail"]))
        for method, end in (("GET", "/result"), ("GET", "/events"), ("POST", "/cancel"), ("DELETE", ""), ("POST", "/retry")):
            api.problem(method, f"/jobs/{path}{end}", 404, "job_not_found")
    assert len(seen) == 1


def test_paths_have_a_versioned_twin(api, media):
    job = api.submit(media.video, media.reference)
    assert api.get(f"/jobs/{job['id']}").json()["id"] == api.get(f"/v1/jobs/{job['id']}").json()["id"]
    assert api.get(job["urls"]["self"]).json()["id"] == job["id"]
    api.problem("GET", "/v1/v1/jobs", 404, "route_not_found")
    api.problem("GET", "/", 404, "route_not_found")
    api.problem("PATCH", f"/jobs/{job['id']}", 405, "method_not_allowed")


def test_polling_is_conditional_and_advised(api, media):
    job = api.submit(media.video, media.reference)
    first = api.get(f"/jobs/{job['id']}")
    assert 1 <= int(first.headers["Retry-After"]) <= 15
    tag = first.headers["ETag"]
    for value in (tag, f'"x", W/{tag}', "*"):
        unchanged = api.get(f"/jobs/{job['id']}", headers={"If-None-Match": value})
        assert unchanged.status_code == 304 and not unchanged.content
        assert unchanged.headers["ETag"] == tag and unchanged.headers["Retry-After"]
    assert api.get(f"/jobs/{job['id']}", headers={"If-None-Match": '"v0"'}).status_code == 200
    api.request("POST", f"/jobs/{job['id']}/cancel")
    ended = api.get(f"/jobs/{job['id']}", headers={"If-None-Match": tag})
    assert ended.status_code == 200 and "Retry-After" not in ended.headers
    assert api.request("HEAD", f"/jobs/{job['id']}").headers["Content-Length"] == ended.headers["Content-Length"]


def test_what_was_just_done_is_seen_at_once(api, media):
    for _ in range(20):
        job = api.submit(media.video, media.reference)
        assert api.job(job["id"])["state"] == "queued"
        api.request("POST", f"/jobs/{job['id']}/cancel")
        assert api.job(job["id"])["state"] == "canceled"


def test_a_long_poll_returns_when_the_job_moves(api, media):
    job = api.submit(media.video, media.reference)
    threading.Timer(0.4, lambda: api.session.post(f"{api.base}/jobs/{job['id']}/cancel")).start()
    start = time.monotonic()
    moved = api.get(f"/jobs/{job['id']}", headers={"Prefer": "wait=20"})
    assert 0.3 < time.monotonic() - start < 3
    assert moved.json()["state"] == "canceled"


def test_a_long_poll_ends_in_time_and_at_once_for_old_news(api, media):
    job = api.submit(media.video, media.reference)
    url, tag = f"/jobs/{job['id']}", f'"v{job["version"]}"'
    start = time.monotonic()
    assert api.get(url, headers={"Prefer": "wait=1"}).status_code == 200
    assert 0.9 < time.monotonic() - start < 2
    assert api.get(url, headers={"Prefer": "wait=1", "If-None-Match": tag}).status_code == 304
    start = time.monotonic()
    assert api.get(url, headers={"Prefer": "wait=30", "If-None-Match": '"v0"'}).status_code == 200
    api.request("POST", url + "/cancel")
    assert api.get(url, headers={"Prefer": "wait=30"}).json()["terminal"]
    assert time.monotonic() - start < 2


def test_the_list_is_paged_both_ways(fresh, media):
    api = fresh().api
    ids = [api.submit(media.video, media.reference, **{"tags.n": n})["id"] for n in range(7)]
    newest_first = ids[::-1]

    def page(query):
        body = api.get(f"/jobs?{query}").json()
        return [j["id"] for j in body["data"]], body
    assert page("")[0] == newest_first
    seen, cursor = [], ""
    while True:
        got, body = page(f"limit=3{cursor}")
        seen += got
        assert body["has_more"] == (body["next"] is not None)
        if not body["next"]:
            break
        cursor = f"&after={body['next']}"
    assert seen == newest_first
    got, second = page(f"limit=3&after={page('limit=3')[1]['next']}")
    assert page(f"limit=3&before={second['prev']}")[0] == newest_first[:3]
    assert page("order=asc")[0] == ids
    assert page("tag=n:4")[0] == [ids[4]]
    assert page("tag=n:none")[0] == []
    api.request("POST", f"/jobs/{ids[2]}/cancel")
    assert page("state=canceled")[0] == [ids[2]]
    assert ids[2] not in page("state=queued")[0]


@pytest.mark.parametrize("query,field", [("limit=0", "limit"), ("limit=101", "limit"), ("limit=x", "limit"), ("state=done", "state"),
                                         ("order=up", "order"), ("after=%25%25", "after"), ("after=a&before=b", "before"),
                                         ("tag=x", "tag"), ("stat=queued", "stat")])
def test_wrong_queries_are_422_and_named(api, query, field):
    problem = api.problem("GET", f"/jobs?{query}", 422, "params_invalid")
    assert problem["errors"][0]["field"] == field


def test_cancel_before_the_start_is_final(api, media):
    job = canceled(api, media)
    assert job["state"] == "canceled" and job["terminal"] and job["finished_at"]
    again = api.request("POST", f"/jobs/{job['id']}/cancel")
    assert again.status_code == 200 and again.json() == job
    api.problem("GET", f"/jobs/{job['id']}/result", 409, "job_has_no_result")
    api.problem("POST", f"/jobs/{job['id']}/retry", 409, "job_not_failed")


def test_delete_leaves_a_tombstone(service, media):
    api = service.api
    job = api.submit(media.video, media.reference)
    api.problem("DELETE", f"/jobs/{job['id']}", 409, "job_not_terminal")
    api.request("POST", f"/jobs/{job['id']}/cancel")
    assert api.request("DELETE", f"/jobs/{job['id']}").status_code == 204
    for method, end in (("GET", ""), ("GET", "/result"), ("GET", "/events"), ("GET", "/segments"), ("POST", "/cancel"),
                        ("POST", "/retry"), ("DELETE", "")):
        api.problem(method, f"/jobs/{job['id']}{end}", 410, "job_purged")
    assert job["id"] not in [j["id"] for j in api.get("/jobs?limit=100").json()["data"]]
    until(lambda: not [p for p in service.folder.glob(f"store/v1/*/*/{job['id']}/**/*")
                       if p.is_file() and p.name != "tombstone.json"], what="files removed")


def test_the_start_deadline_expires_a_job(api, media):
    response = api.post_job(media.video, media.reference, headers={"X-Start-Deadline": "1"})
    job = api.wait(response.json()["id"], {"expired"}, 10)
    assert job["terminal"]
    api.problem("GET", f"/jobs/{job['id']}/result", 409, "job_has_no_result")


def test_the_trace_of_the_request_stays_with_the_job(api, media):
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    headers = {"traceparent": f"00-{trace}-00f067aa0ba902b7-01"}
    assert api.post_job(media.video, media.reference, headers=headers).json()["trace_id"] == trace
    assert api.problem("GET", "/jobs/x", 404, "job_not_found", headers=headers)["trace_id"] == trace
    other = api.problem("GET", "/jobs/x", 404, "job_not_found", headers={"traceparent": "00-" + "0" * 32 + "-00f067aa0ba902b7-01"})
    assert other["trace_id"] != "0" * 32 and len(other["trace_id"]) == 32
    # nobody named a trace: the job has one of its own all the same
    made = [api.post_job(media.video, media.reference).json()["trace_id"] for _ in range(2)]
    assert all(re.fullmatch("[0-9a-f]{32}", t) for t in made) and made[0] != made[1]


def test_job_documents_stay_small(api, media):
    job = api.submit(media.video, [media.reference] * 4, prompt="x" * 2000)
    assert len(api.get(f"/jobs/{job['id']}").content) < 4096 + 2000
