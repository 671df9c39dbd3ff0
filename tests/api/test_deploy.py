"""What deploy/ relies on, seen at the running programs."""
import importlib.machinery
import importlib.util
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest
import requests

from support.longanim import BUILD, Api, Worker, until

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def checker():
    loader = importlib.machinery.SourceFileLoader("check_deploy", str(ROOT / "tools/check-deploy"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("check_deploy", loader))
    loader.exec_module(module)
    return module


def test_every_metric_of_board_and_alerts_is_on_the_page(service, checker):
    page = service.api.ops.get("/metrics").text
    exported = set(re.findall(r"^# TYPE (\w+) ", page, re.M))
    used = set()
    for path in ("deploy/prometheus/alerts.yaml", "deploy/grafana/longanim.json"):
        used |= {re.sub(r"_(bucket|sum|count)$", "", n) for n in re.findall(r"\blonganim_\w+", (ROOT / path).read_text())}
    assert used and used <= exported | {"longanim_build_info"}, used - exported
    assert exported == set(checker.metrics()), "what the checker reads out of the source is what is exported"


@pytest.mark.parametrize("expression, wrong", [
    ("sum(rate(longanim_no_such_total[5m]))", "no program exports"),
    ("longanim_queue_depth{tenant=\"x\"}", "has the label tenant"),
    ("longanim_queue_depth_bucket", "no histogram"),
    ("sum by (pool) (increase(longanim_jobs_total[1h]))", "max, not sum"),
    ("sum by (pool (longanim_queue_depth)", "")])
def test_the_checker_finds_mistakes(checker, expression, wrong):
    if not wrong:
        pytest.importorskip("promql_parser")
    checker.problems.clear()
    checker.check_expression("x", expression, checker.metrics())
    assert checker.problems and wrong in checker.problems[0]


def test_what_happened_in_a_pool_is_counted(service, media):
    worker = service.worker("null=null:segment=8,overlap=2")
    job = service.api.wait(service.api.submit(media.video, media.reference)["id"])
    assert job["state"] == "succeeded"
    page = dict(re.findall(r'^(\w+)(?:{pool="null"})? ([\d.e+-]+)$', service.api.ops.get("/metrics").text, re.M))
    assert float(page["longanim_jobs_started_total"]) == 1 and float(page["longanim_segments_total"]) >= 1
    assert float(page["longanim_frames_total"]) >= job["input"]["video"]["frames"]
    assert 0 <= float(page["longanim_queue_wait_seconds_total"]) < 30 and 0 < float(page["longanim_run_seconds_total"]) < 60
    assert float(page["process_resident_memory_bytes"]) > 1e6 and 10 < float(page["process_open_fds"]) < 500
    assert float(page["process_cpu_seconds_total"]) > 0 and 0 <= float(page["longanim_redis_ping_seconds"]) < 1
    worker.stop()


class Manager:
    """A service manager's end of NOTIFY_SOCKET."""

    def __init__(self, folder):
        self.path = str(folder / "n")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.heard = []

    def hears(self, what, seconds=10):
        self.socket.settimeout(seconds)
        end = time.monotonic() + seconds
        while what not in self.heard:
            assert time.monotonic() < end, (what, self.heard)
            self.heard.append(self.socket.recv(200).decode())


@pytest.fixture
def manager(tmp_path_factory):
    made = Manager(tmp_path_factory.mktemp("n"))
    yield made
    made.socket.close()


def test_systemd_hears_of_start_life_and_end(tmp_path, redis, manager):
    store, told = f"file:{tmp_path}/store", {"NOTIFY_SOCKET": manager.path, "WATCHDOG_USEC": "600000"}
    for program in (Api, Worker):
        manager.heard.clear()
        with program(tmp_path / program.__name__, redis.url, store, **told) as running:
            manager.hears("READY=1")
            manager.heard.clear()
            manager.hears("WATCHDOG=1")
            running.signal(signal.SIGTERM)
            manager.hears("STOPPING=1")


def test_an_api_whose_threads_hang_gives_no_sign_of_life(tmp_path, redis, manager):
    with Api(tmp_path / "api", redis.url, f"file:{tmp_path}/store", NOTIFY_SOCKET=manager.path, WATCHDOG_USEC="600000") as api:
        manager.hears("WATCHDOG=1")
        api.signal(signal.SIGSTOP)
        time.sleep(0.3)
        manager.socket.settimeout(0.05)
        with pytest.raises(TimeoutError):
            while True:  # what was under way
                manager.socket.recv(200)
        manager.socket.settimeout(0.5)
        with pytest.raises(TimeoutError):
            manager.socket.recv(200)
        api.signal(signal.SIGCONT)
        manager.heard.clear()
        manager.hears("WATCHDOG=1")


def test_a_probe_finds_the_time_of_a_file(tmp_path, redis):
    alive = tmp_path / "alive"
    with Worker(tmp_path / "worker", redis.url, f"file:{tmp_path}/store", alive_file=alive):
        until(alive.exists, what="the file")
        assert abs(alive.stat().st_mtime - time.time()) < 12


def test_what_make_installs_runs_where_it_is(tmp_path):
    subprocess.run(["make", "-s", "install-api", f"DESTDIR={tmp_path}", f"B={os.path.relpath(BUILD, ROOT)}", "-o", f"{os.path.relpath(BUILD, ROOT)}/longanim-api",
                    "-o", f"{os.path.relpath(BUILD, ROOT)}/longanim-probe", "-o", f"{os.path.relpath(BUILD, ROOT)}/longanim"],
                   cwd=ROOT, check=True, capture_output=True)
    installed = tmp_path / "opt/longanim/bin"
    assert {p.name for p in installed.iterdir()} == {"longanim", "longanim-api", "longanim-probe"}
    done = subprocess.run([installed / "longanim-api", "--help"], capture_output=True, text=True)
    assert done.returncode == 0 and "LONGANIM_LISTEN" in done.stdout


def test_libraries_of_the_programs_are_among_the_packages_of_the_images():
    if not shutil.which("dpkg-query"):
        pytest.skip("no dpkg here")
    listed = subprocess.run(["bash", "-c", "eval \"$(sed -n '/^RUNTIME_/,/\"$/p' tools/setup)\"; echo $RUNTIME_worker"], cwd=ROOT,
                            capture_output=True, text=True, check=True).stdout.split()
    for program in ("longanim-api", "longanim-probe", "longanim-worker", "longanim", "libmodel_shim.so"):
        needed = re.findall(r"NEEDED.*\[(.*)\]", subprocess.run(["readelf", "-d", BUILD / program], capture_output=True, text=True).stdout)
        known = subprocess.run(["ldconfig", "-p"], capture_output=True, text=True).stdout
        for library in needed:
            path = re.search(rf"{re.escape(library)} .*=> (\S+)", known)
            if library.startswith(("libtorch", "libc10", "libasan", "libubsan", "libtsan", "ld-linux")) or not path:
                continue
            owner = subprocess.run(["dpkg-query", "-S", os.path.realpath(path[1])], capture_output=True, text=True).stdout.split(":")[0]
            assert not owner or owner in [*listed, "libc6", "libgcc-s1"], f"{program} needs {owner}"


@pytest.fixture
def proxy(tmp_path, service):
    """nginx with the shipped snippet, over plain HTTP."""
    nginx = shutil.which("nginx")
    if not nginx:
        pytest.skip("nginx is not installed")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    text = (ROOT / "deploy/nginx/longanim.conf").read_text().replace("127.0.0.1:8080", service.api.base.removeprefix("http://"))
    text = re.sub(r"listen 443[^;]*;|ssl_certificate[^;]*;", "", text).replace("server_name", f"listen 127.0.0.1:{port}; server_name", 1)
    (tmp_path / "nginx.conf").write_text(
        f"daemon off; pid {tmp_path}/pid; error_log stderr; events {{}} http {{ access_log off; client_body_temp_path {tmp_path}/b; "
        f"proxy_temp_path {tmp_path}/p; fastcgi_temp_path {tmp_path}/f; uwsgi_temp_path {tmp_path}/u; scgi_temp_path {tmp_path}/s; {text} }}")
    program = subprocess.Popen([nginx, "-p", str(tmp_path), "-c", f"{tmp_path}/nginx.conf"], stderr=subprocess.DEVNULL)

    def answers():
        try:
            return requests.get(f"http://127.0.0.1:{port}/openapi.json", timeout=2).status_code == 200
        except requests.RequestException:
            return False
    until(answers, what="nginx answers")
    yield f"http://127.0.0.1:{port}"
    program.terminate()
    program.wait()


def test_uploads_and_events_pass_through_nginx_as_they_come(proxy, service, media):
    answer = requests.post(f"{proxy}/v1/jobs", files=media.files(), timeout=30)
    assert answer.status_code == 202, answer.text
    job = answer.json()["id"]
    with requests.get(f"{proxy}/v1/jobs/{job}/events", stream=True, timeout=10) as events:
        lines = events.iter_lines()
        until(lambda: next(lines).startswith(b"data:"), what="the first event, although the stream goes on")
    assert requests.post(f"{proxy}/v1/jobs/{job}/cancel", timeout=10).status_code == 200
