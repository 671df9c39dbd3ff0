"""`longanim model check`, and the tools that make model folders."""
import json
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy
import pytest
from safetensors.numpy import load_file

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))
from longanim import BUILD, make_image, make_video  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
TINY = ROOT / "models" / "tiny_a"


def run_check(folder, *flags):
    return subprocess.run([BUILD / "longanim", "model", "check", folder, *flags], capture_output=True, text=True, timeout=120)


def check(folder, *flags):
    done = run_check(folder, *flags)
    return done.returncode, json.loads(done.stdout)


def phases(report):
    return {p["phase"]: (p["weights_bytes"], p["work_bytes"]) for p in report["memory_needed"]["phases"]}


def tool(name, *arguments):
    return subprocess.run([sys.executable, ROOT / "tools" / name, *map(str, arguments)], capture_output=True, text=True,
                          timeout=120)


def test_a_folder_with_the_published_shapes_is_whole(tmp_path):
    assert tool("make-model", tmp_path / "full").returncode == 0
    code, report = check(tmp_path / "full")
    assert (code, report["problems"]) == (0, [])
    parameters = {c["name"]: c["parameters"] for c in report["components"]}
    assert parameters["transformer"] == 5_571_594_880
    assert parameters["vae"] == 215_583_907
    assert parameters["text_encoder"] == 4_762_310_656
    assert parameters["sketch_dit"] == 818_359_808
    assert parameters["memory"] == 402_782_208
    assert parameters["lineart"] == 4_290_945
    phases = {p["phase"]: p["weights_bytes"] for p in report["memory_needed"]["phases"]}
    assert set(phases) == {"text", "recall", "encode", "diffusion", "decode"}
    assert (report["width"], report["height"], report["segment_frames"]) == (1024, 576, 81)
    assert {c["component"] for c in report["licences"]} >= {"transformer", "video_encoder", "lineart"}


def test_the_released_model_is_checked_without_reading_it(tmp_path):
    assert tool("make-model", tmp_path / "full").returncode == 0
    files = [f for f in (tmp_path / "full").rglob("*") if f.is_file()]
    assert sum(f.stat().st_size for f in files) > 20e9 and sum(f.stat().st_blocks * 512 for f in files) < 50e6
    code, report = check(tmp_path / "full", "--dtype", "bf16", "--frames", "500", "--vram-budget", str(24 << 30))
    need = report["memory_needed"]
    assert code == 0 and (need["frames"], need["segments"], need["width"], need["height"]) == (500, 8, 1024, 576)
    for component in report["components"]:
        assert component["bytes"] == 2 * component["parameters"] and component["stored_bytes"] > 0
    weights, work = phases(report)["diffusion"]
    assert weights == 2 * (5_571_594_880 + 818_359_808 + 402_782_208) and work > 2 << 30
    assert need["fits"] and max(w + a for w, a in phases(report).values()) <= 24 << 30
    assert not check(tmp_path / "full", "--dtype", "bf16", "--vram-budget", str(8 << 30))[1]["memory_needed"]["fits"]


def test_memory_is_told_for_the_shot_that_is_asked_about():
    plain = phases(check(TINY)[1])
    large = phases(check(TINY, "--size", "480x320")[1])
    fast = phases(check(TINY, "--size", "480x320", "--fast")[1])
    half = phases(check(TINY, "--size", "480x320", "--dtype", "bf16")[1])
    for phase in ("encode", "diffusion", "decode"):
        assert large[phase][1] > plain[phase][1] and half[phase][1] < large[phase][1]
        assert half[phase][0] * 2 == large[phase][0] == plain[phase][0]
    assert fast["diffusion"][1] > large["diffusion"][1] and fast["decode"] == large["decode"]
    for wrong in (["--size", "480"], ["--size", "480x321"], ["--frames", "-1"], ["--dtype", "f16"]):
        assert run_check(TINY, *wrong).returncode == 2


def test_memory_for_looking_back_follows_the_encoder_and_the_shot(tmp_path):
    shipped = check(ROOT / "models" / "demo", "--frames", "1000", "--vram-budget", str(2 << 30))[1]["memory_needed"]
    assert shipped["fits"] and shipped["host_bytes"] < 2 << 30
    assert tool("make-model", tmp_path / "full").returncode == 0
    short, long = (phases(check(tmp_path / "full", "--dtype", "bf16", "--frames", n)[1])["recall"][1] for n in ("81", "650"))
    assert 1 << 29 < short < long < 4 << 30


def test_a_run_over_the_budget_is_refused_with_both_numbers(tmp_path):
    video, reference = make_video(tmp_path / "in.mp4", 3), make_image(tmp_path / "reference.png")
    done = subprocess.run([BUILD / "longanim", "colorize", "--video", video, "--reference", reference, "--out",
                           tmp_path / "out.mp4", "--model", TINY, "--vram-budget", "1000000"], capture_output=True, text=True,
                          timeout=60)
    assert done.returncode == 1 and "the budget is 1000000" in done.stderr and not (tmp_path / "out.mp4").exists()


def test_every_wrong_tensor_of_a_folder_is_named(tmp_path):
    assert tool("make-model", tmp_path / "full", "--layers", 2, "--sketch-layers", 1, "--no-video-encoder").returncode == 0
    config = tmp_path / "full/transformer/config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "num_layers": 3}))
    config = tmp_path / "full/memory/config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "ff_mult": 2}))
    code, report = check(tmp_path / "full")
    assert code == 1
    text = "\n".join(report["problems"])
    assert "transformer_blocks.2.attn1.to_q.weight" in text and "layers.0.1.1.weight" in text
    assert "[12288,3072], not [6144,3072]" in text


def save_pth(path, tensors):
    """What torch.save writes, as far as a dictionary of float32 tensors goes."""
    class Storage:
        def __init__(self, key, count):
            self.pid = ("storage", Type("torch", "FloatStorage"), key, "cpu", count)

    class Type:
        def __init__(self, module, name):
            self.module, self.name = module, name

        def __reduce__(self):
            raise AssertionError("pickled by name only")

    class Pickler(pickle._Pickler):  # the Python one, to write names of classes that are not installed
        def persistent_id(self, value):
            return value.pid if isinstance(value, Storage) else None

        def save(self, value, save_persistent_id=True):
            if isinstance(value, Type):
                self.write(pickle.GLOBAL + f"{value.module}\n{value.name}\n".encode())
            elif isinstance(value, numpy.ndarray):
                self.save(Type("torch._utils", "_rebuild_tensor_v2"))
                strides = tuple(s // 4 for s in value.strides)
                self.save((Storage(str(id(value)), value.size), 0, value.shape, strides, False, {}))
                self.write(pickle.REDUCE)
            else:
                super().save(value, save_persistent_id)

    with zipfile.ZipFile(path, "w") as archive:
        with archive.open("archive/data.pkl", "w") as stream:
            Pickler(stream, protocol=2).dump(tensors)
        for value in tensors.values():
            archive.writestr(f"archive/data/{id(value)}", value.tobytes())


def test_published_files_are_used_where_they_lie(tmp_path):
    lines = load_file(str(TINY / "lineart/sk_model.safetensors"))
    lines = {name: value.astype(numpy.float32) for name, value in lines.items()}
    save_pth(tmp_path / "sk_model.pth", lines)
    done = tool("import-model", tmp_path / "model", "--base", TINY, "--sketch-dit",
                TINY / "sketch_dit/control_module.safetensors", "--memory", TINY / "memory/glm_module.safetensors",
                "--lineart", tmp_path / "sk_model.pth", "--size", "48x32")
    assert done.returncode == 0, done.stderr
    converted = load_file(str(tmp_path / "model/lineart/sk_model.safetensors"))
    assert set(converted) == set(lines)
    assert all(numpy.array_equal(converted[name], lines[name]) for name in lines)
    assert (tmp_path / "model/memory/glm_module.safetensors").resolve() == TINY / "memory/glm_module.safetensors"
    # The configurations are those of the released networks; these are not.
    code, report = check(tmp_path / "model")
    assert code == 1 and any("sketch_dit" in problem for problem in report["problems"])
    for part in ("sketch_dit", "memory"):
        (tmp_path / f"model/{part}/config.json").write_bytes((TINY / f"{part}/config.json").read_bytes())
    code, report = check(tmp_path / "model")
    assert (code, report["problems"]) == (0, [])


@pytest.mark.parametrize("program", [b"cos\nsystem\n(S'true'\ntR.", b"ctorch\nload\n(S'x'\ntR."])
def test_a_pth_file_that_is_a_program_is_not_run(tmp_path, program):
    with zipfile.ZipFile(tmp_path / "sk_model.pth", "w") as archive:
        archive.writestr("archive/data.pkl", program)
    done = tool("import-model", tmp_path / "model", "--base", TINY, "--sketch-dit",
                TINY / "sketch_dit/control_module.safetensors", "--memory", TINY / "memory/glm_module.safetensors",
                "--lineart", tmp_path / "sk_model.pth")
    assert done.returncode != 0 and "is not expected in a file of weights" in done.stderr
