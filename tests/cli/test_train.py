"""`longanim train`: data in, checkpoints and a model folder out."""
import json
import shutil
import signal
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path

import numpy
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from longanim import BUILD, ffmpeg, until  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
TINY = ROOT / "models" / "tiny_a"
TYPES = {"F32": numpy.float32, "F16": numpy.float16, "BF16": numpy.uint16}
QUICK = {"--threads": 1, "--frames": 9, "--steps": 3, "--warmup": 0, "--learning-rate": 1e-3, "--batch": 1, "--log-steps": 1}


def arguments_of(folder, data, **flags):
    given = {"--model": TINY, "--data": data, "--work": folder / "work", **QUICK}
    given.update({"--" + name.replace("_", "-"): value for name, value in flags.items()})
    words = ["train"]
    for name, value in given.items():
        words += [name] if value is True else [name, value]
    return [str(BUILD / "longanim"), *map(str, words)]


def train(folder, data, **flags):
    return subprocess.run(arguments_of(folder, data, **flags), capture_output=True, text=True, timeout=120)


def picture(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = pixels.shape[:2]
    rows = b"".join(b"\0" + row.tobytes() for row in pixels.astype(numpy.uint8))
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks))


def shot(folder, name, frames=20, lines=True, width=48, height=32, seed=0):
    """A square of one colour on another, as PNG frames; its lines beside it."""
    paint = numpy.random.default_rng(seed).integers(0, 256, (2, 3))
    for number in range(frames):
        inside = numpy.zeros((height, width), bool)
        inside[8:24, number:number + 14] = True
        edge = inside.copy()
        edge[9:23, number + 1:number + 13] = False
        picture(folder / name / f"{number:04d}.png", paint[inside.astype(int)])
        if lines:
            picture(folder / f"{name}.lines" / f"{number:04d}.png", numpy.where(edge[..., None], 0, [255] * 3))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    shot(folder, "a")
    shot(folder, "b", seed=1)
    (folder / "b.txt").write_text("a blue square\n")
    return folder


def log_of(folder, event=None):
    lines = [json.loads(line) for line in (folder / "work" / "log.jsonl").read_text().splitlines()]
    return [line for line in lines if event in (None, line["event"])]


def losses(folder):
    return [line["loss"] for line in log_of(folder, "step")]


def tensors(path):
    """name -> array of one safetensors file."""
    raw = path.read_bytes()
    size = struct.unpack("<Q", raw[:8])[0]
    header = json.loads(raw[8:8 + size])
    header.pop("__metadata__", None)
    found = {}
    for name, entry in header.items():
        begin, end = (8 + size + at for at in entry["data_offsets"])
        numbers = numpy.frombuffer(raw[begin:end], TYPES[entry["dtype"]]).reshape(entry["shape"])
        if entry["dtype"] == "BF16":  # the upper half of a float32
            numbers = (numbers.astype(numpy.uint32) << 16).view(numpy.float32)
        found[name] = numbers
    return found


def weights(folder):
    return {name: t for file in sorted(folder.glob("*.safetensors")) for name, t in tensors(file).items()}


def memory_model(folder):
    """tiny_a with the video encoder of the goldens."""
    manifest = json.loads((TINY / "longanimation.json").read_text())
    manifest["base"] = str(TINY)
    for part in ("sketch_dit", "memory", "lineart"):
        manifest[part] = str(TINY / part)
    manifest["video_encoder"] = str(ROOT / "tests/goldens/video_xl/video_xl")
    folder.mkdir()
    (folder / "longanimation.json").write_text(json.dumps(manifest))
    return folder


def test_a_trained_model_is_a_model(tmp_path, data):
    done = train(tmp_path, data, out=tmp_path / "better", parts="sketch_dit.blocks", store="f32", ema=0)
    assert done.returncode == 0, done.stderr
    assert len(losses(tmp_path)) == 3 and (tmp_path / "work" / "loss.svg").read_text().startswith("<svg")
    checked = subprocess.run([BUILD / "longanim", "model", "check", tmp_path / "better"], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    before, after = weights(TINY / "sketch_dit"), weights(tmp_path / "better" / "sketch_dit")
    assert before.keys() == after.keys()
    for name in before:
        same = numpy.array_equal(before[name].astype(numpy.float32), after[name])
        assert same != name.startswith("transformer_blocks."), name
    for part in ("transformer", "vae", "memory", "lineart", "text_encoder"):
        assert all(numpy.array_equal(a, b) for a, b in zip(weights(TINY / part).values(),
                                                           weights(tmp_path / "better" / part).values()))
    shown = subprocess.run([BUILD / "longanim", "colorize", "--model", tmp_path / "better", "--video",
                            make_lines_zip(tmp_path, data), "--reference", data / "a" / "0000.png", "--steps", "2",
                            "--out", tmp_path / "out.mp4"], capture_output=True, text=True)
    assert shown.returncode == 0, shown.stderr


def make_lines_zip(folder, data):
    return shutil.make_archive(str(folder / "lines"), "zip", data / "a.lines")


def test_the_same_run_twice_has_the_same_losses_and_so_has_a_stopped_one(tmp_path, data):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        assert train(tmp_path / name, data, steps=6, seed=3).returncode == 0
    assert losses(tmp_path / "one") == losses(tmp_path / "two")
    stopped = tmp_path / "stopped"
    stopped.mkdir()
    command = arguments_of(stopped, data, steps=6, seed=3)
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    log = stopped / "work" / "log.jsonl"
    until(lambda: log.exists() and '"step"' in log.read_text().replace('"step":0', ""), 60, "a first step")
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) in (0, 130)
    assert (stopped / "work" / "state.json").exists()
    assert subprocess.run(command, capture_output=True, timeout=120).returncode == 0
    by_step = {line["step"]: line["loss"] for line in log_of(stopped, "step")}
    assert [by_step[step] for step in sorted(by_step)] == losses(tmp_path / "one")


def test_a_bad_shot_is_left_out_and_said_so(tmp_path, data):
    mixed = tmp_path / "data"
    shutil.copytree(data, mixed)
    (mixed / "broken.mp4").write_bytes(b"no video at all" * 100)
    shot(mixed, "short", frames=5)
    (mixed / "empty").mkdir()
    shot(mixed, "uneven", frames=12)
    (mixed / "uneven.lines" / "0003.png").unlink()
    shot(mixed, "worded", frames=12)
    (mixed / "worded.txt").write_bytes(b"\xff\xfe a square")
    done = train(tmp_path, mixed)
    assert done.returncode == 0, done.stderr
    for name in ("broken.mp4", "short", "empty", "uneven", "worded"):
        assert f"{name} is left out" in done.stderr
    start = log_of(tmp_path, "start")[0]
    assert (start["shots"], start["shots_left_out"]) == (2, 5)


def test_without_a_usable_shot_nothing_runs(tmp_path):
    (tmp_path / "data").mkdir()
    done = train(tmp_path, tmp_path / "data")
    assert done.returncode == 3 and "no shot" in done.stderr
    done = train(tmp_path, tmp_path / "nowhere")
    assert done.returncode == 3 and "nowhere" in done.stderr


@pytest.mark.parametrize("how", ["network", "borders"])
def test_lines_are_drawn_where_there_are_none(tmp_path, how):
    shot(tmp_path / "data", "a", frames=10, lines=False)
    done = train(tmp_path, tmp_path / "data", lines=how, steps=1)
    assert done.returncode == 0, done.stderr
    drawn = next((tmp_path / "work" / "cache").glob(f"*.{how}")).read_bytes()
    assert len(drawn) == 10 * 48 * 32 and set(drawn) <= {0, 255}
    given = train(tmp_path, tmp_path / "data", lines="given", steps=1)
    assert given.returncode == 3 and "no line art beside it" in given.stderr


def test_videos_are_shots_too_and_are_fitted(tmp_path):
    (tmp_path / "data").mkdir()
    for name, source in (("a.mp4", "testsrc2"), ("a.lines.mkv", "testsrc")):
        ffmpeg(["-f", "lavfi", "-i", f"{source}=s=160x90:r=24:d=0.5", "-pix_fmt", "yuv420p", tmp_path / "data" / name])
    done = train(tmp_path, tmp_path / "data", stage="vae", crop="32x16")
    assert done.returncode == 0, done.stderr
    assert len(next((tmp_path / "work" / "cache").glob("*.color")).read_bytes()) == 12 * 48 * 32 * 3


def test_the_vae_stage_measures_its_latents(tmp_path, data):
    done = train(tmp_path, data, stage="vae", out=tmp_path / "better")
    assert done.returncode == 0, done.stderr
    config = json.loads((tmp_path / "better" / "vae" / "config.json").read_text())
    assert config["scaling_factor"] != json.loads((TINY / "vae" / "config.json").read_text())["scaling_factor"]
    assert all(t.dtype == numpy.float16 for t in weights(tmp_path / "better" / "vae").values())


def test_the_memory_stage_trains_the_memory_alone(tmp_path, data):
    model = memory_model(tmp_path / "model")
    done = train(tmp_path, data, model=model, stage="memory", out=tmp_path / "better", store="f32", ema=0)
    assert done.returncode == 0, done.stderr
    before, after = weights(TINY / "memory"), weights(tmp_path / "better" / "memory")
    assert all(not numpy.array_equal(before[name], after[name]) for name in before)
    assert all(numpy.array_equal(a, b) for a, b in zip(weights(TINY / "sketch_dit").values(),
                                                       weights(tmp_path / "better" / "sketch_dit").values()))
    checked = subprocess.run([BUILD / "longanim", "model", "check", tmp_path / "better"], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout


def test_the_reward_stage_reports_its_reward(tmp_path, data):
    model = memory_model(tmp_path / "model")
    done = train(tmp_path, data, model=model, stage="reward", reward_steps=2, reward_group=2)
    assert done.returncode == 0, done.stderr
    assert all(-1 <= line["reward"] <= 1 for line in log_of(tmp_path, "step"))


def test_a_line_of_the_log_has_the_mean_of_the_rewards_of_its_steps(tmp_path, data):
    done = train(tmp_path, data, stage="reward", reward="direct", reward_steps=2, steps=4, log_steps=4)
    assert done.returncode == 0, done.stderr
    line, = log_of(tmp_path, "step")
    assert line["reward"] == pytest.approx(-line["loss"], abs=1e-6)


def test_a_dry_run_says_what_would_train(tmp_path, data):
    done = train(tmp_path, data, dry_run=True, parts="transformer.blocks,sketch_dit")
    about = json.loads(done.stdout)
    counts = {part["name"]: (part["parameters"], part["trained"]) for part in about["parts"]}
    assert counts["sketch_dit"][0] == counts["sketch_dit"][1] > 0
    assert 0 < counts["transformer"][1] < counts["transformer"][0]
    assert counts["vae"][1] == 0 and "memory.layers" in about["part_names"]
    assert about["trained_parameters"] == counts["sketch_dit"][1] + counts["transformer"][1]
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize("flags, word", [
    ({"stage": "four"}, "vae, sketch, memory, reward"), ({"parts": "sketch_dit,nose"}, "nose"),
    ({"size": "48"}, "WIDTHxHEIGHT"), ({"learning_rate": "fast"}, "not a number"), ({"frames": 12}, "frames"),
    ({"stage": "memory"}, "video encoder"), ({"lines": "by hand"}, "network"), ({"store": "f8"}, "bf16")])
def test_wrong_settings_are_named(tmp_path, data, flags, word):
    done = train(tmp_path, data, **flags)
    assert done.returncode in (2, 3) and word in done.stderr, done.stderr


def test_what_is_needed_is_asked_for(tmp_path, data):
    for missing in ("--model", "--data", "--work"):
        words = arguments_of(tmp_path, data)
        at = words.index(missing)
        done = subprocess.run(words[:at] + words[at + 2:], capture_output=True, text=True)
        assert done.returncode == 2 and missing in done.stderr


def test_a_run_that_has_ended_can_go_on_and_be_written(tmp_path, data):
    assert train(tmp_path, data, schedule="constant").returncode == 0
    assert train(tmp_path, data, schedule="constant", steps=5, out=tmp_path / "better").returncode == 0
    assert [line["step"] for line in log_of(tmp_path, "step")] == [1, 2, 3, 4, 5]
    assert train(tmp_path, data, schedule="constant", steps=5, out=tmp_path / "again").returncode == 0
    assert weights(tmp_path / "better" / "sketch_dit").keys() == weights(tmp_path / "again" / "sketch_dit").keys()
    refused = train(tmp_path, data, schedule="constant", steps=6, seed=2)
    assert refused.returncode == 3 and "other settings" in refused.stderr


def test_seconds_of_a_step_are_noted(tmp_path, data):
    started = time.monotonic()
    assert train(tmp_path, data).returncode == 0
    spent = sum(line["seconds"] for line in log_of(tmp_path, "step"))
    assert 0 < spent < time.monotonic() - started
