"""Webhooks: signed as Standard Webhooks says, tried again, listed, and not sent to private addresses."""
import base64
import hashlib
import hmac
import http.server
import json
import threading
import time

import pytest

from support.longanim import until


class Receiver:
    """An endpoint that remembers what it was told and answers with the statuses given, the last one for ever."""

    def __init__(self, *statuses):
        self.got, statuses = [], list(statuses)
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.got.append((dict(self.headers), body))
                status = statuses.pop(0) if len(statuses) > 1 else statuses[0]
                self.send_response(status)
                if status == 301:
                    self.send_header("Location", f"http://127.0.0.1:{receiver.port}/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/hook?x=1"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture(scope="module")
def hooked(tmp_path_factory):
    from conftest import Service
    with Service(tmp_path_factory.mktemp("hooked"), webhook_allow_private=1) as made:
        yield made.api


def end_a_job(api, media):
    job = api.submit(media.video, media.reference)["id"]
    assert api.request("POST", f"/jobs/{job}/cancel").status_code == 200
    return job


def create(api, url):
    response = api.request("POST", "/webhooks", json={"url": url})
    assert response.status_code == 201, response.text
    return response.json()


def deliveries(api, hook):
    return api.get(f"/webhooks/{hook['id']}/deliveries").json()["data"]


def test_an_end_is_told_signed_and_once(hooked, media):
    with Receiver(204) as receiver:
        hook = create(hooked, receiver.url)
        assert hook["secret"].startswith("whsec_") and len(base64.b64decode(hook["secret"][6:])) == 24
        job = end_a_job(hooked, media)
        until(lambda: receiver.got, what="told")
        headers, body = receiver.got[0]
        headers = {k.lower(): v for k, v in headers.items()}
        told = json.loads(body)
        assert told["type"] == "job.canceled" and told["data"]["id"] == job and told["data"]["url"] == f"/v1/jobs/{job}"
        assert abs(int(headers["webhook-timestamp"]) - time.time()) < 10
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        expected = base64.b64encode(hmac.new(base64.b64decode(hook["secret"][6:]), signed, hashlib.sha256).digest()).decode()
        assert headers["webhook-signature"] == f"v1,{expected}"
        until(lambda: deliveries(hooked, hook), what="noted")
        entry = deliveries(hooked, hook)[0]
        assert entry["delivered"] and entry["status"] == 204 and entry["job_id"] == job and entry["next_try_at"] is None
        time.sleep(0.5)
        assert len(receiver.got) == 1
        assert hooked.request("POST", f"/webhooks/{hook['id']}/redeliver", json={"job_id": job}).status_code == 202
        until(lambda: len(receiver.got) == 2, what="told again")
        assert hooked.request("DELETE", f"/webhooks/{hook['id']}").status_code == 204
        end_a_job(hooked, media)
        time.sleep(0.5)
        assert len(receiver.got) == 2


def test_failures_are_reported_and_tried_again_under_the_same_id(hooked, media):
    with Receiver(500, 200) as receiver:
        hook = create(hooked, receiver.url)
        end_a_job(hooked, media)
        start = time.monotonic()
        until(lambda: deliveries(hooked, hook), what="noted")
        entry = deliveries(hooked, hook)[0]
        assert entry["status"] == 500 and not entry["delivered"] and entry["next_try_at"]
        until(lambda: len(receiver.got) == 2, 9, "tried again")
        assert 4 < time.monotonic() - start < 8
        ids = {headers.get("webhook-id") or headers.get("Webhook-Id") for headers, _ in receiver.got}
        assert len(ids) == 1
        until(lambda: deliveries(hooked, hook)[0]["attempt"] == 2, what="noted")
        hooked.request("DELETE", f"/webhooks/{hook['id']}")


def test_redirects_are_failures_and_410_is_the_end(hooked, media):
    with Receiver(301) as moved, Receiver(410) as gone:
        hook, last = create(hooked, moved.url), create(hooked, gone.url)
        end_a_job(hooked, media)
        until(lambda: deliveries(hooked, hook), what="noted")
        assert deliveries(hooked, hook)[0]["status"] == 301 and not deliveries(hooked, hook)[0]["delivered"]
        assert len(moved.got) == 1
        until(lambda: hooked.get(f"/webhooks/{last['id']}").status_code == 404, what="the webhook is gone")
        hooked.request("DELETE", f"/webhooks/{hook['id']}")


def test_webhooks_are_listed_without_their_secret(hooked):
    hook = create(hooked, "https://studio.example/hook")
    listed = [h for h in hooked.get("/webhooks").json()["data"] if h["id"] == hook["id"]]
    assert listed == [{k: v for k, v in hook.items() if k != "secret"}]
    assert hooked.get(f"/webhooks/{hook['id']}").json() == listed[0]
    hooked.request("DELETE", f"/webhooks/{hook['id']}")
    for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/deliveries")):
        hooked.problem(method, f"/webhooks/{hook['id']}{path}", 404, "webhook_not_found")
    hooked.problem("POST", f"/webhooks/{hook['id']}/redeliver", 404, "webhook_not_found", json={"job_id": "x"})


@pytest.mark.parametrize("url", ["http://127.0.0.1:80/", "http://localhost/x", "http://[::1]/", "http://10.0.0.1/", "http://169.254.169.254/latest",
                                 "http://[::ffff:10.0.0.1]/", "http://0/", "http://2130706433/", "http://user:pw@example.test/",
                                 "ftp://example.test/", "example.test", "http:///x", "http://a b/", "https://" + "a" * 2001])
def test_urls_that_must_not_be_called_are_refused(api, url):
    problem = api.problem("POST", "/webhooks", 422, "params_invalid", json={"url": url})
    assert problem["errors"][0]["field"] == "url"


def test_malformed_bodies_are_refused(api):
    headers = {"Content-Type": "application/json"}
    api.problem("POST", "/webhooks", 400, "bad_request", data=b"{", headers=headers)
    api.problem("POST", "/webhooks", 422, "params_invalid", data=b"[]", headers=headers)
    api.problem("POST", "/webhooks", 422, "params_invalid", data=b"{}", headers=headers)
    api.problem("POST", "/webhooks", 422, "params_invalid", data=b'{"url": "https://x.test", "evnts": []}', headers=headers)
    api.problem("POST", "/webhooks", 415, "unsupported_media_type", data=b"url=x")


def test_names_of_private_addresses_are_not_called(fresh, media):
    """The name is fine by its look; what it resolves to is judged at the delivery."""
    api = fresh().api
    hook = create(api, "http://ip6-localhost:9/x")
    end_a_job(api, media)
    until(lambda: deliveries(api, hook), what="noted")
    assert not deliveries(api, hook)[0]["delivered"] and deliveries(api, hook)[0]["error"]


def test_webhooks_outlive_redis_and_tell_the_trace(fresh, media):
    service = fresh(webhook_allow_private=1)
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    with Receiver(204) as receiver:
        hook, gone = create(service.api, receiver.url), create(service.api, receiver.url)
        assert service.api.request("DELETE", f"/webhooks/{gone['id']}").status_code == 204
        job = service.api.post_job(media.video, media.reference, headers={"traceparent": trace, "tracestate": "studio=a1,x=%7e"}).json()["id"]
        service.redis.wipe()
        until(lambda: service.api.get("/webhooks").status_code == 200 and service.api.get("/webhooks").json()["data"], what="known again")
        assert [h["id"] for h in service.api.get("/webhooks").json()["data"]] == [hook["id"]]
        until(lambda: service.api.request("POST", f"/jobs/{job}/cancel").status_code == 200, what="canceled")
        until(lambda: receiver.got, what="told")
        headers = {k.lower(): v for k, v in receiver.got[0][0].items()}
        assert headers["traceparent"].split("-")[1] == trace.split("-")[1] and headers["tracestate"] == "studio=a1,x=%7e"
        assert json.loads(receiver.got[0][1])["data"]["id"] == job


def webhook_ids(receiver):
    return [{k.lower(): v for k, v in headers.items()}["webhook-id"] for headers, _ in receiver.got]


def test_what_was_due_when_redis_was_lost_is_told_and_nothing_else(fresh, media):
    """The manifest's folder says who was told: the outbox is made up again from that."""
    service = fresh(webhook_allow_private=1)
    with Receiver(204) as well, Receiver(500) as ill:
        heard = create(service.api, well.url)
        earlier = end_a_job(service.api, media)
        until(lambda: deliveries(service.api, heard), what="told")
        late = create(service.api, ill.url)  # not there when the first job ended
        job = end_a_job(service.api, media)
        until(lambda: ill.got and len(well.got) == 2, what="one was told, the other refused")
        until(lambda: len(deliveries(service.api, heard)) == 2 and deliveries(service.api, late), what="noted")
        until(lambda: len(list((service.folder / "store").rglob("end.json"))) == 2, what="the store knows both ends")
        service.redis.wipe()
        until(lambda: len(ill.got) == 2, 10, "told once more")
        first, second = webhook_ids(ill)
        assert first == second and json.loads(ill.got[1][1])["data"]["id"] == job
        time.sleep(0.7)
        assert len(well.got) == 2, "who has heard is not told again"
        assert earlier not in "".join(webhook_ids(ill)), "nobody hears of what ended before he asked"


def test_deliveries_that_are_due_while_redis_is_away_are_made_when_it_is_back(fresh, media):
    service = fresh(webhook_allow_private=1)
    with Receiver(500, 204) as receiver:
        hook = create(service.api, receiver.url)
        end_a_job(service.api, media)
        until(lambda: deliveries(service.api, hook), what="refused once, and that noted")
        service.redis.kill()
        time.sleep(6)  # the second try falls due
        assert len(receiver.got) == 1
        service.redis.start()
        until(lambda: len(receiver.got) == 2, 10, "told")
        assert len(set(webhook_ids(receiver))) == 1
