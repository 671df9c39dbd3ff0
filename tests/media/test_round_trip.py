"""Reader to writer: the number of frames, their times, size and rate come out as they went in."""
import os
import struct
import subprocess
import zipfile

import numpy
import pytest

from media_files import (X264, copy, exif_chunk, ffmpeg, ffprobe, make, pixels, png, probe, refusal, source, write_zip)

FORMATS = ["mp4", "webm", "mov", "mkv"]


def raw_video(path, frames, codec=("-c:v", "ffv1", "-pix_fmt", "bgr0")):
    """A video of exactly these frames: an array [frames, height, width, 3 or 4]."""
    raw = path.with_suffix(".raw")
    raw.write_bytes(frames.tobytes())
    ffmpeg("-f", "rawvideo", "-pix_fmt", "rgba" if frames.shape[3] == 4 else "rgb24", "-s",
           f"{frames.shape[2]}x{frames.shape[1]}", "-r", "24", "-i", raw, *codec, path)
    return path


def assert_times(result, wanted, within):
    assert len(result["times"]) == len(wanted)
    assert max(abs(a - b) for a, b in zip(result["times"], wanted)) <= within


@pytest.mark.parametrize("frames", [1, 5, 24, 81, 82, 200])
def test_every_frame_comes_out_at_its_time(tmp_path, frames):
    path = make(tmp_path / "a.mp4", "-bf", "2", frames=frames)
    assert probe(path)["frames"] == frames
    for form in FORMATS if frames in (1, 82) else ["mp4"]:
        out = ffprobe(copy(path, tmp_path / f"out.{form}", form))
        assert (out["width"], out["height"]) == (48, 32)
        assert out["avg_frame_rate"] == out["r_frame_rate"] == "24/1" or frames == 1
        assert_times(out, [i / 24 for i in range(frames)], 1e-9 if form in ("mp4", "mov") else 0.0006)
        if form == "mp4":
            assert float(out["duration"]) == pytest.approx(frames / 24, abs=1e-6)


@pytest.mark.parametrize("container", ["mp4", "mkv", "avi", "mov"])
def test_23_976_stays_what_it_is(tmp_path, container):
    path = make(tmp_path / f"a.{container}", rate="24000/1001", frames=81)
    assert probe(path)["fps"] == "24000/1001"
    for form in ("mp4", "mov"):
        out = ffprobe(copy(path, tmp_path / f"out.{form}", form))
        assert out["avg_frame_rate"] == out["r_frame_rate"] == "24000/1001"
        assert_times(out, [i * 1001 / 24000 for i in range(81)], 1e-9)


@pytest.mark.parametrize("container", ["mp4", "mkv"])
def test_a_variable_rate_and_a_late_start_are_kept(tmp_path, container):
    """Every fourth frame is missing, the video starts half a second late."""
    path = tmp_path / f"a.{container}"
    ffmpeg(*source(frames=60)[:-2], "-t", "2.5", "-vf", "select='mod(n,4)'", "-fps_mode", "vfr", "-output_ts_offset",
           "0.5", *X264, path)
    before = ffprobe(path)
    assert probe(path)["variable_rate"] and probe(path)["start_us"] > 500000
    for form in FORMATS:
        out = ffprobe(copy(path, tmp_path / f"out.{form}", form))
        assert_times(out, before["times"], 1e-6 if form in ("mp4", "mov") else 0.0011)


def test_frames_cut_by_an_edit_list_do_not_count(tmp_path):
    whole = make(tmp_path / "a.mp4", "-g", "100", frames=48)
    ffmpeg("-ss", "0.5", "-i", whole, "-c", "copy", tmp_path / "cut.mp4")
    cut = ffprobe(tmp_path / "cut.mp4")
    assert probe(tmp_path / "cut.mp4")["frames"] == len(cut["times"]) < 48
    assert len(ffprobe(copy(tmp_path / "cut.mp4", tmp_path / "out.mp4", "mp4"))["times"]) == len(cut["times"])


@pytest.mark.parametrize("codec", [
    ["-c:v", "libx264", "-x264-params", "open-gop=1:keyint=12:min-keyint=12:scenecut=0:bframes=3"],
    ["-c:v", "libx265", "-x265-params", "log-level=none:keyint=12:min-keyint=12"]])
@pytest.mark.parametrize("container", ["mp4", "mkv"])
def test_a_clip_cut_from_open_groups_has_what_can_be_decoded(tmp_path, codec, container):
    """Cut without decoding: pictures before the first keyframe lack what they were made from."""
    whole = make(tmp_path / "a.mp4", codec=codec, size="64x64", frames=60)
    ffmpeg("-ss", "1.2", "-i", whole, "-c", "copy", tmp_path / f"cut.{container}")
    count = len(ffprobe(tmp_path / f"cut.{container}")["times"])
    assert probe(tmp_path / f"cut.{container}")["frames"] == count
    assert len(ffprobe(copy(tmp_path / f"cut.{container}", tmp_path / "out.mp4", "mp4"))["times"]) == count


@pytest.mark.parametrize("size", ["49x32", "48x33", "49x33"])
def test_odd_sizes_are_kept(tmp_path, size):
    path = raw_video(tmp_path / "a.mkv", numpy.full((3, *map(int, reversed(size.split("x"))), 3), 90, numpy.uint8))
    for form in FORMATS:
        out = ffprobe(copy(path, tmp_path / f"out.{form}", form))
        assert f"{out['width']}x{out['height']}" == size
        if form == "mp4":
            assert out["pix_fmt"] == "yuv444p"


def test_lossless_keeps_every_value(tmp_path):
    path = make(tmp_path / "a.mkv", size="62x46", codec=["-c:v", "ffv1", "-pix_fmt", "bgr0"], frames=12)
    wanted = pixels(path, (62, 46))
    assert pixels(copy(path, tmp_path / "out.mkv", "mkv"), (62, 46)) == wanted
    with zipfile.ZipFile(copy(path, tmp_path / "out.zip", "png.zip")) as z:
        assert z.namelist() == [f"{i:05}.png" for i in range(12)]
        for name, frame in zip(z.namelist(), wanted):
            (tmp_path / "x.png").write_bytes(z.read(name))
            assert pixels(tmp_path / "x.png", (62, 46)) == [frame]


def test_flat_colours_survive_every_format(tmp_path):
    """Eight colours, coded and decoded by whoever: a wrong matrix or range is off by ten and more."""
    colours = [(255, 255, 255), (0, 0, 0), (255, 0, 0), (0, 255, 0), (0, 0, 255), (250, 200, 170), (90, 60, 40), (40, 80, 160)]
    frame = numpy.zeros((64, 128, 3), numpy.uint8)
    for i, colour in enumerate(colours):
        frame[:, i * 16:(i + 1) * 16] = colour
    raw_video(tmp_path / "a.mkv", numpy.stack([frame] * 3))
    for form in FORMATS:
        coded = copy(tmp_path / "a.mkv", tmp_path / f"out.{form}", form)
        ours = pixels(copy(coded, tmp_path / "back.mkv", "mkv"), (128, 64))[1]
        if form != "mkv":
            assert ffprobe(coded)["color_space"] == "bt709" and ffprobe(coded)["color_range"] == "tv"
        done = subprocess.run(["ffmpeg", "-v", "error", "-i", coded, "-vf", "scale=in_color_matrix=bt709", "-f", "rawvideo",
                               "-pix_fmt", "rgb24", "-"], check=True, stdout=subprocess.PIPE).stdout
        for decoded in (ours, done[:128 * 64 * 3]):
            got = numpy.frombuffer(decoded, numpy.uint8).reshape(64, 128, 3).astype(int)
            for i, colour in enumerate(colours):
                assert abs(got[32, i * 16 + 8] - colour).max() <= 4, (form, colour, got[32, i * 16 + 8])


@pytest.mark.parametrize("matrix,tags", [("bt709", "bt709"), ("bt601", "smpte170m")])
@pytest.mark.parametrize("span", ["tv", "pc"])
def test_the_matrix_and_range_that_a_file_states_are_used(tmp_path, matrix, tags, span):
    path = tmp_path / "a.mp4"
    ffmpeg("-f", "lavfi", "-i", "color=c=0xC83C28:s=64x64:r=24,format=gbrp", "-frames:v", "2", "-vf",
           f"scale=out_color_matrix={matrix}:out_range={span},format=yuv420p", *X264, "-colorspace", tags, "-color_range",
           span, path)
    got = pixels(copy(path, tmp_path / "out.mkv", "mkv"), (64, 64))[0][:3]
    assert max(abs(a - b) for a, b in zip(got, (0xC8, 0x3C, 0x28))) <= 2


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_rotation_is_applied(tmp_path, degrees):
    """Top left is red: after a turn to the right it is at the top right."""
    plain = tmp_path / "a.mp4"
    ffmpeg("-f", "lavfi", "-i", "color=white:s=64x32:r=24,drawbox=0:0:16:8:red:fill", "-frames:v", "2", *X264, plain)
    ffmpeg("-i", plain, "-c", "copy", "-metadata:s:v", f"rotate={degrees}", tmp_path / "r.mp4")
    info = probe(tmp_path / "r.mp4")
    wanted = (32, 64) if degrees != 180 else (64, 32)
    assert (info["width"], info["height"]) == wanted and info["rotation"] in (degrees, 360 - degrees)
    copy(tmp_path / "r.mp4", tmp_path / "out.mkv", "mkv")
    ours = numpy.frombuffer(pixels(tmp_path / "out.mkv", wanted)[0], numpy.uint8).astype(int)
    theirs = numpy.frombuffer(pixels(tmp_path / "r.mp4", wanted)[0], numpy.uint8).astype(int)  # ffmpeg turns it too
    assert abs(ours - theirs).mean() < 3
    assert "side_data_list" not in ffprobe(copy(tmp_path / "r.mp4", tmp_path / "out.mp4", "mp4"))


def test_sample_aspect_is_applied(tmp_path):
    wide = make(tmp_path / "a.mp4", "-vf", "setsar=4/3", size="96x64", frames=2)
    assert (probe(wide)["width"], probe(wide)["height"]) == (128, 64)
    out = ffprobe(copy(wide, tmp_path / "out.mp4", "mp4"))
    assert (out["width"], out["height"], out.get("sample_aspect_ratio", "1:1")) == (128, 64, "1:1")


@pytest.mark.parametrize("codec", [["-c:v", "prores_ks", "-profile:v", "4444", "-pix_fmt", "yuva444p10le"],
                                   ["-c:v", "png", "-pix_fmt", "rgba"]])
def test_alpha_goes_through_or_onto_white(tmp_path, codec):
    frames = numpy.zeros((3, 32, 48, 4), numpy.uint8)
    frames[:, :, :24] = (255, 0, 0, 255)
    path = raw_video(tmp_path / "a.mov", frames, codec)
    assert probe(path)["has_alpha"]
    for form in ("mov", "webm", "mkv"):
        out = copy(path, tmp_path / f"out.{form}", form, alpha=True)
        assert probe(out)["has_alpha"] and probe(out)["frames"] == 3
        back = pixels(copy(out, tmp_path / "back.mkv", "mkv", alpha=True), (48, 32), "rgba")[1]
        left, right = back[4 * (48 * 16 + 8):][:4], back[4 * (48 * 16 + 40):][:4]
        assert left[3] > 250 and left[0] > 240 and left[1] < 15
        assert right[3] < 5
    flat = pixels(copy(path, tmp_path / "flat.mkv", "mkv"), (48, 32))[0]
    assert min(flat[3 * (48 * 16 + 40):][:3]) > 250


def test_audio_is_noted_and_covers_are_no_video(tmp_path):
    path = tmp_path / "a.mp4"
    ffmpeg(*source(frames=12)[:-2], "-f", "lavfi", "-i", "sine=d=0.5", "-t", "0.5", *X264, "-c:a", "aac", path)
    info = probe(path)
    assert info["has_audio"] and info["frames"] == 12
    assert len(ffprobe(copy(path, tmp_path / "out.mp4", "mp4"))["times"]) == 12
    (tmp_path / "c.png").write_bytes(png(300, 300))
    ffmpeg("-i", path, "-i", tmp_path / "c.png", "-map", "0", "-map", "1", "-c", "copy", "-disposition:v:1", "attached_pic",
           tmp_path / "cover.mp4")
    assert probe(tmp_path / "cover.mp4")["width"] == 48


def test_interlaced_video_is_refused_by_its_picture_not_its_mark(tmp_path):
    """A square that moves 6 pixels a field; and the same marked as interlaced but whole."""
    moments = numpy.full((24, 64, 96, 3), 255, numpy.uint8)
    for i in range(24):
        moments[i, 16:48, 3 * i:3 * i + 20] = 0
    woven = moments[::2].copy()
    woven[:, 1::2] = moments[1::2, 1::2]
    marked = [*X264, "-vf", "setfield=tff", "-x264-params", "interlaced=1"]
    assert refusal(raw_video(tmp_path / "woven.mp4", woven, marked)) == "media_codec_refused"
    assert probe(raw_video(tmp_path / "whole.mp4", moments[::2], marked))["frames"] == 12
    prores = ["-c:v", "prores_ks", "-flags", "+ildct", "-vf", "setfield=tff"]
    assert refusal(raw_video(tmp_path / "woven.mov", woven, prores)) == "media_codec_refused"


@pytest.mark.parametrize("name,codec", [
    ("a.mp4", ["-c:v", "libx265", "-x265-params", "log-level=error"]), ("a.webm", ["-c:v", "libvpx", "-deadline", "realtime"]),
    ("b.webm", ["-c:v", "libvpx-vp9", "-deadline", "realtime"]), ("a.mov", ["-c:v", "prores_ks"]),
    ("a.avi", ["-c:v", "mjpeg"]), ("b.avi", ["-c:v", "libx264", "-bf", "2"]), ("b.mov", ["-c:v", "png"]),
    ("b.mp4", ["-c:v", "libsvtav1", "-preset", "12"]), ("c.mkv", ["-c:v", "ffv1", "-pix_fmt", "gray"]),
    ("d.mkv", ["-c:v", "ffv1", "-pix_fmt", "gbrp16le"]), ("e.mp4", ["-c:v", "libx264", "-pix_fmt", "yuv422p10le"])])
def test_every_codec_on_the_list_is_read_like_ffmpeg_does(tmp_path, name, codec):
    path = make(tmp_path / name, size="80x64", codec=codec, frames=10)
    assert probe(path)["frames"] == 10
    ours = pixels(copy(path, tmp_path / "out.mkv", "mkv"), (80, 64))
    theirs = pixels(path, (80, 64))
    assert len(ours) == len(theirs) == 10
    for a, b in zip(ours, theirs):
        difference = abs(numpy.frombuffer(a, numpy.uint8).astype(int) - numpy.frombuffer(b, numpy.uint8))
        # chroma is interpolated here and repeated there: edges of colours differ, the picture does not
        assert difference.mean() < 8


def test_hidden_frames_of_vp8_do_not_count(tmp_path):
    path = make(tmp_path / "a.webm", codec=["-c:v", "libvpx", "-auto-alt-ref", "1", "-lag-in-frames", "16", "-b:v", "50k"],
                frames=60)
    assert probe(path)["frames"] == 60
    assert len(ffprobe(copy(path, tmp_path / "out.mp4", "mp4"))["times"]) == 60


# ---- zips and stills ----
def test_a_zip_is_read_in_bytewise_order_of_its_paths(tmp_path):
    names = ["b/2.png", "B/9.png", "a/10.png", "a/9.png", "\u7d75/001.png", "a.png"]
    extra = [("a/", b""), ("__MACOSX/a/._9.png", b"x"), ("a/.hidden.png", b"x"), (".DS_Store", b"x")]
    ordered = sorted(names, key=lambda n: n.encode())
    files = [(n, png(16, 16, fill=bytes([10 * ordered.index(n)]))) for n in names] + extra
    path = write_zip(tmp_path / "a.zip", files)
    info = probe(path)
    assert (info["kind"], info["frames"], info["fps"]) == ("frames_zip", 6, None)
    out = copy(path, tmp_path / "out.zip", "png.zip")
    with zipfile.ZipFile(out) as z:
        assert z.testzip() is None and z.namelist() == ordered
        assert {i.date_time for i in z.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    frames = pixels(copy(path, tmp_path / "out.mkv", "mkv"), (16, 16))
    assert [f[0] for f in frames] == [10 * i for i in range(6)]


def test_jpeg_frames_become_png_names(tmp_path):
    ffmpeg(*source("32x16", frames=3), tmp_path / "f%d.jpg")
    path = write_zip(tmp_path / "a.zip", [(f"s/f{i}.JPG", (tmp_path / f"f{i}.jpg").read_bytes()) for i in (1, 2, 3)],
                     zipfile.ZIP_DEFLATED)
    assert probe(path)["codec"] == "jpeg"
    with zipfile.ZipFile(copy(path, tmp_path / "out.zip", "png.zip")) as z:
        assert z.namelist() == ["s/f1.png", "s/f2.png", "s/f3.png"]


@pytest.mark.parametrize("colour,depth,has_alpha", [(0, 8, False), (0, 16, False), (2, 8, False), (2, 16, False),
                                                    (6, 8, True), (6, 16, True)])
def test_every_kind_of_png_is_a_frame(tmp_path, colour, depth, has_alpha):
    path = write_zip(tmp_path / "a.zip", [("0.png", png(16, 8, colour=colour, depth=depth, fill=b"\x80"))])
    assert probe(path)["has_alpha"] == has_alpha
    first = pixels(copy(path, tmp_path / "out.mkv", "mkv", alpha=has_alpha), (16, 8), "rgba")[0]
    assert set(first[:3]) == {128} and first[3] == (128 if has_alpha else 255)


@pytest.mark.parametrize("orientation,size", [(1, (30, 20)), (3, (30, 20)), (6, (20, 30)), (8, (20, 30)), (9, (30, 20))])
def test_exif_orientation_is_applied(tmp_path, orientation, size):
    path = tmp_path / "a.png"
    path.write_bytes(png(30, 20, extra=exif_chunk(orientation)))
    info = probe(path, still=True)
    assert (info["width"], info["height"]) == size
    jpeg = tmp_path / "a.jpg"
    ffmpeg(*source("32x16", frames=1), jpeg)
    tiff = b"MM\0*\0\0\0\x08" + struct.pack(">HHHIHHI", 1, 0x0112, 3, 1, orientation, 0, 0)
    app1 = b"Exif\0\0" + tiff
    data = jpeg.read_bytes()
    jpeg.write_bytes(data[:2] + b"\xff\xe1" + struct.pack(">H", len(app1) + 2) + app1 + data[2:])
    info = probe(jpeg, still=True)
    assert (info["width"], info["height"]) == ((16, 32) if orientation in (6, 8) else (32, 16))


def test_webp_stills_are_read(tmp_path):
    ffmpeg(*source("40x24", frames=1), "-lossless", "1", tmp_path / "a.webp")
    info = probe(tmp_path / "a.webp", still=True)
    assert (info["width"], info["height"], info["codec"]) == (40, 24, "webp")


def test_two_runs_give_the_same_bytes_whatever_the_cores(tmp_path):
    path = make(tmp_path / "a.mp4", size="160x96", frames=24)
    for form in (*FORMATS, "png.zip"):
        copy(path, tmp_path / "one", form)
        first = (tmp_path / "one").read_bytes()
        before = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {min(before)})
        try:
            copy(path, tmp_path / "two", form)
        finally:
            os.sched_setaffinity(0, before)
        assert (tmp_path / "two").read_bytes() == first, form
