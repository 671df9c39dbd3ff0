"""The whole service over an S3 store: a real S3 server that checks signatures, behind a wire that sometimes stalls."""
import socket
import threading
import time

import pytest
import requests

import longanim


class Wire:
    """Forwards TCP from a port of its own; while `stall_until` lies ahead no byte moves; while `trouble_until` does, of
    three pieces that come from a client one is answered 503 and one tears the connection."""

    def __init__(self, target):
        self.target, self.stall_until, self.trouble_until, self.pieces, self.troubled = target, 0.0, 0.0, 0, 0
        self.always = False
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def stall(self, seconds):
        self.stall_until = time.monotonic() + seconds

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.create_connection(self.target)
            for pair in ((client, server, True), (server, client, False)):
                threading.Thread(target=self._pump, args=pair, daemon=True).start()

    def _trouble(self, source, sink):
        """Ends this connection with a refusal or with nothing."""
        self.pieces += 1
        if self.pieces % 3 == 0 and not self.always:
            return False
        self.troubled += 1
        if self.pieces % 3 == 1:
            source.sendall(b"HTTP/1.1 503 Slow Down\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        sink.shutdown(socket.SHUT_RDWR)
        source.shutdown(socket.SHUT_RDWR)
        return True

    def _pump(self, source, sink, from_client):
        try:
            while data := source.recv(65536):
                if from_client and time.monotonic() < self.trouble_until and self._trouble(source, sink):
                    return
                while (left := self.stall_until - time.monotonic()) > 0:
                    time.sleep(left)
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def close(self):
        self.listener.close()


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    """S3 behind a wire, Redis, api and one worker."""
    folder = tmp_path_factory.mktemp("s3")
    with longanim.S3(folder / "s3") as s3, longanim.Redis(folder / "redis") as redis:
        wire = Wire(("127.0.0.1", int(s3.endpoint.rsplit(":", 1)[1])))
        store = s3.url.replace(s3.endpoint, f"http%3A%2F%2F127.0.0.1%3A{wire.port}")
        settings = {"lease_ms": 4000, "beat_ms": 500, "sweep_ms": 300, **s3.environment}
        with longanim.Api(folder / "api", redis.url, store, **settings) as api, \
                longanim.Worker(folder / "worker", redis.url, store, models="null=null:delay_ms=10", **settings):
            longanim.until(lambda: api.ops.get("/readyz").status_code == 200, 20, "ready")
            api.wire, api.redis, api.s3, api.media = wire, redis, s3, folder
            longanim.make_video(folder / "in.mp4", frames=40)
            longanim.make_image(folder / "ref.png")
            yield api
        wire.close()


def submit(api, **fields):
    return api.submit(api.media / "in.mp4", api.media / "ref.png", **fields)["id"]


def test_a_job_runs_from_upload_to_result(cloud):
    job = cloud.wait(submit(cloud, seed=7))
    assert job["state"] == "succeeded", job["error"]
    result = cloud.get(f"/v1/jobs/{job['id']}/result")
    assert result.headers["ETag"] == f'"{job["result"]["sha256"]}"'
    part = cloud.get(f"/v1/jobs/{job['id']}/result", headers={"Range": "bytes=5-14"})
    assert (part.status_code, part.content) == (206, result.content[5:15])
    link = cloud.get(f"/v1/jobs/{job['id']}/result?redirect=1", allow_redirects=False)
    assert link.status_code == 302
    assert requests.get(link.headers["Location"], timeout=20).content == result.content


def test_a_stall_of_two_seconds_is_survived(cloud):
    undisturbed = cloud.wait(submit(cloud, seed=1))
    job = submit(cloud, seed=1)
    cloud.wait(job, {"running", "succeeded"})
    cloud.wire.stall(2)
    stalled = cloud.wait(job)
    assert stalled["state"] == "succeeded" and stalled["attempt"] == 1, stalled
    assert stalled["result"]["sha256"] == undisturbed["result"]["sha256"]


def test_jobs_survive_the_loss_of_redis(cloud):
    done = cloud.wait(submit(cloud, seed=2))
    waiting = [submit(cloud, seed=n) for n in range(3)]
    cloud.redis.wipe()
    assert all(cloud.wait(job)["state"] == "succeeded" for job in waiting)
    assert cloud.job(done["id"])["result"] == done["result"]


def test_a_deleted_job_leaves_a_tombstone_only(cloud):
    job = cloud.wait(submit(cloud, seed=3))["id"]
    assert cloud.request("DELETE", f"/v1/jobs/{job}").status_code == 204
    assert cloud.get(f"/v1/jobs/{job}").status_code == 410
    # The worker may just be settling the end: it takes back what it wrote into a deleted job's folder.
    longanim.until(lambda: [key.rsplit("/", 1)[1] for key in cloud.s3.keys() if job in key] == ["tombstone.json"],
                   10, "only the tombstone is left")


def test_refusals_and_torn_connections_are_tried_again_within_bounds(cloud):
    undisturbed = cloud.wait(submit(cloud, seed=4))
    job = submit(cloud, seed=4)
    cloud.wait(job, {"running", "succeeded"})
    cloud.wire.trouble_until = time.monotonic() + 3
    troubled = cloud.wait(job)
    assert cloud.wire.troubled > 3
    assert troubled["state"] == "succeeded" and troubled["attempt"] == 1, troubled
    assert troubled["result"]["sha256"] == undisturbed["result"]["sha256"]
    cloud.wire.trouble_until = 0


def test_an_api_whose_store_only_refuses_says_so_soon_and_recovers(cloud):
    """Tries are bounded: a client is told within seconds, not minutes."""
    cloud.wire.always, cloud.wire.trouble_until = True, time.monotonic() + 60
    try:
        began = time.monotonic()
        answer = cloud.post_job(cloud.media / "in.mp4", cloud.media / "ref.png", seed=5)
        assert answer.status_code == 503 and "Retry-After" in answer.headers, answer.text
        assert time.monotonic() - began < 15
    finally:
        cloud.wire.always, cloud.wire.trouble_until = False, 0
    longanim.until(lambda: cloud.ops.get("/readyz").status_code == 200, 20, "ready again")
    assert cloud.wait(submit(cloud, seed=5))["state"] == "succeeded"
