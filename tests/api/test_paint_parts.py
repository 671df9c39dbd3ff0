"""Palettes, timesheets and planes through the HTTP API, with a real worker and the null model."""
import hashlib
import io
import json
import zipfile

import pytest

from support.longanim import make_timesheet, make_zip, until

PALETTE = json.dumps([{"name": "skin", "rgb": [10, 200, 30]}, {"name": "paper", "rgb": [250, 250, 240]}]).encode()


@pytest.fixture(scope="module")
def running(service):
    service.worker("null=null:delay_ms=5,segment=9,overlap=2,steps=4")
    return service


def post(api, media, video=None, fields=(), **files):
    parts = [("video", (video or media.video).open("rb")), ("reference", media.reference.open("rb"))]
    parts += [(name, (name, content)) for name, content in files.items()]
    parts += [(name, (None, str(value))) for name, value in fields]
    return api.request("POST", "/jobs", files=parts)


def test_a_job_with_palette_and_timesheet_gives_its_planes(running, media, tmp_path):
    cels = make_zip(tmp_path / "cels.zip", names=["A1.png", "A2.png", "A3.png"])
    sheet = make_timesheet(tmp_path / "cut.xdts", ["1", "1", "3", "3", None, "2", "2", "2"])
    response = post(running.api, media, cels, [("output.planes", "true"), ("fps", "12"), ("seed", 3)], palette=PALETTE,
                    timesheet=sheet.read_bytes())
    assert response.status_code == 202, response.text
    job = response.json()
    assert job["input"]["palette"]["sha256"] == hashlib.sha256(PALETTE).hexdigest()
    assert job["input"]["timesheet"]["bytes"] == sheet.stat().st_size
    job = running.api.wait(job["id"], {"succeeded"}, 40)
    assert job["result"]["frames"] == 8
    listed = running.api.get(f"/jobs/{job['id']}/artifacts").json()["data"]
    assert [a["name"] for a in listed] == ["palette.json", "line.zip", "paint.zip", "regions.zip", "confidence.zip", "sheet.png"]
    for artifact in listed:
        got = running.api.get(artifact["url"])
        assert got.headers["Content-Type"] == artifact["content_type"] and len(got.content) == artifact["bytes"]
        assert hashlib.sha256(got.content).hexdigest() == artifact["sha256"]
        if artifact["name"].endswith(".zip"):
            assert zipfile.ZipFile(io.BytesIO(got.content)).namelist() == ["A1.png", "A2.png", "A3.png"]
    assert [c["name"] for c in running.api.get(listed[0]["url"]).json()["colors"]] == ["skin", "paper"]
    part = running.api.get(listed[1]["url"], headers={"Range": "bytes=0-3"})
    assert part.status_code == 206 and part.content == b"PK\3\4"
    receipt = running.api.get(f"/jobs/{job['id']}/receipt").json()
    assert receipt["inputs"]["timesheet"] | {"sha256": 0} == {
        "sha256": 0, "bytes": sheet.stat().st_size, "frames": 8, "drawings": 3, "column": "A"}
    assert receipt["inputs"]["palette"]["colors"] == 2
    running.api.problem("GET", f"/jobs/{job['id']}/artifacts/other.zip", 404, "artifact_not_found")
    assert running.api.request("DELETE", f"/jobs/{job['id']}").status_code == 204
    until(lambda: not list((running.folder / "store").rglob("palette.bin")), what="the inputs are gone")


def test_a_job_without_planes_still_has_its_palette(running, media):
    job = running.api.wait(post(running.api, media).json()["id"], {"succeeded"}, 40)
    assert [a["name"] for a in running.api.get(f"/jobs/{job['id']}/artifacts").json()["data"]] == ["palette.json"]
    other = running.api.wait(post(running.api, media, fields=[("output.snap", "none")]).json()["id"], {"succeeded"}, 40)
    assert running.api.get(f"/jobs/{other['id']}/artifacts").json()["data"] == []


@pytest.mark.parametrize("files, status, code", [
    ({"palette": b""}, 422, "params_invalid"),
    ({"palette": b"GIMP Palette\n300 0 0 red\n"}, 422, "params_invalid"),
    ({"palette": b"x" * ((1 << 20) + 1)}, 413, "payload_too_large"),
    ({"timesheet": b"{}"}, 422, "params_invalid"),
    ({"timesheet": b"exchangeDigitalTimeSheet Save Data\n{}"}, 422, "params_invalid"),
    ({"timesheet": b" " * ((4 << 20) + 1)}, 413, "payload_too_large"),
])
def test_bad_ones_are_refused_at_once(service, media, files, status, code):
    response = post(service.api, media, **files)
    assert (response.status_code, response.json()["code"]) == (status, code), response.text
    name = next(iter(files))
    assert name in json.dumps(response.json())


def test_a_sheet_of_another_length_is_refused_before_anything_runs(service, media, tmp_path):
    sheet = make_timesheet(tmp_path / "cut.xdts", ["1", "2", "3"]).read_bytes()
    response = post(service.api, media, timesheet=sheet)
    assert response.status_code == 422 and "8" in response.json()["detail"]


@pytest.mark.parametrize("fields", [
    [("output.planes", "true"), ("output.snap", "none")], [("background", "transparent"), ("output.snap", "none")],
    [("trace_lines", "red"), ("output.snap", "none")], [("gap", "4"), ("output.snap", "none")]])
def test_what_only_region_snap_can_do_is_not_silently_left_out(service, media, fields):
    response = post(service.api, media, fields=fields)
    assert response.status_code == 422 and response.json()["code"] == "params_invalid", response.text
    assert "needs" in response.json()["detail"] and response.json()["errors"]


def test_a_zip_whose_files_are_not_the_drawings_of_the_sheet_is_refused_at_once(service, media, tmp_path):
    """The prober holds the sheet against the names: the client hears of it in the answer to its POST, not from a failed job."""
    reference = ("reference", ("ref.png", media.reference.read_bytes()))

    def send(names, shown):
        make_zip(tmp_path / "cel.zip", names=names)
        sheet = make_timesheet(tmp_path / "cut.xdts", shown)
        return service.api.request("POST", "/jobs", files=[
            ("video", ("cel.zip", (tmp_path / "cel.zip").read_bytes())), reference, ("timesheet", ("t", sheet.read_bytes()))])

    cel = ["A0001.png", "A0002.png"]
    for names, shown, said in ((cel, ["1", "1", "3"], "drawing 3"), (["x.png", "y.png"], ["1", "2", "2"], "names")):
        problem = send(names, shown)
        assert problem.status_code == 422 and problem.json()["code"] == "params_invalid", problem.text
        assert said in problem.json()["detail"] and problem.json()["errors"][0]["field"] == "timesheet"
    assert send(cel, ["1"] * 5001).json()["code"] == "media_too_many_frames"
    assert send(cel, ["1", "1", "2"]).status_code == 202  # a file per drawing
    assert send(cel, ["7", "8"]).status_code == 202  # as long as the sheet: the shot itself, whatever its names


def test_the_same_key_with_another_palette_is_another_request(service, media):
    headers = {"Idempotency-Key": "paint-parts"}
    files = [("video", media.video.read_bytes()), ("reference", media.reference.read_bytes())]
    codes = [service.api.request("POST", "/jobs", headers=headers,
                                 files=files + [("palette", ("p", content))]).status_code
             for content in (PALETTE, PALETTE, PALETTE.replace(b"10", b"11"))]
    assert codes == [202, 202, 422]
