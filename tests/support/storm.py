#!/usr/bin/env python3
"""Thousands of jobs while everything is killed, stopped and broken at named points; `make storm` runs it.

usage: tests/support/storm.py [--jobs 2000] [--kills 100] [--workers 2] [--seed N]
Ends with one line: jobs, kills, and how many were lost, doubled, wrong or leaked; exits 1 when any was."""
import argparse
import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import requests

sys.path.insert(0, str(Path(__file__).resolve().parent))
import matrix  # noqa: E402
from longanim import BUILD, Api, Redis, Worker, make_image, make_video  # noqa: E402

SEEDS = 5
MODEL = "null=null:segment=6,overlap=2"
SETTINGS = {"lease_ms": 1500, "beat_ms": 200, "retry_base_ms": 20, "sweep_ms": 1000, "sweep_age_ms": 20000, "fault_enable": 1,
            "models": MODEL, "log": "warn"}
POINTS = {"api": [p for p in matrix.all_points() if p.startswith(("api.create", "redis.enqueue", "redis.idem_reserve"))],
          "worker": [p for p in matrix.all_points() if p.startswith(("worker.", "engine.", "ledger.s", "store.put")) or
                     p.startswith(("redis.claim", "redis.segment", "redis.complete", "redis.beat"))]}


class Storm:
    def __init__(self, folder, options):
        self.folder, self.options, self.rng = Path(folder), options, random.Random(options.seed)
        self.kills, self.lock = Counter(), threading.Lock()
        self.store, self.address = self.folder / "store", "127.0.0.1:0"
        self.redis = Redis(self.folder / "redis")
        self.video, self.reference = make_video(self.folder / "in.mkv", 8), make_image(self.folder / "reference.png")
        self.wanted = [self._undisturbed(seed) for seed in range(SEEDS)]
        self.calm, self.markers = False, 0
        self.api = matrix.Guard(self._start_api)
        self.workers = [matrix.Guard(lambda name=f"worker{n}": self._start_worker(name)) for n in range(options.workers)]
        for guard in (self.api, *self.workers):
            guard.start()

    def _undisturbed(self, seed):
        out = self.folder / f"{seed}.mp4"
        subprocess.run([BUILD / "longanim", "colorize", "--video", self.video, "--reference", self.reference, "--out", out,
                        "--model", MODEL.split("=", 1)[1], "--seed", str(seed), "--output.snap", "none"], check=True, capture_output=True)
        return hashlib.sha256(out.read_bytes()).hexdigest()

    def _fault(self, program):
        """One of two starts comes with a fault that strikes after a while."""
        if self.calm or self.rng.random() < 0.5:
            return {}
        self.markers += 1
        marker = self.folder / "struck" / f"{self.markers}"
        marker.parent.mkdir(exist_ok=True)
        point = self.rng.choice(POINTS[program])
        return {"fault": f"{point}:{self.rng.choice(['die', 'die', 'stall'])}:{self.rng.randint(1, 12)}@{marker}"}

    def _start_api(self):
        api = Api(self.folder / "api", self.redis.url, f"file:{self.store}", **{**SETTINGS, "listen": self.address, **self._fault("api")})
        self.address = api.base.removeprefix("http://")
        return api

    def _start_worker(self, name):
        return Worker(self.folder / name, self.redis.url, f"file:{self.store}", **{**SETTINGS, **self._fault("worker")})

    # ---- violence ----

    def _children(self, guard, name):
        program = guard.program
        if program is None:
            return []
        done = subprocess.run(["pgrep", "-P", str(program.pid), name], capture_output=True, text=True)
        return [int(pid) for pid in done.stdout.split()]

    def strike(self):
        what = self.rng.choice(["api", "worker", "worker", "engine", "engine", "probe", "redis", "asleep"])
        guard = self.rng.choice(self.workers) if what in ("worker", "engine", "asleep") else self.api
        try:
            if what == "redis":
                self.redis.restart()
            elif what in ("api", "worker"):
                os.kill(guard.program.pid, signal.SIGKILL)
            elif what == "asleep":
                os.kill(guard.program.pid, signal.SIGSTOP)  # the guard wakes it after more than its lease
            else:
                pids = self._children(guard, f"longanim-{what}")
                if not pids:
                    return
                os.kill(pids[0], signal.SIGKILL)
        except (OSError, AttributeError):
            return
        self.kills[what] += 1

    def total(self):
        struck = self.folder / "struck"
        return sum(self.kills.values()) + (len(list(struck.iterdir())) if struck.exists() else 0)

    # ---- clients ----

    def call(self, method, path, seconds=120, **options):
        end = time.monotonic() + seconds
        while True:
            try:
                answer = requests.request(method, f"http://{self.address}/v1{path}", timeout=15, **options)
                if answer.status_code < 500 and answer.status_code != 429 and "in_progress" not in answer.text:
                    return answer
            except requests.RequestException:
                pass
            assert time.monotonic() < end, f"no answer to {method} {path}"
            time.sleep(0.05)

    def post(self, n):
        files = [("video", ("in.mkv", self.video.read_bytes())), ("reference", ("r.png", self.reference.read_bytes())),
                 ("seed", (None, str(n % SEEDS))), ("output.snap", (None, "none"))]
        answer = self.call("POST", "/jobs", files=files, headers={"Idempotency-Key": f"job-{n}"})
        assert answer.status_code == 202, answer.text
        return answer.json()["id"]

    def submit(self):
        """{number: id}, by some clients at once."""
        ids, numbers, errors = {}, iter(range(self.options.jobs)), []

        def client():
            while True:
                with self.lock:
                    n = next(numbers, None)
                if n is None or errors:
                    return
                try:
                    ids[n] = self.post(n)
                except AssertionError as wrong:
                    errors.append(str(wrong))
        threads = [threading.Thread(target=client) for _ in range(6)]
        for thread in threads:
            thread.start()
        return ids, threads, errors

    def listed(self):
        found, after = [], ""
        while after is not None:
            page = self.call("GET", f"/jobs?limit=100{after}").json()
            found += page["data"]
            after = f"&after={page['next']}" if page["next"] else None
        return found

    def ended(self):
        """How many jobs have succeeded, by the page of metrics; 0 while nobody answers."""
        try:
            page = self.api.program.ops.get("/metrics", timeout=2).text
            return int(float(re.search(r'longanim_jobs_total{[^}]*result="succeeded"} (\S+)', page)[1]))
        except (requests.RequestException, TypeError, AttributeError):
            return 0

    # ---- the whole ----

    def run(self):
        ids, threads, errors = self.submit()
        retried = 0
        began = time.monotonic()
        while True:
            time.sleep(self.rng.uniform(0.1, self.options.pause))
            kills, done = self.total(), self.ended()
            if kills < self.options.kills or any(t.is_alive() for t in threads):
                if kills < 10 + self.options.kills * done / self.options.jobs:  # spread over the whole run
                    self.strike()
            elif not self.calm:
                self.calm = True
                for guard in (self.api, *self.workers):  # without armed faults from here on
                    guard.stop()
                    guard.start()
            if self.calm:
                jobs = self.listed()
                for job in jobs:
                    if job["state"] == "failed" and (job["attempt"] >= 3 or job["worker_losses"] >= 3):
                        retried += self.call("POST", f"/jobs/{job['id']}/retry").status_code == 202
                open_jobs = sum(not j["terminal"] for j in jobs)
                print(f"{time.monotonic() - began:6.0f} s  {len(ids)} accepted, {len(jobs) - open_jobs} ended, {self.total()} kills", flush=True)
                if not open_jobs and not any(j["state"] == "failed" for j in jobs):
                    break
                time.sleep(2)
            assert not errors, errors
        return self.judge(ids, jobs, retried, time.monotonic() - began)

    def judge(self, ids, jobs, retried, seconds):
        by_id = {j["id"]: j for j in jobs}
        lost = [i for i in ids.values() if by_id.get(i, {}).get("state") != "succeeded"]
        double = len(jobs) - len(set(ids.values()))
        wrong = [i for n, i in ids.items() if i in by_id and by_id[i]["state"] == "succeeded" and (
            by_id[i]["result"]["sha256"] != self.wanted[n % SEEDS] or
            hashlib.sha256(self.call("GET", f"/jobs/{i}/result").content).hexdigest() != self.wanted[n % SEEDS])]
        end = time.monotonic() + 60
        while True:  # what is left over becomes old enough to be swept
            done = subprocess.run([BUILD / "longanim", "audit", "--json", "--age", "0", "--redis", self.redis.url, "--store",
                                   f"file:{self.store}"], capture_output=True, text=True)
            audit = json.loads(done.stdout)
            leaked = audit["left"] + len(list((self.store / ".tmp").iterdir())) + len(list((self.folder / "api" / "spool").iterdir()))
            if not leaked or time.monotonic() > end:
                break
            time.sleep(2)
        kinds = Counter(f["kind"] for f in audit["findings"])
        struck = self.total() - sum(self.kills.values())
        print(f"kills: {dict(self.kills)}, at named points: {struck}; retried by hand: {retried}; audit: {dict(kinds)}")
        print(f"{len(ids)} jobs, {self.total()} kills in {seconds:.0f} s: {len(lost)} lost, {double} double, {len(wrong)} wrong, {leaked} leaked")
        return 1 if lost or double or wrong or leaked or len(ids) != self.options.jobs else 0

    def close(self):
        for guard in (*self.workers, self.api):
            guard.close()
        self.redis.kill()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--jobs", type=int, default=2000)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--pause", type=float, default=2.0, help="most seconds between two kills")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="longanim-storm-")
    print(f"storm: seed {options.seed}, in {folder}", flush=True)
    storm = Storm(folder, options)
    try:
        status = storm.run()
    finally:
        storm.close()
    if status == 0:
        shutil.rmtree(folder)
    return status


if __name__ == "__main__":
    sys.exit(main())
