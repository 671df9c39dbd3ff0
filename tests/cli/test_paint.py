"""`longanim paint` and `longanim evaluate`: the output of any system, painted exactly and measured."""
import csv
import json
import struct
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

import numpy
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from longanim import BUILD, decode_video, ffmpeg, make_timesheet  # noqa: E402

WIDTH, HEIGHT = 96, 64
SKIN, SHIRT, SKY = (240, 200, 170), (180, 40, 60), (90, 160, 220)


def longanim(*arguments):
    return subprocess.run([BUILD / "longanim", *map(str, arguments)], capture_output=True, text=True, timeout=120)


def scene(x, alpha=False):
    """(lines, colours) of a figure of two boxes at x: exact truth, drawn here."""
    lines = numpy.full((HEIGHT, WIDTH, 3), 255, numpy.uint8)
    colours = numpy.empty((HEIGHT, WIDTH, 3), numpy.uint8)
    colours[:] = SKY
    for top, bottom, colour in ((12, 30, SKIN), (30, 54, SHIRT)):
        colours[top:bottom, x:x + 24] = colour
        lines[top:bottom, [x, x + 1, x + 24, x + 25]] = 0
        lines[[top, top + 1, bottom, bottom + 1], x:x + 26] = 0
    return lines, colours


def png(pixels):
    h, w, channels = pixels.shape
    layout = {3: "rgb24", 4: "rgba"}[channels]
    return ffmpeg(["-f", "rawvideo", "-pix_fmt", layout, "-s", f"{w}x{h}", "-i", "-", "-f", "image2pipe", "-c:v", "png",
                   "-"], pixels.tobytes())


def write_zip(path, frames, names=None):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for n, frame in enumerate(frames):
            archive.writestr(names[n] if names else f"{n:04d}.png", png(frame))
    return path


def degrade(colours, seed):
    """A network's frame: a quarter of the size, noisy."""
    small = colours.reshape(HEIGHT // 4, 4, WIDTH // 4, 4, 3).mean((1, 3))
    noise = numpy.random.default_rng(seed).normal(0, 6, small.shape)
    return (small + noise).clip(0, 255).astype(numpy.uint8)


@pytest.fixture(scope="module")
def shot(tmp_path_factory):
    """Six drawings as lines, proposals, truth and a reference, which is the first frame."""
    folder = tmp_path_factory.mktemp("shot")
    scenes = [scene(10 + 8 * n) for n in range(6)]
    names = [f"A{n + 1:04d}.png" for n in range(6)]
    write_zip(folder / "lines.zip", [s[0] for s in scenes], names)
    write_zip(folder / "proposal.zip", [degrade(s[1], n) for n, s in enumerate(scenes)], names)
    write_zip(folder / "truth.zip", [numpy.minimum(*s) for s in scenes], names)
    reference = numpy.minimum(*scenes[0])
    (folder / "reference.png").write_bytes(png(reference))
    folder.joinpath("scenes").mkdir()
    return folder


def paint(shot, out, *more, lines="lines.zip", reference=True):
    arguments = ["paint", "--lines", shot / lines, "--proposal", shot / "proposal.zip", "--out", out]
    if reference:
        arguments += ["--reference", shot / "reference.png"]
    return longanim(*arguments, *more)


def read_zip(path):
    frames = {}
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            data = archive.read(name)
            width, height, depth, kind = struct.unpack(">IIBB", data[16:26])
            layout, shape = {(8, 2): ("rgb24", 3), (8, 6): ("rgba", 4), (16, 0): ("gray16le", 2), (8, 0): ("gray", 1)}[depth, kind]
            raw = ffmpeg(["-f", "image2pipe", "-i", "-", "-f", "rawvideo", "-pix_fmt", layout, "-"], data)
            pixels = numpy.frombuffer(raw, numpy.uint16 if layout == "gray16le" else numpy.uint8)
            frames[name] = pixels.reshape(height, width, -1)
    return frames


def test_every_region_gets_the_exact_paint(shot, tmp_path):
    done = paint(shot, tmp_path / "out.zip")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    assert (said["frames"], said["drawings"], said["mode"]) == (6, 6, "flat")
    for n, frame in enumerate(read_zip(tmp_path / "out.zip").values()):
        lines, colours = scene(10 + 8 * n)
        inside = (lines == 255).all(-1)
        assert (frame[inside] == colours[inside]).all()


def test_planes_palette_and_sheet(shot, tmp_path):
    done = paint(shot, tmp_path / "out.zip", "--planes", tmp_path / "planes", "--sheet", tmp_path / "sheet.png")
    assert done.returncode == 0, done.stderr
    line, fill, regions, confidence = (read_zip(tmp_path / "planes" / f"{n}.zip")
                                       for n in ("line", "paint", "regions", "confidence"))
    assert list(line) == list(fill) == list(regions) == list(confidence) == [f"A{n + 1:04d}.png" for n in range(6)]
    body = set()
    for n, name in enumerate(regions):
        lines, colours = scene(10 + 8 * n)
        inside = (lines == 255).all(-1)
        assert regions[name].dtype == numpy.uint16 and (regions[name][~inside] == 0).all()
        assert (fill[name][inside][:, :3] == colours[inside]).all() and (fill[name][..., 3] == 255).all()
        assert (line[name][..., 3] == numpy.where(inside, 0, 255)).all()
        assert (confidence[name][~inside] == 255).all() and (confidence[name][inside] > 100).all()
        body.add(int(regions[name][44, 10 + 8 * n + 12, 0]))
    assert len(body) == 1  # the shirt keeps its number while it moves
    palette = json.loads((tmp_path / "planes" / "palette.json").read_text())
    shirt = next(c for c in palette["colors"] if c["rgb"] == list(SHIRT))
    assert palette["drawings"] == 6 and shirt["area"] > 0 and len(palette["areas"]) == 6
    assert (tmp_path / "sheet.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_a_transparent_shot_has_a_contact_sheet_too(shot, tmp_path):
    done = paint(shot, tmp_path / "out.zip", "--background", "transparent", "--sheet", tmp_path / "sheet.png")
    assert done.returncode == 0, done.stderr
    frame = next(iter(read_zip(tmp_path / "out.zip").values()))
    assert frame.shape[2] == 4 and (frame[2, 2] == 0).all() and (frame[44, 20] == (*SHIRT, 255)).all()
    sheet = ffmpeg(["-i", tmp_path / "sheet.png", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"])
    sheet = numpy.frombuffer(sheet, numpy.uint8).reshape(2 * HEIGHT, 4 * WIDTH, 3)
    assert (sheet[2, 2] == 255).all() and (sheet[44, 20] == SHIRT).all()


# ---- palettes ----

def ase(colors):
    blocks = b""
    for name, rgb in colors:
        text = name.encode("utf-16-be") + b"\0\0"
        body = struct.pack(">H", len(name) + 1) + text + b"RGB " + struct.pack(">fff", *(c / 255 for c in rgb)) + b"\0\2"
        blocks += struct.pack(">HI", 1, len(body)) + body
    return b"ASEF" + struct.pack(">HHI", 1, 0, len(colors)) + blocks


NIGHT = {"skin": (150, 120, 140), "shirt": (100, 20, 60), "sky": (20, 40, 90)}


@pytest.mark.parametrize("kind", ["json", "gpl", "ase"])
def test_a_given_palette_is_the_only_source_of_colours(shot, tmp_path, kind):
    path = tmp_path / f"night.{kind}"
    if kind == "json":
        path.write_text(json.dumps([{"name": n, "rgb": c} for n, c in NIGHT.items()]))
    elif kind == "gpl":
        path.write_text("GIMP Palette\nName: night\n#\n" + "".join("%d %d %d\t%s\n" % (*c, n) for n, c in NIGHT.items()))
    else:
        path.write_bytes(ase(list(NIGHT.items())))
    done = paint(shot, tmp_path / "out.zip", "--palette", path, "--planes", tmp_path / "planes")
    assert done.returncode == 0, done.stderr
    fill = next(iter(read_zip(tmp_path / "planes" / "paint.zip").values()))
    found = {tuple(map(int, c)) for c in fill.reshape(-1, 4)[:, :3]}
    assert found <= set(NIGHT.values()) and len(found) > 1
    names = [c["name"] for c in json.loads((tmp_path / "planes" / "palette.json").read_text())["colors"]]
    assert names == list(NIGHT)


@pytest.mark.parametrize("content, status", [(b"", 3), (b"[]", 3), (b'[{"name":"a","rgb":[0,0,256]}]', 3), (b"ASEF\0\1", 3)])
def test_a_bad_palette_is_refused_with_a_reason(shot, tmp_path, content, status):
    (tmp_path / "bad").write_bytes(content)
    done = paint(shot, tmp_path / "out.zip", "--palette", tmp_path / "bad")
    assert done.returncode in (2, status) and done.stderr.strip() and not (tmp_path / "out.zip").exists()


# ---- timesheets ----

def test_a_zip_of_drawings_becomes_the_shot_that_the_sheet_says(shot, tmp_path):
    shown = ["1", "1", "3", "3", "2", "2", None, "6"]
    sheet = make_timesheet(tmp_path / "cut.xdts", shown)
    done = paint(shot, tmp_path / "out.mov", "--timesheet", sheet)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["frames"] == 8
    frames = decode_video(tmp_path / "out.mov", WIDTH, HEIGHT).astype(int)
    for frame, drawing in zip(frames, shown):
        if drawing is None:
            assert (frame > 250).all()
            continue
        x = 10 + 8 * (int(drawing) - 1)
        assert abs(frame[44, x + 12] - SHIRT).max() < 6 and abs(frame[20, x + 12] - SKIN).max() < 6
    done = paint(shot, tmp_path / "out.zip", "--timesheet", sheet)
    assert done.returncode == 0 and list(read_zip(tmp_path / "out.zip")) == [f"A{n + 1:04d}.png" for n in range(6)]


def test_a_whole_shot_repeats_its_drawings_to_the_byte(shot, tmp_path):
    order = [0, 0, 1, 1, 0, 0]
    scenes = [scene(10 + 8 * n) for n in order]
    write_zip(shot / "held.zip", [s[0] for s in scenes])
    sheet = make_timesheet(tmp_path / "cut.xdts", [str(n) for n in order])
    done = paint(shot, tmp_path / "out.zip", "--timesheet", sheet, lines="held.zip")
    assert done.returncode == 0, done.stderr
    frames = list(read_zip(tmp_path / "out.zip").values())
    assert len(frames) == 6 and json.loads(done.stdout.splitlines()[-1])["drawings"] == 2
    for n, frame in zip(order, frames):
        assert (frame == frames[order.index(n)]).all()
    lying = make_timesheet(tmp_path / "lying.xdts", ["0"] * 6)
    done = paint(shot, tmp_path / "out.zip", "--timesheet", lying, lines="held.zip")
    assert done.returncode != 0 and "frame 2" in done.stderr


@pytest.mark.parametrize("content", [b"", b"exchangeDigitalTimeSheet Save Data\n{", b"{}"])
def test_a_bad_timesheet_is_refused(shot, tmp_path, content):
    (tmp_path / "bad.xdts").write_bytes(content)
    done = paint(shot, tmp_path / "out.zip", "--timesheet", tmp_path / "bad.xdts")
    assert done.returncode != 0 and done.stderr.strip()


# ---- evaluate ----

def test_the_painted_shot_is_perfect_and_the_proposal_is_not(shot, tmp_path):
    assert paint(shot, tmp_path / "out.zip").returncode == 0
    done = longanim("evaluate", tmp_path / "out.zip", shot / "truth.zip", "--lines", shot / "lines.zip", "--reference",
                    shot / "reference.png", "--csv", tmp_path / "frames.csv", "--plot", tmp_path / "plot.svg")
    assert done.returncode == 0, done.stderr
    means = json.loads(done.stdout)
    assert means["region_accuracy"] == 1 and means["psnr"] > 40 and means["holds"] == 0
    rows = list(csv.DictReader((tmp_path / "frames.csv").open()))
    assert len(rows) == 6
    assert (tmp_path / "plot.svg").read_text().startswith("<svg")
    wrong = [numpy.minimum(scene(10 + 8 * n)[0], 90) for n in range(6)]
    write_zip(tmp_path / "wrong.zip", wrong)
    done = longanim("evaluate", tmp_path / "wrong.zip", shot / "truth.zip", "--lines", shot / "lines.zip", "--reference",
                    shot / "reference.png")
    assert done.returncode == 0 and json.loads(done.stdout)["region_accuracy"] < 0.5
