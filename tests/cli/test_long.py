"""What only the real program shows of the real pipeline: memory over the length of a shot, and its speed."""
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from longanim import BUILD, make_image, make_video  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
TINY = ROOT / "models" / "tiny_a"
WIDTH, HEIGHT = 512, 320  # half a megabyte a frame: 354 frames more would be 170 MB


def variant(folder, **changes):
    """tiny_a by links, with another manifest."""
    folder.mkdir()
    for item in TINY.iterdir():
        if item.name != "longanimation.json":
            (folder / item.name).symlink_to(item)
    manifest = json.loads((TINY / "longanimation.json").read_text())
    (folder / "longanimation.json").write_text(json.dumps({**manifest, **changes}))
    return folder


# A small process in between: a program counts the memory of the one that started it as its own until then.
LAUNCHER = """import resource, subprocess, sys
code = subprocess.call(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)
sys.exit(code)"""


def peak_bytes(folder, frames, model):
    """The most memory that colouring so many frames took at a time."""
    video = make_video(folder / f"in-{frames}.mp4", frames, WIDTH, HEIGHT)
    done = subprocess.run(
        [sys.executable, "-c", LAUNCHER, BUILD / "longanim", "colorize", "--video", video, "--reference",
         make_image(folder / "reference.png"), "--out", folder / "out.mp4", "--model", model, "--seed", "7", "--steps", "1",
         "--guidance_scale", "1", "--output.snap", "none", "--threads", "1"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    *_, last, peak = done.stdout.splitlines()
    assert json.loads(last)["frames"] == frames
    return int(peak)


@pytest.mark.skipif("ASAN_OPTIONS" in os.environ, reason="freed memory is kept by the sanitizer")
@pytest.mark.parametrize("encoder", [None, str(ROOT / "tests/goldens/video_xl/video_xl")], ids=["alone", "with-memory"])
def test_500_frames_take_the_memory_of_146(tmp_path, encoder):
    model = variant(tmp_path / "model", segment_frames=81, video_encoder=encoder)
    short, long = (peak_bytes(tmp_path, frames, model) for frames in (146, 500))
    print(f"peak: {short / 1e6:.1f} MB for 146 frames, {long / 1e6:.1f} MB for 500")
    assert long < 1.1 * short


def test_speed_is_a_parameter(tmp_path):
    model = variant(tmp_path / "model", fast_threshold=10)
    video, reference = make_video(tmp_path / "in.mp4", 26), make_image(tmp_path / "reference.png")
    made = {}
    for name, speed in (("a", "exact"), ("b", "fast"), ("c", "fast"), ("d", "hasty")):
        done = subprocess.run([BUILD / "longanim", "colorize", "--video", video, "--reference", reference, "--out",
                               tmp_path / f"{name}.mp4", "--model", model, "--seed", "7", "--steps", "10", "--output.snap",
                               "none", "--threads", "1", "--speed", speed], capture_output=True, text=True, timeout=120)
        assert done.returncode == (2 if speed == "hasty" else 0), done.stderr
        if speed != "hasty":
            made[name] = (tmp_path / f"{name}.mp4").read_bytes()
    assert made["b"] == made["c"] != made["a"]
