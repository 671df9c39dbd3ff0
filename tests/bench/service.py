#!/usr/bin/env python3
"""What the service can do, each figure beside its calibration from the same run; docs/speed-service.md keeps the results.

usage: tests/bench/service.py [PART…]    get_hot get_cold upload post streams enqueue; all without a name
Needs wrk and nginx besides what `make setup` installs. Prints a line a figure: value, bar, calibration, ratio; exits 1 when
a bar is missed. Everything runs on this one machine, the load too: ratios count, not numbers."""
import json
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "support"))
from longanim import BUILD, Api, Redis, make_image, make_video, until  # noqa: E402

SECONDS = int(os.environ.get("SECONDS_EACH", "4"))
missed = []


def line(what, value, unit, bar=None, calibration=None, least=None, most=None, note=""):
    """least, most: the bars of the value; calibration: (what, value), whose ratio is printed."""
    good = (least is None or value >= least) and (most is None or value <= most)
    if not good:
        missed.append(what)
    ratio = f"{value / calibration[1]:6.2f} x {calibration[0]} ({calibration[1]:,.0f})" if calibration else ""
    print(f"{'ok  ' if good else 'MISS'} {what:34} {value:10,.1f} {unit:8} {('bar ' + bar) if bar else '':24} {ratio} {note}".rstrip(), flush=True)


def cpu_seconds(pid):
    """Of a process and the children that it has waited for."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def wrk(url, connections=64, threads=1, seconds=SECONDS, script=None, arguments=()):
    command = ["wrk", f"-t{threads}", f"-c{connections}", f"-d{seconds}s", "--latency", "--timeout", "20s"]
    if script:
        command += ["-s", str(script)]
    text = subprocess.run([*command, url, "--", *map(str, arguments)], capture_output=True, text=True, check=True).stdout
    in_ms = {"us": 0.001, "ms": 1, "s": 1000}

    def latency(name):
        value, unit = re.search(rf"{name}%\s+([\d.]+)(us|ms|s)", text).groups()
        return float(value) * in_ms[unit]
    errors = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    return {"rate": float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1]), "p50": latency("50"), "p99": latency("99"),
            "errors": int(errors[1]) if errors else 0, "text": text}


class Bench:
    def __init__(self, folder):
        self.folder = Path(folder)
        self.redis = Redis(self.folder / "redis")
        self.api = Api(self.folder / "api", self.redis.url, f"file:{self.folder}/store")
        until(lambda: self.api.ops.get("/readyz").status_code == 200, what="ready")
        self.video, self.picture = make_video(self.folder / "in.mp4", 24), make_image(self.folder / "ref.png")

    def close(self):
        self.api.close()
        self.redis.close()

    # ---- reads ----

    def nginx(self, answer):
        port = 20000 + os.getpid() % 20000
        conf = self.folder / "nginx.conf"
        body = answer.replace("\\", "\\\\").replace("'", "\\'").replace("$", "")
        conf.write_text(f"daemon off; worker_processes 2; pid {self.folder}/pid; error_log /dev/null; events {{ worker_connections 4096; }} "
                        f"http {{ access_log off; keepalive_requests 1000000; server {{ listen 127.0.0.1:{port}; "
                        f"location / {{ default_type application/json; return 200 '{body}'; }} }} }}")
        return subprocess.Popen(["nginx", "-p", str(self.folder), "-c", str(conf)], stderr=subprocess.DEVNULL), f"http://127.0.0.1:{port}/"

    def get_hot(self):
        job = self.api.submit(self.video, self.picture)["id"]
        answer = self.api.get(f"/v1/jobs/{job}")
        server, url = self.nginx(answer.text)
        try:
            time.sleep(0.5)
            plain = wrk(url)
        finally:
            server.terminate()
            server.wait()
        ours = wrk(f"{self.api.base}/v1/jobs/{job}")
        line("GET one job, cached", ours["rate"], "/s", ">= 0.35 x", ("nginx", plain["rate"]), least=0.35 * plain["rate"],
             note=f"p99 {ours['p99']:.2f} ms, {ours['errors']} errors")
        (self.folder / "etag.lua").write_text(f'wrk.headers["If-None-Match"] = {json.dumps(answer.headers["ETag"])}')
        same = wrk(f"{self.api.base}/v1/jobs/{job}", script=self.folder / "etag.lua")
        line("304 for one that did not change", same["rate"], "/s", ">= cached GET", ("cached GET", ours["rate"]), least=0.9 * ours["rate"])

    def get_cold(self):
        """Ids in a circle that is larger than the cache, so that every answer is Redis'."""
        done = subprocess.run([BUILD / "tests/bench/fill", self.redis.url, "20000", "8"], capture_output=True, text=True, check=True)
        ids = self.folder / "ids"
        ids.write_text(done.stdout)
        script = self.folder / "ids.lua"
        script.write_text(f'local ids = {{}}\nfor l in io.lines({json.dumps(str(ids))}) do ids[#ids + 1] = l end\nlocal n = 0\n'
                          'request = function() n = n % #ids + 1; return wrk.format("GET", "/v1/jobs/" .. ids[n]) end')
        text = subprocess.run(["redis-benchmark", "-s", self.redis.socket, "-t", "get", "-c", "64", "-n", "200000", "-q", "--csv"],
                              capture_output=True, text=True, check=True).stdout
        get = float(text.splitlines()[-1].split(",")[1].strip('"'))
        ours = wrk(self.api.base, script=script)
        line("GET many jobs, not cached", ours["rate"], "/s", ">= 0.10 x", ("redis GET", get), least=0.10 * get,
             note=f"p99 {ours['p99']:.2f} ms, {ours['errors']} errors")

    # ---- writes ----

    def upload(self):
        """A video with a large free box: one POST, hashed, on disk, looked at."""
        size = 256 << 20
        big = self.folder / "big.mp4"
        box = size - self.video.stat().st_size
        with open(big, "wb") as stream:
            stream.write(self.video.read_bytes() + box.to_bytes(4, "big") + b"free")
            block = os.urandom(1 << 20)
            for _ in range(0, box - 8, len(block)):
                stream.write(block[:min(len(block), size - stream.tell())])

        def dd():
            began = time.monotonic()
            subprocess.run(["dd", f"if={big}", f"of={self.folder}/copy", "bs=1M", "conv=fsync", "status=none"], check=True)
            return size / (time.monotonic() - began) / 1e6

        def ours():
            began = time.monotonic()
            done = subprocess.run(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-H", "Expect:", "-F", f"video=@{big}", "-F",
                                   f"reference=@{self.picture}", f"{self.api.base}/v1/jobs"], capture_output=True, text=True)
            assert done.stdout == "202", done.stdout
            return size / (time.monotonic() - began) / 1e6
        pairs = [(dd(), ours()) for _ in range(3)]
        disk, rate = statistics.median(p[0] for p in pairs), statistics.median(p[1] for p in pairs)
        line("upload of 256 MiB to 202", rate, "MB/s", ">= 0.9 x", ("dd with fsync", disk), least=0.9 * disk)

    def post(self):
        """Whole creations: 100 kB of video, looked at, stored, synced, queued."""
        video = self.folder / "small.mp4"
        box = 100_000 - self.video.stat().st_size
        video.write_bytes(self.video.read_bytes() + box.to_bytes(4, "big") + b"free" + os.urandom(box - 8))
        boundary = "xxxxboundaryxxxx"
        body = b"".join(b'--%s\r\nContent-Disposition: form-data; name="%s"; filename="f"\r\n\r\n%s\r\n' % (boundary.encode(), name, data)
                        for name, data in ((b"video", video.read_bytes()), (b"reference", self.picture.read_bytes()))) + b"--%s--\r\n" % boundary.encode()
        (self.folder / "body").write_bytes(body)
        script = self.folder / "post.lua"
        script.write_text(f'wrk.method = "POST"\nlocal f = io.open({json.dumps(str(self.folder / "body"))}, "rb")\nwrk.body = f:read("*a")\n'
                          f'wrk.headers["Content-Type"] = "multipart/form-data; boundary={boundary}"')
        files = self.folder / "plain"
        files.mkdir()
        began, count = time.monotonic(), 0
        while time.monotonic() - began < 2:  # what the same files cost by themselves: two inputs and a manifest, synced
            for data in (b"x" * 100_000, b"x" * 300, b"x" * 2000):
                with open(files / f"{count}.{len(data)}.tmp", "wb") as stream:
                    stream.write(data)
                    os.fdatasync(stream.fileno())
                os.rename(stream.name, stream.name[:-4])
                folder = os.open(files, os.O_RDONLY)
                os.fsync(folder)
                os.close(folder)
            count += 1
        plain = count / (time.monotonic() - began)
        programs = {"api": self.api.pid, "redis": self.redis.program.pid,
                    "probe": int(Path(f"/proc/{self.api.pid}/task/{self.api.pid}/children").read_text().split()[0]) if
                    Path(f"/proc/{self.api.pid}/task/{self.api.pid}/children").read_text().split() else self._prober()}
        before = {name: cpu_seconds(pid) for name, pid in programs.items()}
        ours = wrk(f"{self.api.base}/v1/jobs", connections=8, script=script, seconds=2 * SECONDS)
        made = ours["rate"] * 2 * SECONDS
        spent = "  ".join(f"{name} {(cpu_seconds(pid) - before[name]) / made * 1000:.2f}" for name, pid in programs.items())
        line("POST of a job, durable", ours["rate"], "/s", ">= 150/s", ("three synced files", plain), least=150,
             note=f"p50 {ours['p50']:.0f} p99 {ours['p99']:.0f} ms, {ours['errors']} errors; CPU ms each: {spent}")
        line("  its p99", ours["p99"], "ms", "<= 60 ms", most=60)

    def _prober(self):
        for task in Path(f"/proc/{self.api.pid}/task").iterdir():
            for pid in (task / "children").read_text().split():
                if "probe" in Path(f"/proc/{pid}/comm").read_text():
                    return int(pid)
        raise AssertionError("no prober")

    # ---- events ----

    def streams(self):
        count = 1000
        job = self.api.submit(self.video, self.picture)["id"]

        def resident():
            text = Path(f"/proc/{self.api.pid}/status").read_text()
            return int(re.search(r"VmRSS:\s+(\d+)", text)[1])
        plain = json.loads(subprocess.run([BUILD / "tests/bench/streams", "--calibrate", "1500", str(count)], capture_output=True,
                                          text=True, check=True).stdout)
        before = resident()
        clients = subprocess.Popen([BUILD / "tests/bench/streams", self.api.base.rsplit(":", 1)[1], job, str(count)],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert clients.stdout.readline() == "ready\n"
        each = (resident() - before) / count
        text, _ = clients.communicate("go\n")
        ours = json.loads(text)
        line("1,000 streams, cause to client, p99", ours["p99_ms"], "ms", "<= 15 ms", ("bare fan-out p99, ms", plain["p99_ms"]), most=15,
             note=f"first {ours['first_ms']} p50 {ours['p50_ms']} ms; bare p50 {plain['p50_ms']} ms")
        line("  memory of each", each, "kB", "<= 40 kB", most=40)

    # ---- the queue ----

    def enqueue(self):
        text = subprocess.run(["redis-benchmark", "-s", self.redis.socket, "-t", "set", "-c", "8", "-n", "60000", "-d", "500", "-q", "--csv"],
                              capture_output=True, text=True, check=True).stdout
        plain = float(text.splitlines()[-1].split(",")[1].strip('"'))
        done = subprocess.run([BUILD / "tests/bench/fill", self.redis.url, "24000", "8"], capture_output=True, text=True, check=True)
        ours = json.loads(done.stderr)
        line("enqueue, AOF always, 8 connections", ours["per_second"], "/s", ">= 6,000/s", ("SET, AOF always", plain), least=6000,
             note=f"p99 {ours['p99_ms']:.1f} ms")


PARTS = ("get_hot", "get_cold", "upload", "post", "streams", "enqueue")


def main():
    wanted = sys.argv[1:] or PARTS
    for name in ("wrk", "nginx", "redis-benchmark", "curl"):
        if not shutil.which(name):
            print(f"{name} is needed and not installed")
            return 2
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    print(f"{time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores of {model[1] if model else 'a machine'}, load {os.getloadavg()[0]:.1f}", flush=True)
    for name in wanted:
        folder = tempfile.mkdtemp(prefix="longanim-bench-")
        bench = Bench(folder)
        try:
            getattr(bench, name)()
        finally:
            bench.close()
            shutil.rmtree(folder, ignore_errors=True)
    print(f"{len(missed)} missed: {', '.join(missed)}" if missed else "all bars are met")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
