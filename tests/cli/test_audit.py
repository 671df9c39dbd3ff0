"""`longanim audit` beside a running service."""
import json
import subprocess

from longanim import BUILD, make_image, make_video, until


def audit(*arguments):
    done = subprocess.run([BUILD / "longanim", "audit", *map(str, arguments)], capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout, done.stderr


def test_damage_is_named_and_repaired(service, tmp_path):
    serve = service(sweep_age_ms=3600000)
    job = serve.submit(make_video(tmp_path / "in.mkv", 5), make_image(tmp_path / "r.png"))["id"]
    assert serve.wait(job)["state"] == "succeeded"
    where = ("--data", tmp_path / "data", "--age", 0)
    until(lambda: audit(*where)[0] == 0, what="clean once the end is settled")
    folder = next((tmp_path / "data" / "store").rglob(job))
    (folder / "out" / "e9").mkdir()
    (folder / "out" / "e9" / "stray.mp4").write_bytes(b"x")
    (folder / "end.json").unlink()
    status, text, _ = audit(*where, "--json")
    found = json.loads(text)
    assert status == 1 and not found["clean"]
    assert sorted(f["kind"] for f in found["findings"]) == ["end_missing", "unreferenced"]
    assert {f["job"] for f in found["findings"]} == {job}
    status, text, _ = audit(*where, "--repair")
    assert status == 0 and "0 left" in text and text.count("(repaired)") == 2
    assert (folder / "end.json").exists() and not (folder / "out" / "e9").exists()
    assert audit(*where) == (0, audit(*where)[1], "") and "0 findings" in audit(*where)[1]


def test_what_cannot_be_repaired_stays_an_error(service, tmp_path):
    serve = service()
    job = serve.submit(make_video(tmp_path / "in.mkv", 5), make_image(tmp_path / "r.png"))["id"]
    result = serve.wait(job)["result"]["sha256"]
    next((tmp_path / "data" / "store").rglob(f"{result}.mp4")).unlink()
    status, text, _ = audit("--data", tmp_path / "data", "--repair")
    assert status == 1 and f"result_missing: {job}" in text


def test_it_says_what_it_needs(tmp_path):
    assert audit()[0] == 2 and "--data" in audit()[2]
    status, _, error = audit("--redis", f"unix:{tmp_path}/none.sock", "--store", f"file:{tmp_path}/store")
    assert status == 1 and "Redis" in error
