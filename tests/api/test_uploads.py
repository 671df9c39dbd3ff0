"""Resumable uploads: tus 1.0, and jobs made of what was uploaded."""
import base64
import hashlib
import socket
import struct

import wire
from support.longanim import make_image, make_video, until

TUS = {"Tus-Resumable": "1.0.0"}
CHUNK = {**TUS, "Content-Type": "application/offset+octet-stream"}


def checksum(data):
    return "sha256 " + base64.b64encode(hashlib.sha256(data).digest()).decode()


def begin(api, length, **headers):
    response = api.request("POST", "/uploads", headers={**TUS, "Upload-Length": str(length), **headers})
    assert response.status_code == 201, response.text
    return response.headers["Location"]


def append(api, url, offset, data, **headers):
    return api.request("PATCH", url, data=data, headers={**CHUNK, "Upload-Offset": str(offset), **headers})


def offset_of(api, url):
    response = api.request("HEAD", url, headers=TUS)
    assert response.status_code == 200 and response.headers["Cache-Control"] == "no-store"
    return int(response.headers["Upload-Offset"])


def upload(api, data, pieces=3):
    url = begin(api, len(data))
    for n in range(pieces):
        start, end = len(data) * n // pieces, len(data) * (n + 1) // pieces
        response = append(api, url, start, data[start:end])
        assert response.status_code == 204 and response.headers["Upload-Offset"] == str(end)
    return url.rsplit("/", 1)[1]


def test_the_protocol_is_described(api):
    response = api.request("OPTIONS", "/uploads")
    assert response.status_code == 204
    assert response.headers["Tus-Version"] == "1.0.0" and response.headers["Tus-Checksum-Algorithm"] == "sha256"
    assert set(response.headers["Tus-Extension"].split(",")) == {"creation", "creation-with-upload", "expiration", "checksum",
                                                                 "termination"}
    assert int(response.headers["Tus-Max-Size"]) == api.get("/capabilities").json()["limits"]["upload_bytes"]


def test_a_job_is_made_of_uploads(service, media):
    api = service.api
    video = upload(api, media.video.read_bytes())
    reference = upload(api, media.reference.read_bytes(), 1)
    body = {"video": {"upload_id": video}, "reference": [{"upload_id": reference}] * 2, "params": {"seed": 9}}
    for _ in range(2):
        response = api.request("POST", "/jobs", json=body)
        assert response.status_code == 202, response.text
        job = response.json()
        assert job["input"]["video"]["sha256"] == media.video_sha256 and job["params"]["seed"] == 9
        assert len(job["input"]["references"]) == 2
    until(lambda: not list((service.folder / "api" / "spool").iterdir()), what="spool empty")


def test_a_form_and_uploads_are_the_same_request(api, media):
    video, reference = upload(api, media.video.read_bytes()), upload(api, media.reference.read_bytes())
    headers = {"Idempotency-Key": "form-or-upload"}
    first = api.post_job(media.video, media.reference, {"seed": 3}, headers=headers).json()["id"]
    again = api.request("POST", "/jobs", headers=headers, json={"video": {"upload_id": video}, "reference": [{"upload_id": reference}],
                                                                "params": {"seed": 3}})
    assert again.status_code == 202 and again.json()["id"] == first


def test_creation_with_upload(api):
    response = api.request("POST", "/uploads", data=b"hello", headers={**CHUNK, "Upload-Length": "11"})
    assert response.status_code == 201 and response.headers["Upload-Offset"] == "5"
    url = response.headers["Location"]
    assert append(api, url, 5, b" world").headers["Upload-Offset"] == "11"
    state = api.get(url).json()
    assert state["complete"] and state["offset"] == state["length"] == 11


def test_offsets_must_match(api):
    url = begin(api, 10)
    api.problem("PATCH", url, 409, "upload_offset_conflict", data=b"x", headers={**CHUNK, "Upload-Offset": "3"})
    assert append(api, url, 0, b"abc").status_code == 204
    api.problem("PATCH", url, 409, "upload_offset_conflict", data=b"x", headers={**CHUNK, "Upload-Offset": "0"})
    api.problem("PATCH", url, 413, "payload_too_large", data=b"12345678", headers={**CHUNK, "Upload-Offset": "3"})
    assert offset_of(api, url) == 3
    assert append(api, url, 3, b"").headers["Upload-Offset"] == "3"


def test_a_wrong_checksum_changes_nothing(api):
    url = begin(api, 6)
    assert append(api, url, 0, b"abc", **{"Upload-Checksum": checksum(b"abc")}).status_code == 204
    response = append(api, url, 3, b"xyz", **{"Upload-Checksum": checksum(b"abc")})
    assert response.status_code == 460 and response.json()["code"] == "media_hash_mismatch"
    assert offset_of(api, url) == 3
    api.problem("PATCH", url, 400, "bad_header", data=b"x", headers={**CHUNK, "Upload-Offset": "3", "Upload-Checksum": "md5 x"})


def test_every_answer_about_an_upload_names_the_protocol(api):
    url = begin(api, 3)
    answers = [api.request("POST", "/uploads", headers=TUS), api.request("HEAD", url, headers=TUS), append(api, url, 2, b"x"),
               append(api, url, 0, b"abc"), api.request("PATCH", url, headers={**TUS, "Content-Type": "text/plain"}, data=b"x"),
               api.request("DELETE", url, headers=TUS), api.request("HEAD", url, headers=TUS)]
    assert all(r.headers.get("Tus-Resumable") == "1.0.0" for r in answers), [(r.status_code, r.headers) for r in answers]
    other = api.request("POST", "/uploads", headers={"Tus-Resumable": "0.2.2", "Upload-Length": "5"})
    assert other.status_code == 412 and other.headers["Tus-Version"] == other.headers["Tus-Resumable"] == "1.0.0"
    assert "Tus-Resumable" not in api.get("/jobs/x").headers


def test_wrong_requests_are_refused(api):
    for headers, status, code in (({}, 400, "bad_header"), ({"Upload-Length": "0"}, 400, "bad_header"),
                                  ({"Upload-Length": "x"}, 400, "bad_header"), ({"Upload-Defer-Length": "1"}, 400, "bad_header"),
                                  ({"Upload-Length": "99999999999999"}, 413, "payload_too_large"),
                                  ({"Upload-Length": "5", "Tus-Resumable": "0.2.2"}, 412, "precondition_failed")):
        api.problem("POST", "/uploads", status, code, headers={**TUS, **headers})
    url = begin(api, 5)
    api.problem("PATCH", url, 415, "unsupported_media_type", data=b"x", headers={**TUS, "Upload-Offset": "0", "Content-Type": "text/plain"})
    api.problem("PATCH", url, 400, "bad_header", data=b"x", headers=CHUNK)
    for unknown in ("/uploads/x", "/uploads/u0_01ARZ3NDEKTSV4RRFFQ69G5FAV"):
        api.problem("GET", unknown, 404, "upload_not_found")
        api.problem("DELETE", unknown, 404, "upload_not_found")
        api.problem("PATCH", unknown, 404, "upload_not_found", data=b"x", headers={**CHUNK, "Upload-Offset": "0"})


def test_termination_and_unfinished_uploads(service, media):
    api = service.api
    url = begin(api, 5)
    upload_id = url.rsplit("/", 1)[1]
    body = {"video": {"upload_id": upload_id}, "reference": [{"upload_id": upload_id}]}
    problem = api.problem("POST", "/jobs", 409, "upload_offset_conflict", json=body)
    assert problem["errors"][0]["field"] == "video"
    append(api, url, 0, b"abc")
    assert api.request("DELETE", url, headers=TUS).status_code == 204
    api.problem("GET", url, 404, "upload_not_found")
    assert not list(service.folder.glob(f"store/uploads/*/{upload_id}/*"))


def test_expired_uploads_are_410(fresh):
    api = fresh(upload_age_ms=1000).api
    url = begin(api, 5)
    until(lambda: api.get(url).status_code == 410, what="expired")
    api.problem("PATCH", url, 410, "upload_expired", data=b"x", headers={**CHUNK, "Upload-Offset": "0"})


def test_a_cut_upload_is_resumed_byte_for_byte(api):
    data = bytes(range(256)) * 4096
    url = begin(api, len(data))
    cuts = 0
    while (offset := offset_of(api, url)) < len(data):
        head = (f"PATCH {url} HTTP/1.1\r\nHost: x\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: {offset}\r\n"
                f"Content-Type: application/offset+octet-stream\r\nContent-Length: {len(data) - offset}\r\n\r\n").encode()
        with wire.open_socket(api.base) as sock:
            sock.sendall(head + data[offset:offset + 65536])
            if cuts % 2:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        cuts += 1
        until(lambda: append(api, url, 0, b"", **{"Upload-Offset": str(offset_of(api, url))}).status_code == 204, what="lock is free")
        assert cuts < 100
    assert cuts > 5
    upload_id = url.rsplit("/", 1)[1]
    problem = api.request("POST", "/jobs", json={"video": {"upload_id": upload_id}, "reference": [{"upload_id": upload_id}]})
    assert problem.status_code == 415
    stored = b"".join(p.read_bytes() for p in sorted((api.folder.parent / "store").glob(f"uploads/*/{upload_id}/chunk-*")))
    assert stored == data


def test_two_at_once_on_one_upload(service):
    api = service.api
    url = begin(api, 100_000)
    head = (f"PATCH {url} HTTP/1.1\r\nHost: x\r\nUpload-Offset: 0\r\nContent-Type: application/offset+octet-stream\r\n"
            f"Content-Length: 100000\r\n\r\n").encode()
    with wire.open_socket(api.base) as sock:
        sock.sendall(head + b"x" * 1000)
        until(lambda: service.redis.command("KEYS", "{q}:lock:*" + url.split("/")[-1]), what="locked")
        assert append(api, url, 0, b"y").status_code == 409
        sock.sendall(b"x" * 99_000)
        assert wire.read_answer(sock).status == 204
    assert offset_of(api, url) == 100_000


def test_an_upload_goes_on_at_another_api(service, media, tmp_path):
    """Behind a balancer no two requests need to meet the same process."""
    from conftest import Api
    data = media.video.read_bytes()
    with Api(tmp_path / "second", service.redis.url, service.store) as second:
        until(lambda: second.ops.get("/readyz").status_code == 200, what="ready")
        url = begin(service.api, len(data))
        head = (f"PATCH {url} HTTP/1.1\r\nHost: x\r\nUpload-Offset: 0\r\nContent-Type: application/offset+octet-stream\r\n"
                f"Content-Length: 1000\r\n\r\n").encode()
        with wire.open_socket(service.api.base) as sock:
            sock.sendall(head + data[:500])
            until(lambda: service.redis.command("KEYS", "{q}:lock:*" + url.split("/")[-1]), what="locked")
            assert append(second, url, 0, data).status_code == 409
            sock.sendall(data[500:1000])
            assert wire.read_answer(sock).status == 204
        assert offset_of(second, url) == 1000
        assert append(second, url, 1000, data[1000:2000]).status_code == 204
        assert append(service.api, url, 2000, data[2000:]).status_code == 204
        reference = begin(second, media.reference.stat().st_size)
        assert append(service.api, reference, 0, media.reference.read_bytes()).status_code == 204
        job = second.request("POST", "/jobs", json={"video": {"upload_id": url.split("/")[-1]},
                                                    "reference": [{"upload_id": reference.split("/")[-1]}]})
        assert job.status_code == 202 and job.json()["input"]["video"]["sha256"] == media.video_sha256


def test_equal_files_of_one_key_are_stored_once(fresh, media, tmp_path):
    """A second job's inputs are second names of the first one's; either may go."""
    lines = "".join(f"{n} {hashlib.sha256(('secret-' + n).encode()).hexdigest()} submit,read\n" for n in ("anna", "bert"))
    (tmp_path / "keys").write_text(lines)
    service = fresh(keys=tmp_path / "keys")
    api = service.api
    video = make_video(tmp_path / "in.mp4", frames=40, width=320, height=240)
    reference = make_image(tmp_path / "ref.png", width=320, height=240)
    assert video.stat().st_size > 4096

    def post(name, **fields):
        answer = api.post_job(video, reference, headers={"Authorization": f"Bearer secret-{name}"}, **fields)
        assert answer.status_code == 202, answer.text
        return answer.json()["id"]

    def inode(job):
        return next((service.folder / "store" / "v1").glob(f"*/*/{job}/in/video.mp4")).stat().st_ino
    first, second, other = post("anna", seed=1), post("anna", seed=2), post("bert", seed=1)
    assert inode(first) == inode(second) != inode(other)
    mine = {"Authorization": "Bearer secret-anna"}
    api.request("POST", f"/jobs/{first}/cancel", headers=mine)
    assert api.request("DELETE", f"/jobs/{first}", headers=mine).status_code == 204
    third = post("anna", seed=3)
    service.worker()
    for job in (second, third):
        until(lambda: api.get(f"/jobs/{job}", headers=mine).json()["state"] == "succeeded", 60, "done")
