"""The table of what libmicrohttpd 0.9.75 lets through, a case a row: the guard in front of it must not."""
import json
import socket
import time

import pytest

import wire

HOST = b"Host: api.test\r\n"
SMUGGLED = b"GET /docs HTTP/1.1\r\nHost: api.test\r\n\r\n"


def post(headers, body=b""):
    return b"POST /jobs HTTP/1.1\r\n" + HOST + headers + b"\r\n" + body


def get(target, headers=HOST, version=b"HTTP/1.1"):
    return b"GET " + target + b" " + version + b"\r\n" + headers + b"\r\n"


AMBIGUOUS = {
    "Content-Length with Transfer-Encoding": post(b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n" + SMUGGLED),
    "Transfer-Encoding with Content-Length": post(b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", b"0\r\n\r\n" + SMUGGLED),
    "two Content-Lengths": post(b"Content-Length: 4\r\nContent-Length: 44\r\n", b"abcd" + SMUGGLED),
    "two equal Content-Lengths": post(b"Content-Length: 4\r\nContent-Length: 4\r\n", b"abcd" + SMUGGLED),
    "unknown transfer coding": post(b"Transfer-Encoding: xchunked\r\n", SMUGGLED),
    "transfer coding list": post(b"Transfer-Encoding: gzip, chunked\r\n", b"0\r\n\r\n" + SMUGGLED),
    "two Transfer-Encodings": post(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", b"0\r\n\r\n" + SMUGGLED),
    "chunked in HTTP/1.0": b"POST /jobs HTTP/1.0\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "space before the colon": post(b"Content-Length : 5\r\n", b"abcde" + SMUGGLED),
    "bare LF everywhere": b"GET /docs HTTP/1.1\nHost: api.test\n\n",
    "bare LF behind one header": get(b"/docs", HOST + b"X-A: 1\nX-B: 2\r\n"),
    "bare LF behind the request line": b"GET /docs HTTP/1.1\n" + HOST + b"\r\n",
    "bare LF as the empty line": b"GET /docs HTTP/1.1\r\n" + HOST + b"\n",
    "bare CR": get(b"/docs", b"Host: api.test\rX-A: 1\r\n"),
    "folded header": get(b"/docs", HOST + b"X-A: 1\r\n 2\r\n"),
    "folded first header": get(b"/docs", b"Host: api.test\r\n folded\r\nX-A: 1\r\n"),
    "folded with a tab": get(b"/docs", HOST + b"X-A: 1\r\n\t2\r\n"),
    "two Hosts": get(b"/docs", HOST + b"Host: other.test\r\n"),
    "two Authorizations": get(b"/docs", HOST + b"Authorization: Bearer a\r\nAuthorization: Bearer b\r\n"),
    "two Idempotency-Keys": post(b"Idempotency-Key: a\r\nIdempotency-Key: b\r\nContent-Length: 0\r\n"),
    "two Content-Types": post(b"Content-Type: a/b\r\nContent-Type: c/d\r\nContent-Length: 0\r\n"),
    "NUL in a header value": get(b"/docs", HOST + b"X-A: 1\x002\r\n"),
    "NUL in the last header": get(b"/docs", HOST + b"X-A: 1\x00\r\n"),
    "NUL in the target": get(b"/docs\x00x"),
    "control character in a value": get(b"/docs", HOST + b"X-A: \x01\r\n"),
    "header name with a slash": get(b"/docs", HOST + b"X/A: 1\r\n"),
    "two spaces in the request line": b"GET  /docs HTTP/1.1\r\n" + HOST + b"\r\n",
}


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_ambiguous_framing_is_refused_and_the_connection_closed(api, name):
    answers, closed = wire.exchange(api.base, AMBIGUOUS[name])
    assert [a.status for a in answers] == [400], name
    problem = json.loads(answers[0].body)
    assert problem["code"] == "ambiguous_framing", problem
    assert closed, "what follows must not be read as a request"


BAD_REQUESTS = {
    "no Host": get(b"/docs", b""),
    "absolute form for another host": get(b"http://other.test/docs"),
    "encoded NUL": get(b"/docs%00x"),
    "encoded slash in an id": get(b"/jobs/a%2fb"),
    "encoded backslash": get(b"/jobs/a%5cb"),
    "dot segments": get(b"/jobs/../docs"),
    "encoded dot segments": get(b"/jobs/%2e%2e/docs"),
    "encoded line end": get(b"/docs%0d%0aX: 1"),
    "broken percent sign": get(b"/docs%4"),
    "overlong UTF-8": get(b"/docs%c0%af"),
    "fragment": get(b"/docs#top"),
    "query parameter twice": get(b"/jobs?limit=1&limit=2"),
}


@pytest.mark.parametrize("name", BAD_REQUESTS)
def test_bad_targets_are_400(api, name):
    answers, closed = wire.exchange(api.base, BAD_REQUESTS[name])
    assert [a.status for a in answers] == [400], name
    assert json.loads(answers[0].body)["code"] == "bad_request"
    assert closed


def test_what_the_library_refuses_itself_is_refused(api):
    for data, status in ((post(b"Content-Length: +5\r\n", b"abcde"), 400), (post(b"Content-Length: 4, 4\r\n", b"abcd"), 400),
                         (get(b"/docs", HOST + b"X: " + b"a" * 100_000 + b"\r\n"), 431),
                         (get(b"/docs", version=b"HTTP/2.0"), 505), (b"GET /docs\r\n\r\n", 400)):
        answers, closed = wire.exchange(api.base, data)
        assert answers[0].status == status and closed


def test_many_headers_are_431_and_long_targets_414(api):
    answers, _ = wire.exchange(api.base, get(b"/docs", HOST + b"".join(b"X-%d: 1\r\n" % n for n in range(120))))
    assert answers[0].status == 431 and json.loads(answers[0].body)["code"] == "header_too_large"
    answers, _ = wire.exchange(api.base, get(b"/" + b"a" * 5000))
    assert answers[0].status == 414 and json.loads(answers[0].body)["code"] == "uri_too_long"


def test_honest_requests_pass(api):
    for data in (get(b"/docs"), get(b"http://api.test/docs"), get(b"/docs", b"", b"HTTP/1.0"), get(b"/docs?x=%41"),
                 get(b"/docs", b"host:api.test\r\nX-Empty:\r\nX-Wide:   a \t b  \r\n"), b"\r\n" + get(b"/docs"),
                 get(b"/docs", HOST + b"".join(b"X-%d: %s\r\n" % (n, b"v" * 250) for n in range(70)))):
        answers, _ = wire.exchange(api.base, data)
        assert [a.status for a in answers] == [200], data[:60]


def test_pipelined_requests_are_answered_in_order(api):
    answers, closed = wire.exchange(api.base, get(b"/jobs/a") + get(b"/docs") + get(b"/jobs/b"))
    assert [a.status for a in answers] == [404, 200, 404]
    assert not closed


def test_unknown_methods_are_405_with_allow(api):
    for method in (b"abcdefGET", b"TRACE", b"PUT", b"get"):
        answers, _ = wire.exchange(api.base, method + b" /jobs HTTP/1.1\r\n" + HOST + b"\r\n")
        assert answers[0].status == 405
        assert answers[0].headers["allow"] == "POST, GET, HEAD, OPTIONS"
        assert json.loads(answers[0].body)["code"] == "method_not_allowed"


def test_a_refused_short_body_leaves_the_connection_usable(api):
    data = b"PUT /jobs HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\n\r\nabcde" + get(b"/docs")
    answers, closed = wire.exchange(api.base, data)
    assert [a.status for a in answers] == [405, 200]


def test_a_refused_long_body_is_answered_before_it_has_been_sent(api):
    head = b"POST /jobs HTTP/1.1\r\n" + HOST + b"Content-Type: text/plain\r\nContent-Length: 50000000\r\n\r\n"
    with wire.open_socket(api.base) as sock:
        sock.sendall(head + b"x" * 1000)
        answer = wire.read_answer(sock)
        assert answer.status == 415 and answer.headers["connection"] == "close"
        sock.sendall(b"x" * 100_000)  # a client that has not looked yet must not be cut off in mid-sentence


def test_expect_100_continue_is_answered_at_once(api):
    head = b"POST /jobs HTTP/1.1\r\n" + HOST + b"Expect: 100-continue\r\nContent-Length: 20\r\nContent-Type: "
    with wire.open_socket(api.base) as sock:
        start = time.monotonic()
        sock.sendall(head + b"multipart/form-data; boundary=B\r\n\r\n")
        assert wire.read_answer(sock).status == 100
        assert time.monotonic() - start < 0.5
        sock.sendall(b"--B--\r\n" + b" " * 13)
        assert wire.read_answer(sock).status == 422
    with wire.open_socket(api.base) as sock:
        sock.sendall(head + b"text/plain\r\n\r\n")
        assert wire.read_answer(sock).status == 415, "refused without asking for the body"


@pytest.fixture(scope="module")
def impatient(tmp_path_factory):
    from conftest import Service
    with Service(tmp_path_factory.mktemp("impatient"), header_ms=700, body_window_ms=700) as made:
        yield made.api


def test_slow_headers_are_cut_off(impatient):
    """Dripping does not restart the clock, whether it is the first request of a connection or a later one."""
    first, later, idle = (wire.open_socket(impatient.base) for _ in range(3))
    later.sendall(get(b"/docs"))
    assert wire.read_answer(later).status == 200
    start = time.monotonic()
    alive = {first, later}
    for letter in get(b"/docs" + b"a" * 200):
        for sock in list(alive):
            try:
                sock.sendall(bytes([letter]))
            except OSError:
                alive.discard(sock)
        if not alive or time.monotonic() - start > 5:
            break
        time.sleep(0.05)
    assert not alive
    assert wire.closed(idle)
    for sock in (first, later, idle):
        sock.close()


def test_slow_bodies_are_408(impatient):
    head = b"POST /jobs HTTP/1.1\r\n" + HOST + b"Content-Type: multipart/form-data; boundary=B\r\nContent-Length: 1000000\r\n\r\n"
    with wire.open_socket(impatient.base) as sock:
        sock.sendall(head)
        start = time.monotonic()
        sock.settimeout(0.05)
        answer = None
        while answer is None and time.monotonic() - start < 5:
            try:
                sock.sendall(b"-")
                answer = wire.read_answer(sock)
            except TimeoutError:
                continue
        assert answer.status == 408
        assert json.loads(answer.body)["code"] == "request_timeout"
        assert wire.closed(sock)


def test_slow_clients_do_not_slow_the_others(impatient):
    slow = [wire.open_socket(impatient.base) for _ in range(200)]
    for sock in slow:
        sock.sendall(b"GET /docs HT")
    took = []
    for _ in range(200):
        start = time.monotonic()
        assert impatient.get("/docs").status_code == 200
        took.append(time.monotonic() - start)
    assert sorted(took)[int(len(took) * 0.99)] < 0.05
    for sock in slow:
        sock.close()


def test_descriptors_are_given_back(impatient):
    from pathlib import Path
    from support.longanim import until
    folder = Path(f"/proc/{impatient.pid}/fd")
    impatient.get("/docs")
    before = len(list(folder.iterdir()))
    for n in range(300):
        sock = wire.open_socket(impatient.base)
        sock.sendall([b"GET /docs HTTP/1.1\r\nHost: x\r\n\r\n", b"GET /", post(b"Content-Length: 9\r\n", b"abc")][n % 3])
        if n % 2:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        sock.close()
    until(lambda: len(list(folder.iterdir())) <= before + 3, what="descriptors closed")
