"""`longanim colorize`: the engine without a server."""
import json
import os
import pty
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from longanim import BUILD, decode_video, ffmpeg, lineart_frames, make_image, make_timesheet, make_video, make_zip, until  # noqa: E402

TINY = Path(__file__).resolve().parents[2] / "models" / "tiny_a"


def longanim(*arguments, **options):
    return subprocess.run([BUILD / "longanim", *map(str, arguments)], capture_output=True, text=True, timeout=120, **options)


def colorize(folder, video, out="out.mp4", model="null:", seed=7, **flags):
    reference = folder / "reference.png"
    if not reference.exists():
        make_image(reference)
    arguments = ["colorize", "--video", video, "--reference", reference, "--out", folder / out, "--model", model, "--seed", seed]
    for name, value in flags.items():
        arguments += ["--" + name.replace("__", "."), value]
    return longanim(*arguments)


def probe(path):
    text = subprocess.run(["ffprobe", "-v", "error", "-count_frames", "-select_streams", "v", "-show_entries",
                           "stream=width,height,nb_read_frames,r_frame_rate,pix_fmt,codec_name", "-of", "json", path],
                          capture_output=True, text=True, check=True).stdout
    return json.loads(text)["streams"][0]


def times(path):
    text = subprocess.run(["ffprobe", "-v", "error", "-select_streams", "v", "-show_entries", "frame=pts_time", "-of", "csv=p=0",
                           path], capture_output=True, text=True, check=True).stdout
    return [float(t.strip(",")) for t in text.split()]


@pytest.mark.parametrize("frames", [1, 5, 24, 81, 82, 200])
def test_every_frame_comes_out(tmp_path, frames):
    video = make_video(tmp_path / "in.mp4", frames)
    done = colorize(tmp_path, video)
    assert done.returncode == 0, done.stderr
    result = probe(tmp_path / "out.mp4")
    assert (int(result["nb_read_frames"]), result["width"], result["height"]) == (frames, 64, 48)
    assert result["r_frame_rate"] == "24/1"
    last = json.loads(done.stdout.splitlines()[-1])
    assert last["event"] == "done" and last["frames"] == frames and last["seed"] == 7


def test_odd_sizes_and_uneven_frame_times_are_kept(tmp_path):
    steady = make_video(tmp_path / "steady.mkv", 30, 65, 47, fps="30000/1001")
    uneven = tmp_path / "in.mkv"
    ffmpeg(["-i", steady, "-vf", "select='not(eq(mod(n,3),1))'", "-vsync", "vfr", "-c:v", "ffv1", uneven])
    assert colorize(tmp_path, uneven).returncode == 0
    result = probe(tmp_path / "out.mp4")
    assert (result["width"], result["height"], result["pix_fmt"]) == (65, 47, "yuv444p")
    assert times(tmp_path / "out.mp4") == pytest.approx(times(uneven), abs=0.0011)


def test_the_same_request_gives_the_same_bytes(tmp_path):
    video = make_video(tmp_path / "in.mp4", 40)
    outputs = []
    for name in ("a.mp4", "b.mp4"):
        assert colorize(tmp_path, video, name, output__snap="none").returncode == 0
        outputs.append((tmp_path / name).read_bytes())
    assert outputs[0] == outputs[1]
    assert colorize(tmp_path, video, "c.mp4", seed=8, output__snap="none").returncode == 0
    assert (tmp_path / "c.mp4").read_bytes() != outputs[0]


def test_frames_of_a_zip_keep_their_names(tmp_path):
    video = make_zip(tmp_path / "in.zip", names=["cut/a_0009.png", "cut/a_0010.png", "cut/b.v2.png"])
    done = colorize(tmp_path, video, "out.zip", fps="12")
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        assert archive.namelist() == ["cut/a_0009.png", "cut/a_0010.png", "cut/b.v2.png"]


def test_transparent_paper_is_white(tmp_path):
    """The lines of a frame with alpha 0 around them, whose hidden colour is black."""
    video = tmp_path / "in.zip"
    with zipfile.ZipFile(video, "w") as archive:
        for n, frame in enumerate(lineart_frames(3)):
            ink = frame[..., :1] < 128
            rgba = numpy.concatenate([numpy.zeros_like(frame), ink.astype(numpy.uint8) * 255], axis=2)
            archive.writestr(f"{n}.png", ffmpeg(["-f", "rawvideo", "-pix_fmt", "rgba", "-s", "64x48", "-i", "-", "-f",
                                                 "image2pipe", "-c:v", "png", "-"], rgba.tobytes()))
    opaque = make_zip(tmp_path / "opaque.zip", 3)
    for name, file in (("a.mkv", video), ("b.mkv", opaque)):
        done = colorize(tmp_path, file, name.replace("mkv", "zip"), output__snap="none")
        assert done.returncode == 0, done.stderr
    contents = []
    for name in ("a.zip", "b.zip"):
        with zipfile.ZipFile(tmp_path / name) as archive:
            contents.append([archive.read(n) for n in archive.namelist()])
    assert contents[0] == contents[1]


@pytest.mark.parametrize("out, codec", [("out.mov", "prores"), ("out.webm", "vp9")])
def test_the_name_of_the_result_chooses_the_format(tmp_path, out, codec):
    video = make_video(tmp_path / "in.mp4", 5)
    done = colorize(tmp_path, video, out)
    assert done.returncode == 0, done.stderr
    result = probe(tmp_path / out)
    assert result["codec_name"] == codec and int(result["nb_read_frames"]) == 5


def test_an_explicit_size_is_the_size_of_the_result(tmp_path):
    video = make_video(tmp_path / "in.mp4", 5)
    assert colorize(tmp_path, video, size="96x80").returncode == 0
    result = probe(tmp_path / "out.mp4")
    assert (result["width"], result["height"]) == (96, 80)


def test_region_snap_gives_exact_paint_under_the_lines(tmp_path):
    """auto snaps line art: inside the circle there is one colour, the reference's; none leaves what the network made."""
    video = make_video(tmp_path / "in.mkv", 12)
    kinds = {}
    for snap in ("auto", "region", "none"):
        done = colorize(tmp_path, video, f"{snap}.zip", output__snap=snap, receipt=tmp_path / "receipt.json")
        assert done.returncode == 0, done.stderr
        kinds[snap] = json.loads((tmp_path / "receipt.json").read_text())["snap"]
    assert kinds == {"auto": "flat", "region": "flat", "none": "none"}
    assert (tmp_path / "auto.zip").read_bytes() == (tmp_path / "region.zip").read_bytes() != (tmp_path / "none.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "auto.zip") as archive:
        for n, name in enumerate(archive.namelist()):
            frame = numpy.frombuffer(ffmpeg(["-f", "image2pipe", "-i", "-", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"],
                                            archive.read(name)), numpy.uint8).reshape(48, 64, 3)
            x = int(64 * (0.3 + 0.4 * n / 11))
            assert (frame[22:27, x - 3:x + 4] == (200, 120, 60)).all()


def test_line_art_is_recognised_and_colour_is_not(tmp_path):
    lines = make_video(tmp_path / "lines.mp4", 8)
    colour = tmp_path / "colour.mp4"
    ffmpeg(["-f", "lavfi", "-i", "testsrc2=s=64x48:r=24:d=0.3", "-pix_fmt", "yuv420p", colour])
    for video, kind in ((lines, "lineart"), (colour, "color")):
        assert colorize(tmp_path, video, receipt=tmp_path / "receipt.json").returncode == 0
        receipt = json.loads((tmp_path / "receipt.json").read_text())
        assert receipt["inputs"]["video"]["read_as"] == kind
        assert receipt["inputs"]["video"]["frames"] == receipt["result"]["frames"]


def test_the_tiny_model_colours_a_shot(tmp_path):
    video = make_video(tmp_path / "in.mp4", 30, 96, 64)
    done = colorize(tmp_path, video, model=TINY, steps=2, receipt=tmp_path / "receipt.json", preview=tmp_path / "p.jpg")
    assert done.returncode == 0, done.stderr
    frames = decode_video(tmp_path / "out.mp4", 96, 64)
    assert len(frames) == 30
    receipt = json.loads((tmp_path / "receipt.json").read_text())
    assert receipt["model_name"] == "tiny_a" and len(receipt["plan"]["segments"]) >= 2
    assert (tmp_path / "p.jpg").read_bytes()[:2] == b"\xff\xd8"


@pytest.mark.parametrize("arguments, says", [
    (["colorize"], "needed"),
    (["colorize", "--vidio", "x"], "--video"),
    (["colorize", "--stepz", "3"], "--steps"),
    (["colorize", "--steps", "0"], "steps"),
    (["colorize", "--steps"], "needs a value"),
    (["colorize", "--steps", "3", "--steps", "4"], "twice"),
    (["colorize", "--params", "{"], ""),
    (["colorize", "--params", '{"steps":3}', "--steps", "4"], "steps"),
    (["colorize", "extra"], "too many"),
    (["no-such-command"], "no command"),
    (["key", "new", "--scopes", "root"], "scope"),
    (["status"], "missing"),
    (["serve"], "--data"),
    (["colorize", "--video", "x", "--reference", "x", "--out", "x.mp4", "--models", "/nowhere"], "name=folder"),
    (["colorize", "--video", "x", "--reference", "x", "--out", "x.mp4", "--output.format", "mov"], "different formats"),
    (["paint", "--lines", "x", "--proposal", "x", "--reference", "x", "--out", "x.mp4", "--gap", "99"], "--gap"),
    (["paint", "--lines", "x", "--proposal", "x", "--reference", "x", "--out", "x.mp4", "--line-color", "red"], "#rrggbb"),
    (["paint", "--lines", "x", "--proposal", "x", "--reference", "x", "--out", "x.mp4", "--trace-lines", "pink"], "red, green"),
    (["status", "--device", "cpu", "x"], "--device"),
    (["parity", "--device", "odd", "."], "device"),
])
def test_wrong_usage_is_2_and_says_what(arguments, says):
    done = longanim(*arguments)
    assert done.returncode == 2, done
    assert says in done.stderr and done.stdout == ""


def test_help_is_there_for_everything():
    commands = [line.split()[0] for line in longanim("--help").stdout.splitlines() if line.startswith("  ")]
    assert "serve" in commands and "colorize" in commands
    for command in commands:
        done = longanim(command, "--help")
        assert done.returncode == 0 and f"usage: longanim {command}" in done.stdout, command


def test_the_version_is_told():
    done = longanim("--version")
    assert done.returncode == 0 and done.stdout.startswith("longanim 0.")


def test_a_model_that_there_is_not_is_wrong_usage(tmp_path):
    done = colorize(tmp_path, make_video(tmp_path / "in.mp4", 2), model="no-such-model")
    assert done.returncode == 2 and "model" in done.stderr, done
    assert not (tmp_path / "out.mp4").exists()


def test_refused_input_is_3_and_leaves_nothing(tmp_path):
    (tmp_path / "in.mp4").write_bytes(b"this is not a video at all" * 100)
    done = colorize(tmp_path, tmp_path / "in.mp4")
    assert done.returncode == 3 and "longanim:" in done.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.mp4", "reference.png"]


@pytest.mark.parametrize("model, says", [("null:fail=nan", "not a number"), ("null:fail=oom", "memory"), ("null:fail=device", "device")])
def test_a_failing_model_is_1(tmp_path, model, says):
    done = colorize(tmp_path, make_video(tmp_path / "in.mp4", 5), model=model)
    assert done.returncode == 1 and says in done.stderr
    assert not (tmp_path / "out.mp4").exists()


def test_a_missing_model_folder_is_wrong_usage(tmp_path):
    assert colorize(tmp_path, make_video(tmp_path / "in.mp4", 5), model=tmp_path / "nothing").returncode == 2


def test_an_interrupt_is_130_and_leaves_nothing(tmp_path):
    video, reference = make_video(tmp_path / "in.mp4", 30), make_image(tmp_path / "reference.png")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    running = subprocess.Popen([BUILD / "longanim", "colorize", "--video", video, "--reference", reference, "--out",
                                tmp_path / "out.mp4", "--model", "null:delay_ms=100"], stdout=subprocess.PIPE,
                               env={**os.environ, "TMPDIR": str(scratch)}, text=True)
    for line in running.stdout:
        if json.loads(line)["stage"] == "diffusion":
            break
    running.send_signal(signal.SIGINT)
    assert running.wait(10) == 130
    assert not (tmp_path / "out.mp4").exists() and list(scratch.iterdir()) == []
    assert not list(tmp_path.glob("*.part"))


def test_a_terminal_gets_a_bar(tmp_path):
    video, reference = make_video(tmp_path / "in.mp4", 30), make_image(tmp_path / "reference.png")
    ours, theirs = pty.openpty()
    running = subprocess.Popen([BUILD / "longanim", "colorize", "--video", video, "--reference", reference, "--out",
                                tmp_path / "out.mp4", "--model", "null:delay_ms=5"], stderr=theirs, stdout=subprocess.PIPE)
    os.close(theirs)
    text = b""
    while True:
        try:
            chunk = os.read(ours, 65536)
        except OSError:
            break
        if not chunk:
            break
        text += chunk
    assert running.wait(20) == 0 and running.stdout.read() == b""
    assert b"100%" in text and b"segment 2/" in text and b"left" in text


def test_a_timesheet_colours_each_drawing_once(tmp_path):
    """Sixteen frames of eight drawings are eight frames for the network, and come out as sixteen."""
    frames = list(lineart_frames(8))
    video = tmp_path / "in.mkv"
    ffmpeg(["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", "64x48", "-r", "24", "-i", "-", "-c:v", "ffv1", video],
           b"".join(f.tobytes() * 2 for f in frames))
    sheet = make_timesheet(tmp_path / "cut.xdts", [str(n // 2) for n in range(16)])
    for snap in ("none", "auto"):
        done = colorize(tmp_path, video, f"{snap}.zip", output__snap=snap, timesheet=sheet, receipt=tmp_path / "receipt.json")
        assert done.returncode == 0, done.stderr
        receipt = json.loads((tmp_path / "receipt.json").read_text())
        assert receipt["inputs"]["timesheet"]["drawings"] == sum(s["frames"] for s in receipt["plan"]["segments"]) == 8
        with zipfile.ZipFile(tmp_path / f"{snap}.zip") as archive:
            content = [archive.read(name) for name in archive.namelist()]
        assert len(content) == 16 and content[::2] == content[1::2] and len(set(content)) == 8


def test_a_held_drawing_goes_through_the_networks_once(tmp_path):
    """Line art on twos: six drawings for the networks, twelve frames out, each pair alike to the byte, planes for each."""
    make_zip(tmp_path / "in.zip", 6)
    with zipfile.ZipFile(tmp_path / "in.zip") as archive:
        drawn = [archive.read(name) for name in archive.namelist()]
    with zipfile.ZipFile(tmp_path / "twos.zip", "w") as archive:
        for n in range(12):
            archive.writestr(f"A{n + 1:04d}.png", drawn[n // 2])
    for snap in ("none", "auto"):
        done = colorize(tmp_path, tmp_path / "twos.zip", f"{snap}.zip", TINY, output__snap=snap, steps=1,
                        receipt=tmp_path / "receipt.json", planes=tmp_path / snap)
        assert done.returncode == 0, done.stderr
        receipt = json.loads((tmp_path / "receipt.json").read_text())
        assert receipt["inputs"]["video"]["drawings"] == sum(s["frames"] for s in receipt["plan"]["segments"]) == 6
        with zipfile.ZipFile(tmp_path / f"{snap}.zip") as archive:
            names, content = archive.namelist(), [archive.read(name) for name in archive.namelist()]
        assert names == [f"A{n + 1:04d}.png" for n in range(12)]
        assert content[::2] == content[1::2] and len(set(content)) == 6
    with zipfile.ZipFile(tmp_path / "auto" / "regions.zip") as archive:
        assert archive.namelist() == names
        content = [archive.read(name) for name in names]
    assert content[::2] == content[1::2]
    palette = json.loads((tmp_path / "auto" / "palette.json").read_text())
    assert palette["frames"] == 12 and [a["first_frame"] for a in palette["areas"]] == [0, 2, 4, 6, 8, 10]
    # Colour that stands still is no drawing.
    done = colorize(tmp_path, tmp_path / "twos.zip", "all.zip", TINY, steps=1, receipt=tmp_path / "receipt.json", input="color")
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "receipt.json").read_text())["inputs"]["video"]["drawings"] == 12


def test_drawings_that_the_sheet_never_shows_are_not_coloured(tmp_path):
    make_zip(tmp_path / "cel.zip", 6, names=[f"A{n + 1}.png" for n in range(6)])
    sheet = make_timesheet(tmp_path / "cut.xdts", ["2", "2", None, "5"])
    for out, drawings, shown in (("out.mp4", 2, 4), ("out.zip", 6, 6)):
        done = colorize(tmp_path, tmp_path / "cel.zip", out, timesheet=sheet, receipt=tmp_path / "receipt.json")
        assert done.returncode == 0, done.stderr
        receipt = json.loads((tmp_path / "receipt.json").read_text())
        assert receipt["inputs"]["timesheet"]["drawings"] == sum(s["frames"] for s in receipt["plan"]["segments"]) == drawings
        assert receipt["result"]["frames"] == shown


def test_palette_and_planes_come_with_a_shot(tmp_path):
    video = make_video(tmp_path / "in.mkv", 6)
    palette = tmp_path / "colours.json"
    palette.write_text(json.dumps([{"name": "moon", "rgb": [1, 2, 200]}, {"name": "paper", "rgb": [240, 240, 230]}]))
    done = colorize(tmp_path, video, "out.zip", palette=palette, planes=tmp_path / "planes")
    assert done.returncode == 0, done.stderr
    assert sorted(p.name for p in (tmp_path / "planes").iterdir()) == [
        "confidence.zip", "line.zip", "paint.zip", "palette.json", "regions.zip", "sheet.png"]
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        frame = numpy.frombuffer(ffmpeg(["-f", "image2pipe", "-i", "-", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"],
                                        archive.read(archive.namelist()[0])), numpy.uint8).reshape(48, 64, 3)
    assert tuple(frame[24, 19]) in {(1, 2, 200), (240, 240, 230)}
    palette.write_text("[]")
    done = colorize(tmp_path, video, "bad.zip", palette=palette)
    assert done.returncode == 2 or done.returncode == 3
    assert "colour" in done.stderr and not (tmp_path / "bad.zip").exists()


def test_a_gap_in_a_line_is_closed_as_far_as_the_job_says(tmp_path):
    page = numpy.full((96, 128, 3), 255, numpy.uint8)
    for top, bottom, left, right in ((20, 22, 30, 90), (74, 76, 30, 90), (20, 76, 30, 32), (20, 42, 88, 90), (52, 76, 88, 90)):
        page[top:bottom, left:right] = 0  # a box with ten pixels of its right side missing
    ffmpeg(["-y", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", "128x96", "-i", "-", tmp_path / "box.png"], page.tobytes())
    drawings = tmp_path / "in.zip"
    with zipfile.ZipFile(drawings, "w") as archive:
        for n in range(2):
            archive.write(tmp_path / "box.png", f"{n}.png")

    def regions(gap):
        planes = tmp_path / f"planes{gap}"
        done = colorize(tmp_path, drawings, f"out{gap}.zip", output__snap="region", input="lineart", gap=gap, planes=planes)
        assert done.returncode == 0, done.stderr
        with zipfile.ZipFile(planes / "regions.zip") as archive:
            ids = numpy.frombuffer(ffmpeg(["-f", "image2pipe", "-i", "-", "-f", "rawvideo", "-pix_fmt", "gray16le", "-"],
                                          archive.read(archive.namelist()[0])), numpy.uint16).reshape(96, 128)
        return ids[48, 50], ids[48, 10]  # inside, outside
    inside, outside = regions(2)
    assert inside == outside
    inside, outside = regions(16)
    assert inside != outside
