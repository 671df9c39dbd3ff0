"""What black-box tests share: real programs, a real Redis, an HTTP client, small videos. No mocks.

    with Redis(folder) as redis, Api(folder, redis.url, f"file:{folder}/store") as api:
        job = api.submit(video=make_video(folder / "in.mp4"), reference=make_reference(folder / "ref.png"), seed=7)
        job = api.wait(job["id"])
"""
import ctypes
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import numpy
import requests

BUILD = Path(os.environ.get("LONGANIM_BUILD", Path(__file__).resolve().parents[2] / "build"))
TERMINAL = {"succeeded", "failed", "canceled", "expired"}


def until(check, seconds=10.0, what="condition"):
    """Calls check() until it gives something true, and returns that."""
    end = time.monotonic() + seconds
    while True:
        value = check()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.01)


def _die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


class Program:
    """A child process with its log in a file. `environment` adds to a clean copy of ours; None removes a name."""

    def __init__(self, arguments, log, environment=None, cwd=None):
        env = {k: v for k, v in os.environ.items() if not k.startswith(("LONGANIM_", "AWS_"))}
        for name, value in (environment or {}).items():
            env.pop(name, None)
            if value is not None:
                env[name] = str(value)
        self.log = Path(log)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with open(self.log, "ab") as stream:
            self.process = subprocess.Popen([str(a) for a in arguments], stdin=subprocess.DEVNULL, stdout=stream,
                                            stderr=stream, env=env, cwd=cwd, preexec_fn=_die_with_parent)

    @property
    def pid(self):
        return self.process.pid

    def events(self, name=None):
        """The JSON lines of the log, as dicts; of one event when named."""
        lines = []
        for line in self.log.read_text(errors="replace").splitlines():
            if line.startswith("{"):
                event = json.loads(line)
                if name is None or event.get("event") == name:
                    lines.append(event)
        return lines

    def signal(self, number):
        self.process.send_signal(number)

    def stop(self, seconds=20.0):
        """SIGTERM; returns the exit code."""
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(seconds)

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def close(self):
        try:
            self.stop()
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Redis:
    """redis-server on a unix socket, as durable as the shipped one."""

    def __init__(self, folder, **settings):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.socket = self.folder / "redis.sock"
        self.short = None
        if len(str(self.socket)) > 100:  # the kernel takes 107 bytes
            self.short = Path(tempfile.mkdtemp(prefix="la-", dir="/tmp"))
            self.socket = self.short / "redis.sock"
        self.url = f"unix:{self.socket}"
        self.settings = {"port": 0, "unixsocket": self.socket, "dir": self.folder, "appendonly": "yes",
                         "appendfsync": "always", "save": "", "maxmemory-policy": "noeviction", **settings}
        self.program = None
        self.start()

    def start(self):
        arguments = ["redis-server"]
        for name, value in self.settings.items():
            arguments += [f"--{name}", value]
        self.program = Program(arguments, self.folder / "redis.log")
        until(self._answers, what="redis answers")

    def _answers(self):
        assert self.program.process.poll() is None, self.program.log.read_text()
        try:
            return self.command("PING") == "PONG"
        except (OSError, RuntimeError):
            return False

    def command(self, *words):
        """One command; bulk strings come back as text, arrays as lists."""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(5)
            s.connect(str(self.socket))
            parts = [str(w).encode() for w in words]
            s.sendall(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts))
            with s.makefile("rb") as stream:
                return self._reply(stream)

    def _reply(self, stream):
        line = stream.readline().decode().rstrip("\r\n")
        kind, rest = line[:1], line[1:]
        if kind == "-":
            raise RuntimeError(rest)
        if kind == ":":
            return int(rest)
        if kind == "$":
            return None if rest == "-1" else stream.read(int(rest) + 2)[:-2].decode(errors="replace")
        if kind == "*":
            return None if rest == "-1" else [self._reply(stream) for _ in range(int(rest))]
        if kind != "+":
            raise OSError("connection closed")
        return rest

    def kill(self):
        self.program.kill()

    def restart(self):
        self.kill()
        self.start()

    def wipe(self):
        """As if the disk were lost: kills it, removes its data, starts it anew."""
        self.kill()
        for path in sorted(self.folder.rglob("*"), reverse=True):
            if path.name != "redis.log":
                path.rmdir() if path.is_dir() else path.unlink()
        self.start()

    def close(self):
        self.program.close()
        if self.short:
            shutil.rmtree(self.short, ignore_errors=True)

    __enter__ = Program.__enter__
    __exit__ = Program.__exit__


class S3:
    """A real S3 server (SeaweedFS) that checks signatures; starts in some seconds. `environment` holds its keys."""

    environment = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}

    def __init__(self, folder):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        key, secret = self.environment.values()
        (self.folder / "keys.json").write_text(json.dumps({"identities": [{
            "name": "test", "credentials": [{"accessKey": key, "secretKey": secret}],
            "actions": ["Admin", "Read", "Write", "List"]}]}))
        sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(8)]
        ports = [s.getsockname()[1] for s in sockets]
        for s in sockets:
            s.close()
        names = ["s3.port", "s3.port.grpc", "master.port", "master.port.grpc", "volume.port", "volume.port.grpc",
                 "filer.port", "filer.port.grpc"]
        self.endpoint = f"http://127.0.0.1:{ports[0]}"
        self.url = f"s3://test-bucket/jobs?endpoint={self.endpoint}&region=us-east-1"
        weed = Path(sys.executable).parent / "weed"
        self.arguments = [weed, "server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3", "-s3.iam=false",
                          "-s3.port.iceberg=0", "-master.telemetry=false", "-master.volumeSizeLimitMB=64", "-volume.max=8",
                          f"-dir={self.folder}", f"-s3.config={self.folder}/keys.json",
                          *(f"-{name}={port}" for name, port in zip(names, ports))]
        self.start()

    def start(self):
        self.program = Program(self.arguments, self.folder / "weed.log")
        until(self._answers, 40, "S3 answers")
        self._make_bucket()

    def _answers(self):
        assert self.program.process.poll() is None, self.program.log.read_text()
        try:
            return requests.get(self.endpoint + "/healthz", timeout=2).status_code == 200
        except requests.RequestException:
            return False

    def request(self, method, path):
        """(status, body), signed by curl: a second opinion on what a signature is."""
        key, secret = self.environment.values()
        done = subprocess.run(["curl", "-s", "-w", "\n%{http_code}", "-X", method, "--user", f"{key}:{secret}",
                               "--aws-sigv4", "aws:amz:us-east-1:s3", "-H",
                               "x-amz-content-sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
                               self.endpoint + path], stdout=subprocess.PIPE, timeout=20)
        body, _, status = done.stdout.decode().rpartition("\n")
        return int(status), body

    def _make_bucket(self):
        until(lambda: self.request("PUT", "/test-bucket")[0] in (200, 409), 20, "bucket made")

    def keys(self):
        """The names of all objects (a thousand at most)."""
        status, body = self.request("GET", "/test-bucket?list-type=2")
        assert status == 200, body
        return re.findall("<Key>([^<]*)</Key>", body)

    def kill(self):
        self.program.kill()

    close = kill

    __enter__ = Program.__enter__
    __exit__ = Program.__exit__


class Client:
    """The HTTP API as tests use it; any other request through `request`."""

    def __init__(self, base):
        self.base = base
        self.session = requests.Session()
        self.session.trust_env = False

    def request(self, method, path, **options):
        options.setdefault("timeout", 70)
        return self.session.request(method, self.base + path, **options)

    def get(self, path, **options):
        return self.request("GET", path, **options)

    def post_job(self, video, reference, params=None, headers=None, **fields):
        """POST /v1/jobs with files by path; returns the response whatever it is."""
        references = reference if isinstance(reference, (list, tuple)) else [reference]
        with open(video, "rb") as stream:
            files = [("video", (Path(video).name, stream))]
            files += [("reference", (Path(r).name, Path(r).read_bytes())) for r in references]
            if params is not None:
                files.append(("params", (None, json.dumps(params), "application/json")))
            files += [(name, (None, str(value))) for name, value in fields.items()]
            return self.request("POST", "/v1/jobs", files=files, headers=headers)

    def submit(self, video, reference, params=None, **fields):
        response = self.post_job(video, reference, params, **fields)
        assert response.status_code == 202, response.text
        return response.json()

    def job(self, job_id):
        response = self.get(f"/v1/jobs/{job_id}")
        assert response.status_code == 200, response.text
        return response.json()

    def wait(self, job_id, states=TERMINAL, seconds=60.0):
        """The job once it is in one of the states. A 503 on the way is waited out, as clients do."""
        last = {}

        def check():
            response = self.get(f"/v1/jobs/{job_id}")
            if response.status_code == 503:
                return False
            assert response.status_code == 200, response.text
            last.update(response.json())
            return last["state"] in states
        until(check, seconds, f"job in {states}; last seen: {last}")
        return last


class Server(Program, Client):
    """A program of ours that listens: waits for its address file."""

    def __init__(self, arguments, folder, environment):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.arguments, self.environment = arguments, environment
        self.start()

    def start(self):
        for name in ("api.addr", "ops.addr"):
            (self.folder / name).unlink(missing_ok=True)
        Program.__init__(self, self.arguments, self.folder / f"{Path(str(self.arguments[0])).name}.log", self.environment)
        try:
            Client.__init__(self, "http://" + self._address("api.addr"))
            self.ops = Client("http://" + self._address("ops.addr"))
        except BaseException:
            self.kill()
            raise

    def _address(self, name):
        def read():
            assert self.process.poll() is None, self.log.read_text()
            path = self.folder / name
            return path.read_text().strip() if path.exists() else ""
        return until(read, 20, f"{name} written")

    def restart(self):
        self.kill()
        self.start()


def _environment(extra):
    listen = {"LONGANIM_LISTEN": "127.0.0.1:0", "LONGANIM_OPS_LISTEN": "127.0.0.1:0"}
    return {**listen, **{("LONGANIM_" + k if k.islower() else k).upper(): v for k, v in extra.items()}}


class Api(Server):
    """longanim-api alone. Keyword arguments are settings: lease_ms=2000 is LONGANIM_LEASE_MS=2000."""

    def __init__(self, folder, redis, store, **settings):
        settings.setdefault("models", "null=null:")
        super().__init__([BUILD / "longanim-api"], folder,
                         _environment({"redis": redis, "store": store, "data": folder, **settings}))


class Worker(Program):
    """longanim-worker alone, with the null model unless told otherwise."""

    def __init__(self, folder, redis, store, **settings):
        settings.setdefault("models", "null=null:")
        Path(folder).mkdir(parents=True, exist_ok=True)
        super().__init__([BUILD / "longanim-worker"], Path(folder) / "longanim-worker.log",
                         _environment({"redis": redis, "store": store, "data": folder, **settings}))


class Serve(Server):
    """`longanim serve --data folder`."""

    def __init__(self, folder, **settings):
        settings.setdefault("models", "null=null:")
        super().__init__([BUILD / "longanim", "serve", "--data", folder], folder, _environment(settings))


# ---- small files ----

def lineart_frames(frames=8, width=64, height=48, shift=0):
    """A circle's outline that moves over white, as uint8 RGB frames."""
    y, x = numpy.mgrid[0:height, 0:width]
    for n in range(frames):
        cx = width * (0.3 + 0.4 * (n + shift) / max(frames - 1, 1))
        distance = numpy.hypot(x - cx, y - height / 2)
        frame = numpy.full((height, width, 3), 255, numpy.uint8)
        frame[numpy.abs(distance - height / 4) < 1.2] = 0
        yield frame


def ffmpeg(arguments, data=None):
    """Runs ffmpeg quietly; returns its stdout."""
    done = subprocess.run(["ffmpeg", "-v", "error", "-nostdin", "-y", *[str(a) for a in arguments]], input=data,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return done.stdout


def make_video(path, frames=8, width=64, height=48, fps="24", codec=None, extra=()):
    """A line-art video; the container by the name's ending. Returns the path."""
    pixels = b"".join(f.tobytes() for f in lineart_frames(frames, width, height))
    codecs = {".mp4": "libx264", ".mov": "libx264", ".mkv": "ffv1", ".webm": "libvpx-vp9", ".avi": "mjpeg"}
    codec = codec or codecs[Path(path).suffix]
    layout = ["-pix_fmt", "yuv444p"] if width % 2 or height % 2 else ["-pix_fmt", "yuv420p"]
    if codec == "mjpeg":
        layout = ["-pix_fmt", "yuvj420p"]
    speed = {"libx264": ["-preset", "ultrafast"], "libvpx-vp9": ["-deadline", "realtime", "-cpu-used", "8"]}.get(codec, [])
    ffmpeg(["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", fps, "-i", "-", "-c:v", codec, *speed,
            *layout, "-threads", "1", *extra, path], pixels)
    return Path(path)


def make_image(path, width=64, height=48, color=(200, 120, 60)):
    """A coloured picture with the circle of frame 0 filled; the format by the name's ending. Returns the path."""
    frame = next(lineart_frames(1, width, height)).copy()
    y, x = numpy.mgrid[0:height, 0:width]
    frame[numpy.hypot(x - width * 0.3, y - height / 2) < height / 4 - 1] = color
    ffmpeg(["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-i", "-", "-frames:v", "1", path],
           frame.tobytes())
    return Path(path)


make_reference = make_image


def make_zip(path, frames=4, width=64, height=48, names=None):
    """PNG frames in a zip. Returns the path."""
    names = names or [f"{n:05d}.png" for n in range(frames)]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, frame in zip(names, lineart_frames(len(names), width, height)):
            png = ffmpeg(["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-i", "-", "-f", "image2pipe",
                          "-c:v", "png", "-"], frame.tobytes())
            archive.writestr(name, png)
    return Path(path)


def decode_video(path, width, height):
    """All frames as one array [frames, height, width, 3] of RGB."""
    data = ffmpeg(["-i", path, "-f", "rawvideo", "-pix_fmt", "rgb24", "-vsync", "0", "-"])
    return numpy.frombuffer(data, numpy.uint8).reshape(-1, height, width, 3)


def make_timesheet(path, shown, column="A"):
    """An XDTS sheet of one column; shown: a drawing's name per frame, None = empty. Returns the path."""
    entries = [{"frame": f, "data": [{"id": 0, "values": ["SYMBOL_NULL_CELL" if name is None else name]}]}
               for f, name in enumerate(shown) if f == 0 or name != shown[f - 1]]
    table = {"name": "t", "duration": len(shown), "timeTableHeaders": [{"fieldId": 0, "names": [column]}],
             "fields": [{"fieldId": 0, "tracks": [{"trackNo": 0, "frames": entries}]}]}
    Path(path).write_text("exchangeDigitalTimeSheet Save Data\n" + json.dumps(
        {"header": {"cut": "1", "scene": "1"}, "timeTables": [table], "version": 5}))
    return Path(path)
