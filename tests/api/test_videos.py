"""The videos API as OpenAI's own Python package speaks it."""
import base64
import hashlib

import openai
import pytest
from openai.types import Video

from support.longanim import decode_video, until


@pytest.fixture(scope="module")
def client(service):
    service.worker()
    with openai.OpenAI(base_url=service.api.base + "/v1", api_key="none", max_retries=0) as made:
        yield made


def upload(api, path):
    data = path.read_bytes()
    made = api.request("POST", "/uploads", data=data, headers={
        "Tus-Resumable": "1.0.0", "Upload-Length": str(len(data)), "Content-Type": "application/offset+octet-stream"})
    assert made.status_code == 201, made.text
    return made.headers["Location"].rsplit("/", 1)[1]


def test_create_poll_and_download(client, media, tmp_path):
    with open(media.video, "rb") as video, open(media.reference, "rb") as reference:
        made = client.post("/videos", cast_to=Video, body={"prompt": "A circle rolls.", "seconds": "4"},
                           files=[("video", video), ("input_reference", reference)],
                           options={"headers": {"Content-Type": "multipart/form-data"}})
    assert made.object == "video" and made.status in ("queued", "in_progress") and made.prompt == "A circle rolls."
    done = client.videos.poll(made.id, poll_interval_ms=50)
    assert done.status == "completed" and done.progress == 100 and done.error is None
    assert done.size == "64x48" and abs(float(done.seconds) - 8 / 24) < 1e-4 and done.model == "null"
    assert isinstance(done.created_at, int) and done.created_at <= done.completed_at < done.expires_at
    content = client.videos.download_content(made.id)
    content.write_to_file(tmp_path / "out.mp4")
    assert len(decode_video(tmp_path / "out.mp4", 64, 48)) == 8
    assert client.videos.download_content(made.id, variant="thumbnail").read()[:3] == b"\xff\xd8\xff"


def test_the_sdk_creates_from_uploads(client, api, media):
    """`create` has no place for a second file: the line art is named as an upload, beside any parameter of ours."""
    line_art, reference = upload(api, media.video), upload(api, media.reference)
    with open(media.reference, "rb") as picture:
        one = client.videos.create(prompt="p", input_reference=picture, size="64x48", seconds="8",
                                   extra_body={"video": {"upload_id": line_art}, "seed": 7, "output": {"format": "webm"}})
    two = client.videos.create(prompt="p", size="64x48", extra_body={
        "video": {"upload_id": line_art}, "input_reference": {"upload_id": reference}, "seed": 7, "output": {"format": "webm"}})
    jobs = [api.job(v.id) for v in (one, two)]
    assert jobs[0]["params"] == jobs[1]["params"] and jobs[0]["params"]["seed"] == 7
    assert jobs[0]["params"]["size"] == {"width": 64, "height": 48} and jobs[0]["params"]["output"]["format"] == "webm"
    assert [j["input"]["video"]["sha256"] for j in jobs] == [media.video_sha256] * 2
    for video in (one, two):
        assert client.videos.poll(video.id, poll_interval_ms=50).status == "completed"
    assert client.videos.download_content(one.id).response.headers["content-type"] == "video/webm"


def test_list_pages_and_delete(client, api, media):
    ids = [api.submit(media.video, media.reference)["id"] for _ in range(3)]
    for job in ids:
        api.wait(job)
    page = client.videos.list(limit=2)
    assert [v.id for v in page.data] == ids[:0:-1] and page.has_more
    walked = [v.id for v in client.videos.list(limit=2, order="asc")]
    assert walked[-3:] == ids and len(walked) == len(set(walked))
    gone = client.videos.delete(ids[0])
    assert gone.deleted and gone.id == ids[0] and gone.object == "video.deleted"
    with pytest.raises(openai.APIStatusError) as e:
        client.videos.retrieve(ids[0])
    assert e.value.status_code == 410 and e.value.code == "job_purged"


def test_errors_reach_the_sdk_with_their_codes(client, api, media):
    with pytest.raises(openai.NotFoundError) as e:
        client.videos.retrieve("j0_01ARZ3NDEKTSV4RRFFQ69G5FAV")
    assert e.value.code == "job_not_found"
    with pytest.raises(openai.UnprocessableEntityError) as e:
        client.videos.create(prompt="p", input_reference=media.reference)
    assert e.value.code == "part_missing"
    line_art = upload(api, media.video)
    for body, code in (({"seed": -1}, "params_invalid"), ({"model": "sora-2"}, "model_unknown"), ({"nonsense": 1}, "params_invalid")):
        with pytest.raises(openai.UnprocessableEntityError) as e:
            client.videos.create(prompt="p", input_reference=media.reference, extra_body={"video": {"upload_id": line_art}, **body})
        assert e.value.code == code, body
    with pytest.raises(openai.NotFoundError) as e:
        client.videos.create(prompt="p", input_reference=media.reference, extra_body={"video": {"upload_id": "u0_x"}})
    assert e.value.code == "upload_not_found"


def test_jobs_without_a_result_are_failed(client, api, media):
    api.request("POST", "/queues/null/pause")
    job = api.submit(media.video, media.reference)["id"]
    with pytest.raises(openai.ConflictError) as e:
        client.videos.download_content(job)
    assert e.value.code == "result_not_ready"
    with pytest.raises(openai.ConflictError) as e:
        client.videos.delete(job)
    assert e.value.code == "job_not_terminal"
    api.request("POST", f"/jobs/{job}/cancel")
    api.request("POST", "/queues/null/resume")
    video = client.videos.retrieve(job)
    assert video.status == "failed" and video.error.code == "canceled", video


def test_an_idempotency_key_works_here_too(client, media, api):
    line_art = upload(api, media.video)
    make = dict(prompt="p", input_reference=("r.png", media.reference.read_bytes()), extra_body={"video": {"upload_id": line_art}},
                extra_headers={"Idempotency-Key": "once"})
    assert client.videos.create(**make).id == client.videos.create(**make).id


def test_both_shapes_are_one_job(client, api, media):
    """The digest that a form of ours carries is checked in this shape as well."""
    digest = base64.b64encode(hashlib.sha256(b"other").digest()).decode()
    parts = [("video", ("v.mp4", media.video.read_bytes(), "video/mp4", {"Content-Digest": f"sha-256=:{digest}:"})),
             ("input_reference", ("r.png", media.reference.read_bytes()))]
    api.problem("POST", "/videos", 422, "media_hash_mismatch", files=parts)
    made = api.request("POST", "/videos", files=[parts[1], ("video", ("v.mp4", media.video.read_bytes()))])
    assert made.status_code == 200 and made.headers["Location"] == "/v1/jobs/" + made.json()["id"]
    until(lambda: api.get("/videos/" + made.json()["id"]).json()["status"] == "completed", 30, "done")
