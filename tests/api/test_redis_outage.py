"""Redis killed, restarted and emptied under 64 clients: they hear 503 and when to come back, and never a wrong answer."""
import random
import threading
import time

import requests

from support.longanim import until

CLIENTS = 64


class Client(threading.Thread):
    """Makes jobs and looks at them; remembers every answer that no client may ever get."""

    def __init__(self, number, base, media, stop):
        super().__init__()
        self.number, self.base, self.media, self.stopping = number, base, media, stop
        self.jobs, self.versions, self.wrong, self.refused, self.answered = {}, {}, [], 0, 0
        self.random = random.Random(number)
        self.session = requests.Session()

    def ask(self, method, path, **options):
        """The answer, or None when it is a 503 as it must be."""
        response = self.session.request(method, self.base + path, timeout=30, **options)
        if response.status_code == 503:
            problem = response.json()
            good = problem["retryable"] and int(response.headers["Retry-After"]) >= 1
            if not good or problem["code"] not in ("dependency_redis", "overloaded"):
                self.wrong.append((method, path, response.status_code, response.text))
            self.refused += 1
            return None
        self.answered += 1
        return response

    def expect(self, response, path, *statuses):
        if response is not None and response.status_code not in statuses:
            self.wrong.append((path, response.status_code, response.text[:300]))
        return response is not None and response.status_code in statuses

    def create(self):
        key = f"{self.number}-{self.random.randrange(6)}"
        response = self.ask("POST", "/v1/jobs", headers={"Idempotency-Key": key},
                            files=self.media.files(seed=int(key.split("-")[1])))
        # 409: an earlier try of ours, answered 503, may still be on its way.
        if self.expect(response, "POST", 202, 409) and response.status_code == 202:
            job = response.json()["id"]
            if self.jobs.setdefault(key, job) != job:
                self.wrong.append(("two jobs of one key", key, self.jobs[key], job))

    def look(self):
        job = self.random.choice(list(self.jobs.values()))
        response = self.ask("GET", f"/v1/jobs/{job}")
        if self.expect(response, job, 200):
            version = response.json()["version"]
            if version < self.versions.get(job, 0):
                self.wrong.append(("version went back", job, self.versions[job], version))
            self.versions[job] = version

    def listing(self):
        response = self.ask("GET", f"/v1/jobs?limit=100&tag=none:{self.number}")
        self.expect(response, "list", 200)

    def segments(self):
        job = self.random.choice(list(self.jobs.values()))
        self.expect(self.ask("GET", f"/v1/jobs/{job}/segments"), "segments", 200)

    def run(self):
        try:
            while not self.stopping.is_set():
                self.random.choice([self.create] + ([self.look, self.look, self.segments, self.listing] if self.jobs else []))()
                time.sleep(0.02)
        except requests.RequestException as e:
            self.wrong.append(("no answer", repr(e)))


def test_clients_are_told_to_come_back_and_nothing_is_lost_or_doubled(fresh, media):
    service = fresh()
    api, stop = service.api, threading.Event()
    clients = [Client(n, api.base, media, stop) for n in range(CLIENTS)]
    for c in clients:
        c.start()

    def recover(kind):
        before = sum(c.answered for c in clients)
        refused = sum(c.refused for c in clients)
        if kind == "wipe":
            service.redis.wipe()
        else:
            service.redis.kill()
            until(lambda: sum(c.refused for c in clients) > refused + CLIENTS, 20, "clients hear of it")
            service.redis.start()
        until(lambda: api.ops.get("/readyz").status_code == 200, 20, "ready again")
        until(lambda: sum(c.answered for c in clients) > before + 2 * CLIENTS, 20, "it goes on")
    until(lambda: sum(len(c.jobs) for c in clients) > CLIENTS, 30, "under way")
    for kind in ("kill", "kill", "wipe"):
        recover(kind)
    stop.set()
    for c in clients:
        c.join()
    wrong = [w for c in clients for w in c.wrong]
    assert not wrong, (len(wrong), wrong[:5])
    assert sum(c.refused for c in clients) > 2 * CLIENTS
    assert api.process.poll() is None, "without a restart"
    jobs = {job for c in clients for job in c.jobs.values()}
    assert len(jobs) == sum(len(c.jobs) for c in clients)
    known, cursor = {}, ""
    while cursor is not None:
        page = api.get(f"/jobs?limit=100{cursor}").json()
        known.update({j["id"]: j["state"] for j in page["data"]})
        cursor = f"&after={page['next']}" if page["next"] else None
    assert jobs <= set(known)
    # A POST that was answered 503 left no job; nobody who repeated it got a second one.
    strays = set(known) - jobs
    assert not strays, f"{len(strays)} jobs that nobody was told of"
