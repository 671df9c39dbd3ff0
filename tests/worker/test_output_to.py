"""Results sent to a bucket of the user's, beside the service's own store."""
import hashlib
import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from support import longanim  # noqa: E402
from support.longanim import until  # noqa: E402


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("to")
    with longanim.S3(folder / "s3") as s3, longanim.Redis(folder / "redis") as redis:
        query = s3.url.split("?")[1]
        settings = {"lease_ms": 4000, "beat_ms": 300, "retry_base_ms": 50, "output_to": f"s3://test-bucket/out/{{key}}?{query}",
                    **s3.environment}
        store = f"file:{folder}/store"
        with longanim.Api(folder / "api", redis.url, store, **settings) as api, \
                longanim.Worker(folder / "worker", redis.url, store, **settings) as worker:
            until(lambda: api.ops.get("/readyz").status_code == 200, what="ready")
            api.s3, api.worker = s3, worker
            api.video, api.reference = longanim.make_video(folder / "in.mp4"), longanim.make_image(folder / "ref.png")
            yield api


def test_the_result_is_there_under_the_jobs_name(site):
    assert site.get("/v1/capabilities").json()["key"]["output_to"] == ["s3://test-bucket/out/local"]
    job = site.wait(site.submit(site.video, site.reference, params={"output": {"to": "s3://test-bucket/out/local/shots/12"}})["id"])
    assert job["state"] == "succeeded" and job["params"]["output"]["to"] == "s3://test-bucket/out/local/shots/12"
    key = f"out/local/shots/12/{job['id']}.mp4"
    assert key in site.s3.keys()
    import requests  # the bucket wants signatures; curl makes them
    assert requests.get(f"{site.s3.endpoint}/test-bucket/{key}").status_code == 403
    import subprocess
    access, secret = site.s3.environment.values()
    data = subprocess.run(["curl", "-s", "--user", f"{access}:{secret}", "--aws-sigv4", "aws:amz:us-east-1:s3", "-H",
                           "x-amz-content-sha256: " + hashlib.sha256(b"").hexdigest(), f"{site.s3.endpoint}/test-bucket/{key}"],
                          stdout=subprocess.PIPE, timeout=20).stdout
    assert hashlib.sha256(data).hexdigest() == job["result"]["sha256"]
    assert site.get(f"/v1/jobs/{job['id']}/result").content == data, "the service has it, too"


@pytest.mark.parametrize("to", ["s3://test-bucket/out/other", "s3://test-bucket", "s3://test-bucket/out/local/../other", "file:/tmp/x"])
def test_other_places_are_refused(site, to):
    answer = site.post_job(site.video, site.reference, **{"output.to": to})
    assert answer.status_code == 422 and answer.json()["errors"][0]["field"] == "/output/to", answer.text


def test_a_place_that_is_away_is_waited_for(site):
    site.s3.kill()
    job = site.submit(site.video, site.reference, params={"output": {"to": "s3://test-bucket/out/local"}})["id"]
    until(lambda: [e for e in site.worker.events("job.waits") if e["job"] == job], 30, "the worker has tried")
    assert site.job(job)["state"] in ("running", "waiting")
    site.s3.start()
    done = site.wait(job, seconds=60)
    assert done["state"] == "succeeded" and done["attempt"] <= 1, done
    assert any(re.fullmatch(f"out/local/{job}.mp4", key) for key in site.s3.keys())
