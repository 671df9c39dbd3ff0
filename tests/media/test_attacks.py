"""Files that were made to do harm. Each row of the two attack tables of the threat survey, and what belongs beside
them: none may reach the network, use much memory or time, or end in anything but a code of the closed list."""
import os
import random
import resource
import socket
import struct
import subprocess
import time
import zipfile

import pytest

from media_files import (BUILD, CODES, COPIER, X264, copy_code, ffmpeg, make, png, probe_all, refusal, source, write_zip)

SANITIZED = BUILD.name in ("build-asan", "build-tsan")


@pytest.fixture
def listener():
    """A server on loopback that must see no connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server.getsockname()[1]
        with pytest.raises(BlockingIOError):
            server.accept()


PLAYLISTS = {
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:{port}/a.ts\n#EXT-X-ENDLIST\n",
    "hls_file": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n",
    "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration='
            '"PT1S"><BaseURL>http://127.0.0.1:{port}/</BaseURL><Period><AdaptationSet><Representation id="1">'
            '<BaseURL>a.mp4</BaseURL></Representation></AdaptationSet></Period></MPD>',
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video {port} RTP/AVP 96\n"
           "a=rtpmap:96 H264/90000\n",
    "ffconcat": "ffconcat version 1.0\nfile http://127.0.0.1:{port}/a.mp4\n",
    "text": "hello",
    "html": "<html><img src='http://127.0.0.1:{port}/'></html>",
}


@pytest.mark.parametrize("kind", PLAYLISTS)
def test_a_playlist_named_mp4_goes_nowhere(tmp_path, listener, kind):
    path = tmp_path / "video.mp4"
    path.write_text(PLAYLISTS[kind].format(port=listener))
    started = time.monotonic()
    assert refusal(path) == "media_container_refused"
    assert time.monotonic() - started < 2


def test_a_playlist_behind_a_false_beginning_goes_nowhere(tmp_path, listener):
    for head in (b"\0\0\0\x14ftypisom\0\0\0\0isom", b"\x1a\x45\xdf\xa3\x84\x42\x82\x84webm", b"RIFF\0\0\0\0AVI "):
        path = tmp_path / "video.mp4"
        path.write_bytes(head + b"\n" + PLAYLISTS["hls"].format(port=listener).encode())
        assert refusal(path) in {"media_unreadable", "media_truncated", "media_no_video"}


def test_an_mp4_that_refers_to_another_file_stays_alone(tmp_path, listener):
    """A data reference with a URL: the samples are said to lie elsewhere."""
    path = make(tmp_path / "a.mp4", frames=3)
    data = path.read_bytes()
    at = data.index(b"url \0\0\0\1")
    url = b"url \0\0\0\0"
    path.write_bytes(data[:at] + url + data[at + len(url):])
    (line,), _ = probe_all([path])
    assert "info" in line or line["code"] in CODES


def cost_of(arguments):
    """Peak memory in MB and seconds of a probe run, its children included."""
    script = ("import resource, subprocess, sys\n"
              "done = subprocess.run(sys.argv[1:], stdout=subprocess.PIPE)\n"
              "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024)\n"
              "sys.stdout.buffer.write(done.stdout)")
    started = time.monotonic()
    done = subprocess.run(["python3", "-c", script, *map(str, arguments)], stdout=subprocess.PIPE, check=True)
    megabytes, _, rest = done.stdout.decode().partition("\n")
    return int(megabytes), time.monotonic() - started, rest


def test_a_png_bomb_costs_nothing(tmp_path):
    bomb = tmp_path / "bomb.png"
    bomb.write_bytes(png(15000, 15000, rows=200, colour=6, depth=16))
    assert refusal(bomb, still=True) == "media_too_many_pixels"
    megabytes, seconds, _ = cost_of([BUILD / "longanim-probe", "--still", bomb])
    assert seconds < 2
    if not SANITIZED:
        assert megabytes < 100


def test_a_png_bomb_inside_a_video_is_refused_before_it_is_decoded(tmp_path):
    """The container says 64x64, the picture inside says 15,000x15,000: this is for libav's own decoders."""
    path = tmp_path / "bomb.mkv"
    make(path, codec=["-c:v", "png"], size="64x64", frames=2)
    data = bytearray(path.read_bytes())
    small, large = png(64, 64, colour=2)[8:33], png(15000, 15000, rows=1, colour=2)[8:33]
    count = 0
    while (at := data.find(small[:-4])) >= 0:
        data[at:at + len(small)] = large
        count += 1
    assert count
    path.write_bytes(data)
    assert refusal(path) in {"media_too_many_pixels", "media_unreadable"}
    megabytes, _, _ = cost_of([BUILD / "longanim-probe", path])
    if not SANITIZED:
        assert megabytes < 150


def test_a_transport_stream_is_refused_by_its_container(tmp_path):
    assert refusal(make(tmp_path / "a.ts", "-f", "mpegts")) == "media_container_refused"


@pytest.mark.parametrize("container", ["mkv", "mp4"])
def test_a_jump_of_the_picture_size_is_refused(tmp_path, container):
    small, large = tmp_path / "a.h264", tmp_path / "b.h264"
    make(small, size="128x128", frames=5)
    make(large, size="4224x4224", frames=1)
    (tmp_path / "both.h264").write_bytes(small.read_bytes() + large.read_bytes())
    ffmpeg("-r", "24", "-i", tmp_path / "both.h264", "-c", "copy", tmp_path / f"a.{container}")
    assert refusal(tmp_path / f"a.{container}") in {"media_unreadable", "media_too_many_pixels"}
    assert copy_code(tmp_path / f"a.{container}", tmp_path / "out.mkv", "mkv") in CODES


def test_too_many_frames_are_counted_not_decoded(tmp_path):
    path = tmp_path / "a.mp4"
    ffmpeg(*source("16x16", "1000", 2000, "color"), "-c:v", "mjpeg", path)
    ffmpeg("-stream_loop", "99", "-i", path, "-c", "copy", tmp_path / "many.mp4")  # 200,000 frames
    started = time.monotonic()
    assert refusal(tmp_path / "many.mp4") == "media_too_many_frames"
    assert time.monotonic() - started < 2


def test_too_long_and_too_large_are_said(tmp_path):
    assert refusal(make(tmp_path / "long.mp4", rate="1/100", frames=8)) == "media_too_long"
    assert refusal(make(tmp_path / "large.mp4", size="4112x4096", frames=1)) == "media_too_many_pixels"
    stretched = make(tmp_path / "stretched.mp4", "-vf", "setsar=20000", size="2000x2000", frames=1)
    assert refusal(stretched) == "media_too_many_pixels"


def test_too_many_streams_are_said(tmp_path):
    maps = [word for _ in range(9) for word in ("-map", "0:v")]
    for container in ("mp4", "mkv", "avi"):
        path = tmp_path / f"streams.{container}"
        ffmpeg(*source(frames=2)[:-2], *maps, "-frames:v", "2", *X264, path)
        assert refusal(path) == "media_too_many_streams"


def test_other_codecs_and_no_video_are_said(tmp_path):
    assert refusal(make(tmp_path / "a.avi", codec=["-c:v", "mpeg4"])) == "media_codec_refused"
    assert refusal(make(tmp_path / "a.mkv", codec=["-c:v", "mpeg2video"])) == "media_codec_refused"
    ffmpeg("-f", "lavfi", "-i", "sine=d=1", "-c:a", "aac", tmp_path / "sound.mp4")
    assert refusal(tmp_path / "sound.mp4") == "media_no_video"


# ---- zips ----
FRAME = png(16, 16)


@pytest.mark.parametrize("name", ["../up.png", "a/../../up.png", "/abs.png", "a\\b.png", "C:/a.png", "..", "a/.."])
def test_a_zip_with_a_dangerous_name_is_refused(tmp_path, name):
    path = write_zip(tmp_path / "a.zip", [("00.png", FRAME), (name, FRAME)])
    data = path.read_bytes()  # zipfile itself turns backslashes round
    path.write_bytes(data.replace(name.replace("\\", "/").encode(), name.encode()))
    assert refusal(path) == "media_unreadable"


def test_a_zip_with_a_link_is_refused(tmp_path):
    info = zipfile.ZipInfo("link.png")
    info.create_system = 3
    info.external_attr = 0o120777 << 16
    assert refusal(write_zip(tmp_path / "a.zip", [("00.png", FRAME), (info, b"/etc/passwd")])) == "media_unreadable"


def test_a_zip_with_an_encrypted_frame_is_refused(tmp_path):
    path = write_zip(tmp_path / "a.zip", [("00.png", FRAME), ("01.png", FRAME)])
    data = bytearray(path.read_bytes())
    for magic, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        at = data.rindex(magic)
        data[at + offset] |= 1
    path.write_bytes(data)
    assert refusal(path) == "media_unreadable"


def test_a_zip_bomb_is_refused_soon(tmp_path):
    """Frames that unpack to hundreds of megabytes of zeros, and one that only claims to."""
    big = b"\x89PNG\r\n\x1a\n" + bytes(200 << 20)
    path = write_zip(tmp_path / "a.zip", [("00.png", big)], zipfile.ZIP_DEFLATED)
    started = time.monotonic()
    assert refusal(path) in {"media_too_many_pixels", "media_truncated", "media_unreadable"}
    assert time.monotonic() - started < 3
    path = write_zip(tmp_path / "b.zip", [("00.png", FRAME), ("01.png", png(15000, 15000, rows=100))])
    assert refusal(path) == "media_too_many_pixels"


def test_other_broken_zips_are_refused(tmp_path):
    def code(files):
        return refusal(write_zip(tmp_path / "a.zip", files))
    assert code([]) == "media_no_video"
    assert code([("a/", b""), ("__MACOSX/._a.png", b"x"), (".DS_Store", b"x")]) == "media_no_video"
    assert code([("0.png", FRAME), ("1.png", png(18, 16))]) == "media_unreadable"
    assert code([("0.png", FRAME), ("notes.txt", b"hello")]) == "media_codec_refused"
    assert code([("0.png", FRAME), ("inner.zip", b"PK\3\4")]) == "media_codec_refused"
    assert code([("0.png", b"")]) == "media_unreadable"
    assert code([("0.png", FRAME[:-20])]) == "media_truncated"
    assert code([("a.png", FRAME), ("a.jpg", FRAME)]) == "media_unreadable"  # one name in a result
    assert code([(f"{i:05}.png", FRAME) for i in range(5001)]) == "media_too_many_frames"


# ---- damage ----
@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """One small file per container; for reading only."""
    folder = tmp_path_factory.mktemp("corpus")
    files = [make(folder / "a.mp4", frames=12), make(folder / "b.mkv", "-bf", "2", frames=12),
             make(folder / "c.avi", codec=["-c:v", "ffv1"], frames=6),
             make(folder / "d.mov", codec=["-c:v", "prores_ks", "-profile:v", "4444"], frames=3),
             make(folder / "e.webm", codec=["-c:v", "libvpx-vp9", "-deadline", "realtime"], frames=8),
             make(folder / "f.avi", codec=["-c:v", "mjpeg"], frames=6)]
    files.append(write_zip(folder / "g.zip", [(f"{i}.png", png(16, 16, fill=bytes([i]))) for i in range(4)]))
    return {f.name: f for f in files}


def test_flipped_bits_end_in_a_code_of_the_closed_list(tmp_path, corpus):
    dice = random.Random(7)
    damaged = []
    for original in corpus.values():
        data = original.read_bytes()
        for i in range(24):
            broken = bytearray(data)
            # The first kilobyte holds most of what steers a demuxer; the rest gets its share too.
            for _ in range(dice.choice((1, 3, 20))):
                at = dice.randrange(min(len(data), 1024)) if i % 2 else dice.randrange(len(data))
                broken[at] ^= 1 << dice.randrange(8)
            path = tmp_path / f"{original.stem}{i}{original.suffix}"
            path.write_bytes(broken)
            damaged.append(path)
    lines, _ = probe_all(damaged)
    for line in lines:
        assert "info" in line or line["code"] in CODES, line
        assert not any(words in line.get("detail", "") for words in ("(signal", "not allowed and")), line
    for path in damaged[::12]:  # and the reader says the same kind of thing
        done = subprocess.run([COPIER, path, tmp_path / "out.mkv", "mkv"], stdout=subprocess.PIPE)
        assert done.returncode == 0 or done.stdout.decode().split(":")[0] in CODES, (path, done)


@pytest.mark.parametrize("name", ["a.mp4", "d.mov", "g.zip"])
def test_a_file_cut_to_a_third_is_refused(tmp_path, corpus, name):
    data = corpus[name].read_bytes()
    for end in (len(data) // 3, len(data) * 2 // 3, len(data) - 1):
        (tmp_path / name).write_bytes(data[:end])
        assert refusal(tmp_path / name) in {"media_truncated", "media_unreadable"}


def test_a_faststart_file_cut_to_a_third_is_refused(tmp_path):
    path = make(tmp_path / "a.mp4", "-movflags", "+faststart", frames=48)
    data = path.read_bytes()
    path.write_bytes(data[:len(data) // 3])
    assert refusal(path) == "media_truncated"


@pytest.mark.parametrize("name", ["b.mkv", "e.webm", "c.avi"])
def test_other_files_that_are_cut_say_so(tmp_path, corpus, name):
    data = corpus[name].read_bytes()
    (tmp_path / name).write_bytes(data[:len(data) * 2 // 3])
    assert refusal(tmp_path / name) == "media_truncated"


def test_a_large_free_box_is_valid(tmp_path):
    data = make(tmp_path / "a.mp4", "-movflags", "+faststart", frames=5).read_bytes()
    free = struct.pack(">I", 8 + (1 << 20)) + b"free" + bytes(1 << 20)
    path = tmp_path / "free.mp4"
    path.write_bytes(data + free)
    lines, status = probe_all([path])
    assert status == 0 and lines[0]["info"]["frames"] == 5
    slow = make(tmp_path / "b.mp4", frames=5).read_bytes()  # moov at the end: nothing before it may move, so put it last
    path.write_bytes(slow + free)
    assert probe_all([path])[1] == 0


def test_stills_that_are_cut_or_wrong_are_refused(tmp_path):
    path = tmp_path / "a.jpg"
    ffmpeg(*source("64x64", frames=1), path)
    data = path.read_bytes()
    path.write_bytes(data[:len(data) // 2])
    assert refusal(path, still=True) in {"media_truncated", "media_unreadable"}
    path.write_bytes(png(64, 64)[:-30])
    assert refusal(path, still=True) == "media_truncated"
    path.write_bytes(b"")
    assert refusal(path, still=True) == "media_unreadable"
    assert refusal(path) == "media_unreadable"
    path.write_bytes(b"GIF89a" + bytes(100))
    assert refusal(path, still=True) == "media_container_refused"


# ---- the program ----
def test_sixteen_bombs_at_once_are_refused_within_seconds(tmp_path):
    bomb = make(tmp_path / "bomb.mkv", codec=["-c:v", "png"], size="3000x3000", frames=1)
    started = time.monotonic()
    running = [subprocess.Popen([BUILD / "longanim-probe", "--still", bomb], stdout=subprocess.DEVNULL)
               for _ in range(16)]
    assert {p.wait() for p in running} == {3}
    assert time.monotonic() - started < 10


def test_the_prober_works_where_memory_is_limited_already(tmp_path):
    """A container or a service manager may have set lower limits; they hold and nothing breaks."""
    path = make(tmp_path / "a.mp4", frames=3)

    def limit():
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    done = subprocess.run([BUILD / "longanim-probe", path], preexec_fn=limit, stdout=subprocess.PIPE)
    assert done.returncode == 0


@pytest.mark.skipif(os.geteuid() != 0 or SANITIZED, reason="chroot needs root, sanitizers need /proc")
def test_the_prober_works_without_dev_and_proc_of_its_own(tmp_path):
    """In an empty file system, its libraries bound in: nothing is opened once the sandbox is shut."""
    path = make(tmp_path / "a.mp4", frames=3)
    script = (f"mount --bind / /mnt 2>/dev/null && exec chroot /mnt {BUILD}/longanim-probe {path}; "
              f"exec {BUILD}/longanim-probe {path}")
    done = subprocess.run(["unshare", "-m", "sh", "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if done.returncode == 1 and b"unshare" in done.stderr:
        pytest.skip("no mount namespaces here")
    assert done.returncode == 0
