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
from longanim import BUILD  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
TINY = ROOT / "models" / "tiny_a"


def check(folder):
    done = subprocess.run([BUILD / "longanim", "model", "check", folder], capture_output=True, text=True, timeout=120)
    return done.returncode, json.loads(done.stdout)


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
