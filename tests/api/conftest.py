"""The real programs around a real Redis; every answer that passes through the client is held against openapi.yaml."""
import hashlib
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import contract  # noqa: E402
from support import longanim  # noqa: E402


class Api(longanim.Api):
    """The program with a client that checks what it sees."""

    def request(self, method, path, **options):
        response = super().request(method, path, **options)
        if not options.get("stream"):
            contract.check(method, path, response)
        return response

    def problem(self, method, path, status, code, **options):
        """A request that must fail like this; returns the problem document."""
        response = self.request(method, path, **options)
        assert response.status_code == status, response.text
        assert response.json()["code"] == code, response.text
        return response.json()


class Service:
    """Redis, store and api in one folder; a worker when asked for. Keyword arguments are settings of the api."""

    def __init__(self, folder, **settings):
        self.folder = Path(folder)
        self.redis = longanim.Redis(self.folder / "redis")
        self.store = f"file:{self.folder}/store"
        self.settings = {"lease_ms": 2000, "retry_base_ms": 50, **settings}
        self.workers = []
        self.api = Api(self.folder / "api", self.redis.url, self.store, **self.settings)
        longanim.until(lambda: self.api.ops.get("/readyz").status_code == 200, what="ready")

    def worker(self, models="null=null:delay_ms=5", **settings):
        number = len(self.workers)
        self.workers.append(longanim.Worker(self.folder / f"worker{number}", self.redis.url, self.store, models=models,
                                            lease_ms=2000, beat_ms=200, **settings))
        return self.workers[-1]

    def close(self):
        alive = self.api.process.poll() is None
        for program in [*self.workers, self.api, self.redis]:
            program.close()
        if alive:
            assert self.api.process.returncode == 0, self.api.log.read_text()[-3000:]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Media:
    """Small inputs, made once."""

    def __init__(self, folder):
        self.folder = folder
        self.video = longanim.make_video(folder / "in.mp4")
        self.reference = longanim.make_image(folder / "ref.png")
        self.zip = longanim.make_zip(folder / "in.zip")
        self.video_sha256 = hashlib.sha256(self.video.read_bytes()).hexdigest()

    def files(self, **fields):
        """What requests needs for one complete form."""
        return [("video", ("in.mp4", self.video.read_bytes())), ("reference", ("ref.png", self.reference.read_bytes())),
                *((name, (None, str(value))) for name, value in fields.items())]


@pytest.fixture(scope="session")
def media(tmp_path_factory):
    return Media(tmp_path_factory.mktemp("media"))


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    with Service(tmp_path_factory.mktemp("service")) as made:
        yield made


@pytest.fixture
def api(service):
    return service.api


@pytest.fixture
def fresh(tmp_path):
    """A service of one's own, with settings: fresh(keys=…)."""
    made = []

    def make(**settings):
        made.append(Service(tmp_path / f"service{len(made)}", **settings))
        return made[-1]
    yield make
    for one in made:
        one.close()
