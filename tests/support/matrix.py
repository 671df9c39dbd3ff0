"""Programs that break at named points (service/base/fault_table.h), and what must hold all the same.

A lane is one Redis, one store, one api and one worker. A case arms one point in one of the two programs and plays a
scenario around it; whoever dies is started again, whoever stops is woken after more than a lease."""
import json
import os
import re
import signal
import subprocess
import threading
import time
from collections import namedtuple
from pathlib import Path

import requests

from longanim import BUILD, Api, Redis, Worker, make_image, make_video

TABLE = Path(__file__).resolve().parents[2] / "service" / "base" / "fault_table.h"
LEASE_MS = 900
SETTINGS = {"lease_ms": LEASE_MS, "beat_ms": 150, "retry_base_ms": 20, "sweep_ms": 300, "sweep_age_ms": 2500,
            "stall_ms": 3000, "drain_ms": 200, "fault_enable": 1}
STALL_S = 2.5 * LEASE_MS / 1000
FRAMES = 12
MODEL = "null:segment=8,overlap=2,delay_ms=2"


def until(check, seconds=10.0, what="condition"):
    """longanim.until, less eager: many lanes share the cores."""
    end = time.monotonic() + seconds
    while not (value := check()):
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.04)
    return value


Case = namedtuple("Case", "point action nth scenario")


def all_points():
    text = TABLE.read_text().split("clang-format off")[1]
    points = re.findall(r'FAULT_POINT\("([^"]+)"', text)
    for script in re.findall(r'FAULT_SCRIPT\("([^"]+)"\)', text):
        points += [f"redis.{script}.before", f"redis.{script}.after"]
    return points


def state_letter(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


class Guard:
    """Starts a program again when it has died, and wakes it when it has stopped itself."""

    def __init__(self, start):
        self._start, self.program, self.wanted, self.deaths, self.sleeps = start, None, False, 0, 0
        self.when_asleep = None  # called once when the program has stopped itself
        self._ending = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def start(self, **settings):
        """One that runs with the same settings already goes on running."""
        with self._lock:
            if self.wanted and self._settings == settings and self.program.process.poll() is None:
                return
        self.stop()
        with self._lock:
            self._settings = settings
            self._begin()

    def _begin(self):
        """One that dies before it listens is started once more."""
        for last in (False, True):
            try:
                self.program, self.wanted = self._start(**self._settings), True
                return
            except AssertionError:
                if last:
                    raise

    def stop(self):
        """As an operator stops it; it does not come back."""
        with self._lock:
            self.wanted = False
            program, self.program = self.program, None
        if program:
            os.kill(program.pid, signal.SIGCONT) if program.process.poll() is None else None
            program.kill()

    def _watch(self):
        asleep_since = None
        while not self._ending.wait(0.03):
            with self._lock:
                if not self.wanted:
                    continue
                if self.program.process.poll() is not None:
                    self.deaths += 1
                    self._begin()
                letter = state_letter(self.program.pid)
            if letter not in ("T", "t"):
                asleep_since = None
            elif asleep_since is None:
                asleep_since = time.monotonic()
                call, self.when_asleep = self.when_asleep, None
                if call:
                    call()
            elif time.monotonic() - asleep_since > STALL_S:
                self.sleeps += 1
                os.kill(self.program.pid, signal.SIGCONT)

    def close(self):
        self._ending.set()
        self._thread.join()
        self.stop()


class Lane:
    def __init__(self, folder):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True)
        self.store = self.folder / "store"
        self.redis = Redis(self.folder / "redis")
        self.address = "127.0.0.1:0"
        self.numbers = 0
        self.api = Guard(self._start_api)
        self.worker = Guard(self._start_worker)
        self.video = make_video(self.folder / "in.mkv", FRAMES)
        self.reference = make_image(self.folder / "reference.png")
        self.session = requests.Session()
        self.session.trust_env = False
        self.wanted = None

    def _start_api(self, **settings):
        api = Api(self.folder / "api", self.redis.url, f"file:{self.store}", **{**SETTINGS, "listen": self.address, **settings})
        self.address = api.base.removeprefix("http://")
        return api

    def _start_worker(self, **settings):
        self.numbers += 1
        settings.setdefault("models", f"null={MODEL}")
        return Worker(self.folder / "worker", self.redis.url, f"file:{self.store}",
                      **{**SETTINGS, "worker_id": f"w{self.numbers}", **settings})

    # ---- clients that do not give up ----

    def call(self, method, path, good, seconds=25, **options):
        """Repeats a request until its status is among `good`; connections that break and 409, 429, 5xx are waited out."""
        last = [None]

        def attempt():
            try:
                answer = self.session.request(method, f"http://{self.address}/v1{path}", timeout=10, **options)
            except requests.RequestException as broken:
                last[0] = broken
                return None
            last[0] = (answer.status_code, answer.text[:300])
            assert answer.status_code in good or answer.status_code in (409, 429) or answer.status_code >= 500, last[0]
            return [answer] if answer.status_code in good else None  # an answer of 4xx is not true
        try:
            return until(attempt, seconds, f"{method} {path}")[0]
        except AssertionError as late:
            raise AssertionError(f"{late}; last: {last[0]}") from None

    def form(self, **fields):
        fields = {"seed": 7, "output.snap": "none", **fields}
        return [("video", ("in.mkv", self.video.read_bytes())), ("reference", ("r.png", self.reference.read_bytes())),
                *((k, (None, str(v))) for k, v in fields.items())]

    def submit(self, key, headers=None, **fields):
        answer = self.call("POST", "/jobs", (202,), files=self.form(**{"tags.case": key, **fields}),
                           headers={"Idempotency-Key": key, **(headers or {})})
        return answer.json()["id"]

    def job(self, job_id):
        return self.call("GET", f"/jobs/{job_id}", (200,)).json()

    def wait(self, job_id, seconds=30):
        last = {}

        def ended():
            last.update(self.job(job_id))
            return last["terminal"]
        until(ended, seconds, f"end of {job_id}; last {last}")
        return last

    def succeeds(self, job_id):
        job = self.wait(job_id)
        assert job["state"] == "succeeded", job
        if self.wanted is None:
            self.wanted = job["result"]["sha256"]
        assert job["result"]["sha256"] == self.wanted, "other bytes than an undisturbed run"
        return job

    def is_only(self, key, job_id):
        page = self.call("GET", f"/jobs?tag=case:{key}", (200,)).json()
        assert [j["id"] for j in page["data"]] == [job_id], page

    # ---- the end ----

    def audit(self):
        done = subprocess.run([BUILD / "longanim", "audit", "--json", "--age", "0", "--redis", self.redis.url, "--store",
                               f"file:{self.store}"], capture_output=True, text=True, timeout=60)
        assert done.returncode in (0, 1), done.stderr
        return json.loads(done.stdout)

    def is_clean(self):
        """Nothing is left over once the sweepers have had their turn."""
        found = {}

        def clean():
            found.update(self.audit())
            found["temporaries"] = [str(p) for p in (self.store / ".tmp").iterdir()]
            found["spool"] = [str(p) for p in (self.folder / "api" / "spool").iterdir()]
            scratch = list((self.folder / "worker" / "scratch").iterdir())
            return found["clean"] and not found["temporaries"] and not found["spool"] and len(scratch) <= 1
        until(clean, 20, f"a clean audit: {found}")

    def close(self):
        self.worker.close()
        self.api.close()
        self.redis.kill()

    __enter__ = lambda self: self
    __exit__ = lambda self, *_: self.close()


# ---- scenarios: (lane, key, fault) -> None; `fault` is the setting that arms the point ----

def create(lane, key, fault):
    """The api breaks while a job is created; the client repeats under its key."""
    lane.worker.start()
    lane.api.start(fault=fault)
    job_id = lane.submit(key)
    lane.succeeds(job_id)
    lane.is_only(key, job_id)


def refuse(lane, key, fault):
    """The same around a refusal, which must give the key back."""
    lane.worker.start()
    lane.api.start(fault=fault)
    broken = [("video", ("in.mkv", b"no video at all")), ("reference", ("r.png", lane.reference.read_bytes()))]
    lane.call("POST", "/jobs", (415, 422), files=broken, headers={"Idempotency-Key": key})
    job_id = lane.submit(key)
    lane.succeeds(job_id)
    lane.is_only(key, job_id)


def resumable(lane, key, fault):
    lane.worker.start()
    lane.api.start(fault=fault)
    data, tus = lane.video.read_bytes(), {"Tus-Resumable": "1.0.0"}
    made = lane.call("POST", "/uploads", (201,), headers={**tus, "Upload-Length": str(len(data))})
    path = made.headers["Location"].removeprefix("/v1")

    def offset():
        return int(lane.call("HEAD", path, (200,), headers=tus).headers["Upload-Offset"])
    while (at := offset()) < len(data):
        try:
            lane.session.patch(f"http://{lane.address}/v1{path}", data=data[at:at + len(data) // 2 + 1], timeout=10, headers={
                **tus, "Upload-Offset": str(at), "Content-Type": "application/offset+octet-stream"})
        except requests.RequestException:
            continue
    picture = lane.reference.read_bytes()
    other = lane.call("POST", "/uploads", (201,), data=picture, headers={
        **tus, "Upload-Length": str(len(picture)), "Content-Type": "application/offset+octet-stream"})
    body = {"video": {"upload_id": path.split("/")[-1]}, "reference": [{"upload_id": other.headers["Location"].split("/")[-1]}],
            "params": {"seed": 7, "output": {"snap": "none"}, "tags": {"case": key}}}
    job_id = lane.call("POST", "/jobs", (202,), json=body, headers={"Idempotency-Key": key}).json()["id"]
    lane.succeeds(job_id)
    lane.is_only(key, job_id)
    lane.call("DELETE", path, (204, 404), headers=tus)
    lane.call("DELETE", other.headers["Location"].removeprefix("/v1"), (204, 404), headers=tus)


def run(lane, key, fault):
    """The worker (or its engine) breaks while it runs a job."""
    lane.api.start()
    lane.worker.start(fault=fault)
    job_id = lane.submit(key)
    lane.succeeds(job_id)
    lane.is_only(key, job_id)


def resume(lane, key, fault):
    """The same when the job is taken over half-way."""
    lane.api.start()
    lane.worker.start()
    job_id = lane.submit(key, **{"steps": 100})
    until(lambda: lane.job(job_id)["progress"]["segments_done"] > 0, what="a segment")
    lane.worker.stop()
    lane.worker.start(fault=fault)
    assert lane.wait(job_id)["state"] == "succeeded"
    lane.is_only(key, job_id)


def _running(lane, key, **start):
    lane.worker.start(models="null=null:segment=8,overlap=2,delay_ms=30", **start)
    job_id = lane.submit(key, steps=200)
    until(lambda: lane.job(job_id)["state"] == "running", what="running")
    return job_id


def _cancel(lane, key, job_id):
    lane.call("POST", f"/jobs/{job_id}/cancel", (200, 202))
    job = lane.wait(job_id)
    assert job["state"] == "canceled" and job["result"] is None, job
    lane.is_only(key, job_id)


def cancel_api(lane, key, fault):
    lane.api.start(fault=fault)
    _cancel(lane, key, _running(lane, key))


def cancel_worker(lane, key, fault):
    lane.api.start()
    _cancel(lane, key, _running(lane, key, fault=fault))


def fail_once(lane, key, fault):
    """The worker breaks while it tells of a failure that is ours; the job is tried again."""
    lane.api.start()
    lane.worker.start(models=f"null={MODEL},fail=internal,fault_file={lane.folder}/{key}.failed", fault=fault)
    lane.succeeds(lane.submit(key))


def retry(lane, key, fault):
    """An operator's retry of a failed job, while the api breaks."""
    lane.worker.start(models=f"null={MODEL},fail=weights,fault_file={lane.folder}/{key}.failed")
    lane.api.start()
    job_id = lane.submit(key)
    assert lane.wait(job_id)["state"] == "failed"
    lane.api.stop()
    lane.api.start(fault=fault)
    # 409: the first try was carried out and its answer lost
    until(lambda: lane.call("POST", f"/jobs/{job_id}/retry", (202, 409)).status_code == 202 or
          lane.job(job_id)["state"] != "failed", what="tried again")
    lane.succeeds(job_id)


def delete(lane, key, fault):
    lane.worker.start()
    lane.api.start()
    job_id = lane.submit(key)
    lane.succeeds(job_id)
    lane.api.stop()
    lane.api.start(fault=fault)
    lane.call("DELETE", f"/jobs/{job_id}", (204, 410))
    lane.call("GET", f"/jobs/{job_id}", (410,))

    def only_a_tombstone():
        try:
            return [p.name for p in lane.store.rglob("*") if p.is_file() and job_id in str(p)] == ["tombstone.json"]
        except FileNotFoundError:  # a folder went while it was looked at
            return False
    until(only_a_tombstone, 15, "nothing but a tombstone")


def drain(lane, key, fault):
    lane.api.start()
    job_id = _running(lane, key, fault=fault)
    lane.worker.program.signal(signal.SIGTERM)
    lane.worker._settings["models"] = f"null={MODEL}"  # the next one is quick
    assert lane.wait(job_id)["state"] == "succeeded"
    lane.is_only(key, job_id)


def lose(lane, key, fault):
    """A worker sleeps through its lease and breaks when it cleans up behind itself."""
    lane.api.start()
    job_id = _running(lane, key, fault=fault)
    until(lambda: lane.job(job_id)["progress"]["step"] > 0, what="a step")
    lane.worker._settings["models"] = f"null={MODEL}"
    lane.worker.program.signal(signal.SIGSTOP)  # the guard wakes it
    assert lane.wait(job_id)["state"] == "succeeded"
    lane.is_only(key, job_id)


def restore(lane, key, fault):
    """Redis' data is lost; the api breaks while it is put back."""
    lane.worker.start()
    lane.api.start()
    ended = lane.submit(key)
    lane.succeeds(ended)
    until(lambda: list(lane.store.rglob(f"{ended}/end.json")), what="the end is settled")
    lane.worker.stop()
    queued = lane.submit(f"{key}-queued")
    lane.api.stop()
    lane.redis.wipe()
    lane.api.start(fault=fault)
    lane.succeeds(ended)
    lane.worker.start()
    lane.succeeds(queued)
    assert lane.submit(f"{key}-queued") == queued


def reap(lane, key, fault):
    """The worker is killed with a job; the api breaks while it takes the job back."""
    lane.api.start(fault=fault)
    job_id = _running(lane, key)
    lane.worker.stop()
    lane.worker.start()
    assert lane.wait(job_id)["state"] == "succeeded"
    lane.is_only(key, job_id)


SCENARIOS = {f.__name__: f for f in (create, refuse, resumable, run, resume, cancel_api, cancel_worker, fail_once, retry, delete,
                                     drain, lose, restore, reap)}

# Which scenario passes which points: the first pattern that fits.
PASSES = [
    (r"api\.create|redis\.(idem_reserve|enqueue)\.|store\.put", "create"),
    (r"redis\.idem_release", "refuse"),
    (r"api\.tus", "resumable"),
    (r"ledger\.delete|redis\.delete|store\.delete", "delete"),
    (r"ledger\.retry|redis\.retry", "retry"),
    (r"ledger\.reconcile|redis\.restore", "restore"),
    (r"redis\.(reap|promote)|ledger\.sweep", "reap"),
    (r"redis\.cancel\.", "cancel_api"),
    (r"worker\.canceled|redis\.canceled", "cancel_worker"),
    (r"worker\.released|redis\.release", "drain"),
    (r"worker\.failed|redis\.fail\.", "fail_once"),
    (r"worker\.tidied", "lose"),
    (r"worker\.resumed", "resume"),
    (r"worker\.|engine\.|redis\.|ledger\.", "run"),
]


def scenario_of(point):
    return next(name for pattern, name in PASSES if re.match(pattern, point))


def cases():
    """Death at every point; sleep and failure where they mean something else than death."""
    made = [Case(p, "die", 1, scenario_of(p)) for p in all_points()]
    made += [Case("store.put.written", "die", n, "create") for n in (2, 3)]
    made += [Case("store.put.renamed", "die", 3, "create")]  # the inputs have their names, and the manifest
    made += [Case("store.put.renamed", "die", n, "run") for n in (2, 5)]
    made += [Case(p, "stall", 1, scenario_of(p)) for p in (
        "api.create.manifest_stored", "api.create.enqueued", "worker.claimed", "worker.segment.checkpointed",
        "worker.upload.receipt", "worker.completed", "worker.beat", "engine.segment", "ledger.settle.recorded")]
    # Redis dies and comes back while the program stands still at the point
    made += [Case(p, "redis", 1, scenario_of(p)) for p in (
        "api.create.manifest_stored", "redis.enqueue.after", "redis.claim.after", "redis.segment.after", "redis.complete.before",
        "redis.complete.after", "ledger.settle.recorded")]
    made += [Case(p, "error", 1, scenario_of(p)) for p in (
        "api.create.manifest_stored", "store.put.written", "store.put.renamed", "ledger.success.written", "redis.enqueue.after", "redis.claim.after",
        "redis.segment.after", "redis.complete.after", "redis.delete.after", "redis.cancel.after")]
    return made


def play(lane, case, number):
    key = f"case-{number}"
    marker = lane.folder / f"{key}.struck"
    fault = f"{case.point}:{'stall' if case.action == 'redis' else case.action}:{case.nth}@{marker}"
    lane.api.when_asleep = lane.worker.when_asleep = lane.redis.restart if case.action == "redis" else None
    SCENARIOS[case.scenario](lane, key, fault)
    until(marker.exists, 5, f"the point {case.point} was passed")


def play_all(folder, numbered, lanes):
    """{number: None or what went wrong}; the key "audit" holds what is wrong with the lanes at their ends."""
    outcome, waiting, lock = {"audit": []}, list(numbered), threading.Lock()

    def work(index):
        with Lane(Path(folder) / f"lane{index}") as lane:
            while True:
                with lock:
                    if not waiting:
                        break
                    number, case = waiting.pop(0)
                try:
                    play(lane, case, number)
                    outcome[number] = None
                except Exception as wrong:  # of any kind: it is this case's
                    outcome[number] = f"{type(wrong).__name__}: {wrong}"
            try:
                lane.worker.start()
                lane.api.start()
                lane.is_clean()
            except Exception as wrong:
                outcome["audit"].append(f"lane {index}: {wrong}")
    threads = [threading.Thread(target=work, args=(i,)) for i in range(lanes)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcome
