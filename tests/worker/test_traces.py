"""Spans at a collector: a real HTTP server that takes OTLP as JSON."""
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

import longanim
from longanim import until

TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


class Collector:
    def __init__(self):
        self.spans, self.requests, self.refusals, self.delay = [], [], 0, 0.0
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                time.sleep(collector.delay)
                if collector.refusals > 0:
                    collector.refusals -= 1
                    self.send_response(503)
                else:
                    collector.take(self.path, dict(self.headers), json.loads(body))
                    self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def take(self, path, headers, body):
        self.requests.append((path, headers))
        for resource in body["resourceSpans"]:
            service = attributes(resource["resource"])["service.name"]
            for scope in resource["scopeSpans"]:
                self.spans += [{**span, "service": service, **attributes(span)} for span in scope["spans"]]

    def named(self, name, **wanted):
        return [s for s in list(self.spans) if s["name"] == name and all(s.get(k) == v for k, v in wanted.items())]

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def attributes(holder):
    return {a["key"]: a["value"].get("stringValue", a["value"].get("intValue")) for a in holder["attributes"]}


@pytest.fixture
def collector():
    made = Collector()
    yield made
    made.close()


@pytest.fixture
def traced(tmp_path, collector):
    """Api and worker that export to the collector."""
    settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url + "/", "OTEL_EXPORTER_OTLP_HEADERS": "x-tenant=studio,authorization=Basic abc="}
    store = f"file:{tmp_path}/store"
    with longanim.Redis(tmp_path / "redis") as redis, longanim.Api(tmp_path / "api", redis.url, store, **settings) as api, \
            longanim.Worker(tmp_path / "worker", redis.url, store, models="null=null:segment=10,overlap=2", **settings):
        api.files = longanim.make_video(tmp_path / "in.mkv", 30), longanim.make_image(tmp_path / "r.png")
        yield api


def test_a_job_is_one_trace_from_request_to_segments(traced, collector):
    answer = traced.post_job(*traced.files, headers={"traceparent": f"00-{TRACE}-{CALLER}-01", "tracestate": "studio=a1"}, seed=7)
    job = answer.json()
    assert job["trace_id"] == TRACE
    assert traced.wait(job["id"])["state"] == "succeeded"
    run = until(lambda: collector.named("run", traceId=TRACE), what="the run's span")[0]
    request = until(lambda: collector.named("POST /jobs", traceId=TRACE), what="the request's span")[0]
    assert request["parentSpanId"] == CALLER and request["kind"] == 2 and request["service"] == "longanim-api"
    assert request["http.response.status_code"] == "202" and int(request["http.request.body.size"]) > 1000
    assert run["parentSpanId"] == request["spanId"] and run["service"] == "longanim-worker" and run["kind"] == 5
    assert run["longanim.job"] == job["id"] and run["longanim.ended_by"] == "complete" and "status" not in run
    queue, = collector.named("queue", traceId=TRACE)
    segments = collector.named("segment", traceId=TRACE)
    assert len(segments) >= 3 and {s["parentSpanId"] for s in segments} == {run["spanId"]}
    assert sum(int(s["longanim.frames"]) for s in segments) >= 30
    for span in (request, queue, run, *segments):
        assert span["traceState"] == "studio=a1"
        assert int(span["startTimeUnixNano"]) <= int(span["endTimeUnixNano"])
    assert int(queue["endTimeUnixNano"]) <= int(min(segments, key=lambda s: s["longanim.segment"])["endTimeUnixNano"])
    assert len({s["spanId"] for s in collector.spans}) == len(collector.spans)
    path, headers = collector.requests[0]
    assert path == "/v1/traces" and headers["x-tenant"] == "studio" and headers["authorization"] == "Basic abc="


def test_a_request_without_a_trace_begins_one_and_an_unsampled_one_stays_silent(traced, collector):
    unsampled = traced.post_job(*traced.files, headers={"traceparent": f"00-{TRACE}-{CALLER}-00"}, seed=7).json()
    begun = traced.post_job(*traced.files, seed=8).json()
    assert unsampled["trace_id"] == TRACE and len(begun["trace_id"]) == 32
    assert all(traced.wait(j["id"])["state"] == "succeeded" for j in (unsampled, begun))
    until(lambda: collector.named("run", traceId=begun["trace_id"]), what="the run's span")
    assert not [s for s in collector.spans if s["traceId"] == TRACE]
    assert "parentSpanId" not in collector.named("POST /jobs", traceId=begun["trace_id"])[0]


def test_a_collector_that_refuses_is_asked_again(traced, collector):
    collector.refusals = 2
    traced.get("/v1/capabilities")
    until(lambda: collector.named("GET /capabilities"), 15, "the span")


def test_a_collector_that_sleeps_delays_nobody_and_what_is_too_much_is_dropped(traced, collector):
    collector.delay, collector.refusals = 4.0, 9  # each batch takes it a quarter of a minute
    began = time.monotonic()
    for _ in range(4000):
        assert traced.get("/v1/capabilities").status_code == 200
    assert time.monotonic() - began < 40
    until(lambda: traced.events("trace.dropped"), 40, "some are dropped, and it is said")
    collector.delay = 0.0


def test_without_an_endpoint_nothing_is_sent_and_a_wrong_one_is_told(tmp_path, redis):
    with longanim.Api(tmp_path / "api", redis.url, f"file:{tmp_path}/store") as api:
        assert api.get("/v1/capabilities").status_code == 200
    with pytest.raises(AssertionError, match="OTEL_EXPORTER_OTLP_ENDPOINT|http://host:port"):
        longanim.Api(tmp_path / "other", redis.url, f"file:{tmp_path}/store", OTEL_EXPORTER_OTLP_ENDPOINT="collector:4318")
