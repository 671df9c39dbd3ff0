"""POST /jobs: what is accepted, what is refused and how, and that one key makes one job."""
import base64
import hashlib
import json
import threading
import time

import pytest
import requests

import wire
from support.longanim import make_image, until


def digest(data):
    return "sha-256=:" + base64.b64encode(hashlib.sha256(data).digest()).decode() + ":"


def form(parts, boundary=b"B", preamble=b"", epilogue=b"\r\n"):
    """A multipart body by hand: parts are (headers, content)."""
    body = preamble
    for headers, content in parts:
        body += b"--" + boundary + b"\r\n" + b"".join(h + b"\r\n" for h in headers) + b"\r\n" + content + b"\r\n"
    return body + b"--" + boundary + b"--" + epilogue


def file_part(name, content, *more):
    return ([b'Content-Disposition: form-data; name="%s"; filename="a.bin"' % name.encode(), *more], content)


def whole(media, *more):
    return [file_part("video", media.video.read_bytes()), file_part("reference", media.reference.read_bytes()), *more]


def send(api, body, content_type="multipart/form-data; boundary=B", **headers):
    return api.request("POST", "/jobs", data=body, headers={"Content-Type": content_type, **headers})


def code_of(response):
    return response.status_code, response.json().get("code")


def spooled(service):
    return list((service.folder / "api" / "spool").iterdir())


# ---- what is accepted ----

def test_a_job_is_accepted_and_can_be_read_back(api, media):
    response = api.post_job(media.video, media.reference, {"prompt": "a café", "tags": {"shot": "12"}}, seed=7)
    job = response.json()
    assert response.status_code == 202
    assert response.headers["Location"] == f"/v1/jobs/{job['id']}"
    assert int(response.headers["Retry-After"]) >= 1
    assert job["state"] == "queued" and not job["terminal"] and job["version"] >= 1
    assert job["params"]["prompt"] == "a café" and job["params"]["seed"] == 7 and job["tags"] == {"shot": "12"}
    assert job["input"]["video"]["sha256"] == media.video_sha256
    assert (job["input"]["video"]["frames"], job["input"]["video"]["fps"]) == (8, "24/1")
    assert api.get(response.headers["Location"]).json()["id"] == job["id"]
    assert api.get(f"/jobs/{job['id']}").headers["ETag"] == f'"v{job["version"]}"'


def test_the_drawn_seed_is_told_and_a_great_one_comes_back_exactly(api, media):
    assert 0 <= api.submit(media.video, media.reference)["params"]["seed"] < 2 ** 63
    assert api.submit(media.video, media.reference, seed=2 ** 63 - 1)["params"]["seed"] == 2 ** 63 - 1
    assert api.submit(media.video, media.reference, {"seed": 7.0, "steps": 3.0})["params"]["seed"] == 7


def test_four_references_and_zips_are_fine(api, media, tmp_path):
    references = [make_image(tmp_path / f"r{n}.png", color=(n, 0, 0)) for n in range(4)]
    job = api.submit(media.zip, references, fps="24000/1001")
    assert len(job["input"]["references"]) == 4
    assert job["input"]["video"]["frames"] == 4 and job["input"]["video"]["fps"] == "24000/1001"


@pytest.mark.parametrize("content_type,boundary,around", [
    ('multipart/form-data; boundary="a b:c"; charset=utf-8', b"a b:c", {}),
    ("multipart/form-data; charset=utf-8; boundary=X", b"X", {"preamble": b"This is a message.\r\n"}),
    ("Multipart/Form-Data; Boundary=X", b"X", {"epilogue": b"\r\nlast words\r\n--X\r\n"}),
    ("multipart/form-data; boundary=X", b"X", {"epilogue": b""}),
])
def test_unusual_but_legal_multipart_is_understood(api, media, content_type, boundary, around):
    parts = whole(media, ([b"content-disposition:form-data;name=seed"], b"5"))
    response = send(api, form(parts, boundary, **around), content_type)
    assert response.status_code == 202, response.text
    assert response.json()["params"]["seed"] == 5


def test_a_chunked_body_is_accepted(api, media):
    body = form(whole(media))
    response = send(api, (body[n:n + 100] for n in range(0, len(body), 100)))
    assert response.status_code == 202, response.text


def test_digests_are_checked(api, media):
    body = form(whole(media))
    assert send(api, body, **{"Repr-Digest": digest(body)}).status_code == 202
    assert code_of(send(api, body, **{"Repr-Digest": digest(b"x")})) == (422, "media_hash_mismatch")
    assert code_of(send(api, body, **{"Repr-Digest": "sha-256=:x:"})) == (400, "bad_header")
    for content, expected in ((media.video.read_bytes(), 202), (b"other", 422)):
        parts = whole(media)
        parts[0][0].append(b"Content-Digest: " + digest(content).encode())
        assert send(api, form(parts)).status_code == expected


# ---- what is refused ----

@pytest.mark.parametrize("fields,params,status,code,field", [
    ({"stepz": 5}, None, 422, "params_invalid", "steps"),
    ({}, {"promt": "x"}, 422, "params_invalid", "prompt"),
    ({}, {"output": {"fmt": "mp4"}}, 422, "params_invalid", "output"),
    ({"steps": 0}, None, 422, "params_invalid", "steps"),
    ({"steps": 201}, None, 422, "params_invalid", "steps"),
    ({"seed": -1}, None, 422, "params_invalid", "seed"),
    ({"seed": 2 ** 63}, None, 422, "params_invalid", "seed"),
    ({"seed": "7.5"}, None, 422, "params_invalid", "seed"),
    ({}, {"seed": None}, 422, "params_invalid", "seed"),
    ({}, {"seed": "7"}, 422, "params_invalid", "seed"),
    ({"seed": 7}, {"seed": 7}, 422, "params_invalid", "seed"),
    ({"prompt": "é" * 1001}, None, 422, "params_invalid", "prompt"),
    ({}, {"size": {"width": 100, "height": 64}}, 422, "params_invalid", "size"),
    ({}, {"tags": {"a": 1}}, 422, "params_invalid", "tags"),
    ({"priority": 10}, None, 422, "params_invalid", "priority"),
    ({"model": "nul"}, None, 422, "model_unknown", "model"),
    ({}, [], 422, "params_invalid", "params"),
])
def test_wrong_parameters_are_422_and_named(api, media, fields, params, status, code, field):
    response = api.post_job(media.video, media.reference, params, **fields)
    assert code_of(response) == (status, code), response.text
    assert field in json.dumps(response.json()["errors"])


def test_broken_json_is_400(api, media):
    for text in (b"{", b'{"seed": 1, "seed": 2}', b"{} x", b'{"prompt": "\\ud800"}', b""):
        parts = whole(media, ([b'Content-Disposition: form-data; name="params"'], text))
        assert code_of(send(api, form(parts))) == (400, "bad_request"), text


def test_missing_and_repeated_parts_are_422(api, media):
    video, reference = whole(media)
    for parts, code, field in (([reference], "part_missing", "video"), ([video], "part_missing", "reference"),
                               ([], "part_missing", "video"),
                               ([video, video, reference], "part_duplicate", "video"),
                               ([video] + [reference] * 5, "part_duplicate", "reference"),
                               (whole(media, ([b'Content-Disposition: form-data; name="seed"'], b"1"),
                                      ([b'Content-Disposition: form-data; name="seed"'], b"2")), "part_duplicate", "seed")):
        response = send(api, form(parts))
        assert code_of(response) == (422, code), response.text
        assert response.json()["errors"][0]["field"] == field
    many = [([b'Content-Disposition: form-data; name="tags.t%d"' % n], b"x") for n in range(33)]
    assert code_of(send(api, form(many))) == (422, "too_many_parts")


def test_malformed_multipart_is_400(api, media):
    body = form(whole(media))
    assert code_of(send(api, body[:-10])) == (400, "multipart_truncated")
    assert code_of(send(api, body[:500])) == (400, "multipart_truncated")
    assert code_of(send(api, b"")) == (400, "multipart_truncated")
    assert code_of(send(api, body, "multipart/form-data; boundary=OTHER")) == (400, "multipart_malformed")
    assert code_of(send(api, body, "multipart/form-data")) == (400, "multipart_malformed")
    assert code_of(send(api, body.replace(b"\r\n", b"\n"))) == (400, "multipart_malformed")
    assert code_of(send(api, body, "text/plain")) == (415, "unsupported_media_type")


def test_media_errors_come_in_the_answer(api, media, tmp_path):
    text = tmp_path / "not.mp4"
    text.write_bytes(b"this is no video at all, only words" * 20)
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(media.video.read_bytes()[:media.video.stat().st_size // 3])
    assert code_of(api.post_job(text, media.reference)) == (415, "media_container_refused")
    response = api.post_job(cut, media.reference)
    assert response.status_code == 422 and response.json()["code"] in ("media_truncated", "media_unreadable")
    response = api.post_job(media.video, media.video)
    assert response.status_code in (415, 422)
    assert response.json()["errors"][0]["field"] == "reference/0"


def test_malformed_headers_are_400(api, media):
    for header, value in (("X-Job-Deadline", "soon"), ("X-Job-Deadline", "0"), ("X-Start-Deadline", "1.5"),
                          ("X-Start-Deadline", "-3"), ("Idempotency-Key", "x" * 300)):
        response = api.request("POST", "/jobs", files=media.files(), headers={header: value})
        assert code_of(response) == (400, "bad_header")
        assert response.json()["errors"][0]["field"] == header


def test_too_large_uploads_are_413_early_and_late(fresh, media):
    service = fresh(max_upload_bytes=3000)
    assert media.video.stat().st_size > 3000
    assert code_of(service.api.post_job(media.video, media.reference)) == (413, "payload_too_large")
    body = form([file_part("video", b"x" * 5_000_000)])
    assert code_of(send(service.api, (body[n:n + 65536] for n in range(0, len(body), 65536)))) == (413, "payload_too_large")
    head = (b"POST /jobs HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=B\r\nExpect: 100-continue\r\n"
            b"Content-Length: 99999999999\r\n\r\n")
    answers, closed = wire.exchange(service.api.base, head)
    assert [a.status for a in answers] == [413] and closed
    assert service.api.get("/capabilities").json()["limits"]["upload_bytes"] == 3000


def test_a_json_body_is_checked(api):
    def post(text):
        return code_of(api.request("POST", "/jobs", data=text, headers={"Content-Type": "application/json"}))
    assert post(b"{") == (400, "bad_request")
    assert post(b"[]") == (422, "params_invalid")
    assert post(b"{}") == (422, "part_missing")
    assert post(b'{"video": {"upload_id": 3}}') == (422, "params_invalid")
    assert post(b'{"video": {"url": "http://x"}, "reference": []}') == (422, "params_invalid")
    assert post(b'{"vidio": {}}') == (422, "params_invalid")
    assert post(b'{"video": {"upload_id": "u0_x"}, "reference": [{"upload_id": "u0_y"}]}') == (404, "upload_not_found")


def test_nothing_refused_leaves_a_file_behind(service, media):
    body = form(whole(media))
    send(service.api, body[:-10])
    with wire.open_socket(service.api.base) as sock:
        sock.sendall(b"POST /jobs HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=B\r\nContent-Length: %d\r\n\r\n"
                     % len(body) + body[:-200])
    until(lambda: not spooled(service), what="spool empty")


def test_a_draining_server_takes_no_jobs(fresh, media):
    service = fresh()
    assert service.api.ops.request("POST", "/drain").status_code == 202
    assert service.api.ops.get("/readyz").status_code == 503
    assert code_of(service.api.post_job(media.video, media.reference)) == (503, "draining")
    assert service.api.get("/jobs").status_code == 200


# ---- idempotency ----

def test_a_repeat_gives_the_same_job(api, media):
    headers = {"Idempotency-Key": "repeat-1"}
    first = api.post_job(media.video, media.reference, {"prompt": "x"}, headers=headers)
    again = api.post_job(media.video, media.reference, {"prompt": "x"}, headers=headers)
    assert first.status_code == again.status_code == 202
    assert again.json()["id"] == first.json()["id"] and again.headers["Location"] == first.headers["Location"]
    assert again.headers["Idempotency-Replayed"] == "true" and "Idempotency-Replayed" not in first.headers
    assert again.json()["params"]["seed"] == first.json()["params"]["seed"]


def test_a_key_used_for_something_else_is_refused(api, media):
    headers = {"Idempotency-Key": "other-1"}
    assert api.post_job(media.video, media.reference, headers=headers, seed=1).status_code == 202
    for change in ({"seed": 2}, {"seed": 1, "priority": 6}, {"seed": 1, "tags.a": "b"}):
        assert code_of(api.post_job(media.video, media.reference, headers=headers, **change)) == (422, "idempotency_key_reused")
    assert code_of(api.post_job(media.zip, media.reference, headers=headers, seed=1)) == (422, "idempotency_key_reused")


def test_a_key_is_free_again_after_a_refusal(api, media):
    headers = {"Idempotency-Key": "freed-1"}
    assert api.post_job(media.video, media.reference, headers=headers, steps=999).status_code == 422
    assert api.post_job(media.video, media.reference, headers=headers, steps=9).status_code == 202


def test_a_second_request_meanwhile_is_told_so(api, media):
    """And the key is free as soon as the first one's client is gone."""
    body = form(whole(media))
    head = (b"POST /jobs HTTP/1.1\r\nHost: x\r\nIdempotency-Key: busy-1\r\nContent-Type: multipart/form-data; boundary=B\r\n"
            b"Content-Length: %d\r\n\r\n" % len(body))
    with wire.open_socket(api.base) as sock:
        sock.sendall(head + body[:100])
        time.sleep(0.2)
        response = api.post_job(media.video, media.reference, headers={"Idempotency-Key": "busy-1"})
        assert code_of(response) == (409, "idempotency_in_progress")
        assert response.headers["Retry-After"]
    until(lambda: api.post_job(media.video, media.reference, headers={"Idempotency-Key": "busy-1"}).status_code == 202,
          what="the key is free")


@pytest.mark.parametrize("cut", ["in the headers", "in a file", "before the last byte", "before the answer"])
def test_one_job_wherever_the_connection_is_cut(service, media, cut):
    key = "cut-" + cut.replace(" ", "-")
    body = form(whole(media))
    head = (b"POST /jobs HTTP/1.1\r\nHost: x\r\nIdempotency-Key: %s\r\nContent-Type: multipart/form-data; boundary=B\r\n"
            b"Content-Length: %d\r\n\r\n" % (key.encode(), len(body)))
    data = {"in the headers": head[:60], "in a file": head + body[:len(body) // 2], "before the last byte": head + body[:-1],
            "before the answer": head + body}[cut]
    with wire.open_socket(service.api.base) as sock:
        sock.sendall(data)

    def again():
        response = send(service.api, body, **{"Idempotency-Key": key})
        return response if response.status_code != 409 else None
    first = until(again, what="the key is free")
    assert first.status_code == 202
    assert again().json()["id"] == first.json()["id"]
    jobs = service.api.get("/jobs?limit=100").json()["data"]
    assert len([j for j in jobs if j["id"] == first.json()["id"]]) == 1


def test_many_at_once_under_one_key_make_one_job(api, media):
    results = []

    def post():
        response = requests.post(api.base + "/jobs", files=media.files(), headers={"Idempotency-Key": "crowd-1"}, timeout=30)
        results.append((response.status_code, response.json().get("id"), response.json().get("code")))
    threads = [threading.Thread(target=post) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ids = {job for status, job, _ in results if status == 202}
    assert len(ids) == 1
    assert all(code == "idempotency_in_progress" for status, _, code in results if status != 202), results
