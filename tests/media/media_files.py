"""Files for the media tests, made on the spot: by ffmpeg where it can make them, by hand where no honest tool would."""
import json
import os
import struct
import subprocess
import zipfile
import zlib
from pathlib import Path

BUILD = Path(os.environ.get("LONGANIM_BUILD", Path(__file__).resolve().parents[2] / "build")).resolve()
COPIER = BUILD / "tests/unit/service/media/test_media_copy"

# What looking at a file may say (contract: the closed list of media errors).
CODES = {"media_container_refused", "media_codec_refused", "media_unreadable", "media_truncated", "media_no_video",
         "media_too_many_pixels", "media_too_many_frames", "media_too_long", "media_too_many_streams",
         "media_decode_timeout", "media_decode_memory", "payload_too_large"}
SIGNAL_DETAILS = ("(signal", "not allowed and was stopped")


def ffmpeg(*arguments):
    subprocess.run(["ffmpeg", "-v", "error", "-nostdin", "-y", *map(str, arguments)], check=True)


def source(size="48x32", rate="24", frames=24, kind="testsrc2"):
    return ["-f", "lavfi", "-i", f"{kind}=s={size}:r={rate}", "-frames:v", frames]


X264 = ["-c:v", "libx264", "-preset", "ultrafast", "-qp", "4", "-pix_fmt", "yuv420p"]


def make(path, *options, size="48x32", rate="24", frames=24, codec=X264):
    ffmpeg(*source(size, rate, frames), *codec, *options, path)
    return path


def probe_all(paths, still=False):
    """What longanim-probe says about each: a list of dicts with `info` or `code`, and its exit status."""
    done = subprocess.run([BUILD / "longanim-probe", *(["--still"] if still else []), *map(str, paths)],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) == len(paths), done.stderr.decode(errors="replace")
    return lines, done.returncode


def probe(path, still=False):
    """The description of an accepted file."""
    (line,), status = probe_all([path], still)
    assert status == 0 and "info" in line, line
    return line["info"]


def refusal(path, still=False):
    """The code of a refused file. That it was not a crash is part of it."""
    (line,), status = probe_all([path], still)
    assert status == 3, line
    assert line["code"] in CODES and not any(words in line["detail"] for words in SIGNAL_DETAILS), line
    return line["code"]


def copy(path, out, form, alpha=False):
    """Through our reader and writer."""
    done = subprocess.run([COPIER, path, out, form, *(["alpha"] if alpha else [])], stdout=subprocess.PIPE, timeout=120)
    assert done.returncode == 0, done.stdout.decode(errors="replace")
    return out


def copy_code(path, out, form):
    done = subprocess.run([COPIER, path, out, form], stdout=subprocess.PIPE, timeout=120)
    assert done.returncode == 3, done
    return done.stdout.decode().split(":")[0]


def ffprobe(path):
    """The video stream as ffprobe sees it, with `times`: the decoded frames' time stamps in seconds."""
    done = subprocess.run(["ffprobe", "-v", "error", "-select_streams", "v:0", "-show_streams", "-show_frames",
                           "-show_entries", "stream:frame=pts,best_effort_timestamp", "-of", "json", str(path)],
                          check=True, stdout=subprocess.PIPE)
    said = json.loads(done.stdout)
    stream = said["streams"][0]
    num, den = map(int, stream["time_base"].split("/"))
    stream["times"] = [int(f["best_effort_timestamp"]) * num / den for f in said.get("frames", [])]
    return stream


def pixels(path, size, fmt="rgb24"):
    """All frames as ffmpeg decodes them, as bytes per frame."""
    done = subprocess.run(["ffmpeg", "-v", "error", "-i", str(path), "-f", "rawvideo", "-pix_fmt", fmt, "-"],
                          check=True, stdout=subprocess.PIPE)
    width, height = size
    step = width * height * {"rgb24": 3, "rgba": 4}[fmt]
    return [done.stdout[i:i + step] for i in range(0, len(done.stdout), step)]


def png(width, height, rows=None, colour=2, depth=8, fill=b"\x40", extra=b""):
    """A PNG of one value; `rows` is how many rows of pixels are really there."""
    channels = {0: 1, 2: 3, 6: 4}[colour]
    row = b"\0" + fill * (width * channels * depth // 8)

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    data = zlib.compress(row * (height if rows is None else rows), 9)
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def exif_chunk(orientation):
    tiff = b"MM\0*\0\0\0\x08" + struct.pack(">HHHIHHI", 1, 0x0112, 3, 1, orientation, 0, 0)
    return struct.pack(">I", len(tiff)) + b"eXIf" + tiff + struct.pack(">I", zlib.crc32(b"eXIf" + tiff))


def write_zip(path, files, compression=zipfile.ZIP_STORED):
    """files: pairs of name (or ZipInfo) and bytes."""
    with zipfile.ZipFile(path, "w", compression) as z:
        for name, data in files:
            z.writestr(name, data)
    return path
