#!/usr/bin/env python3
"""Holds networks.py and memory_networks.py against the golden numbers of the service's networks.

usage: tools/demo_model/check.py tests/goldens"""
import json
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file

import memory_networks
import networks

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "goldens"))
import named_values  # noqa: E402


def fill(module, salt=""):
    module.load_state_dict({name: torch.from_numpy(named_values.weight(name, tuple(p.shape), salt)) for name, p in module.state_dict().items()})
    return module.eval()


def make(salt, label, shape, scale=1.0):
    return torch.from_numpy(named_values.given(label, shape, scale, salt))


def compare(name, tensor, record, tolerance=3e-5):
    flat = tensor.double().flatten()
    worst = max(float((flat[:12] - torch.tensor(record["first"])).abs().max()),
                float((flat[-12:] - torch.tensor(record["last"])).abs().max()),
                abs(float(flat.sum()) - record["sum"]) / flat.numel())
    print("PASS" if worst <= tolerance else "FAIL", name, worst)
    return worst <= tolerance


def check_video_encoder(folder):
    """Frames of a whole folder -> pixels, features, visual tokens, memories."""
    read = lambda name: json.loads((folder / name).read_text())  # noqa: E731
    run, vision = read("expected/run.json"), read("clip/config.json")["vision_config"]
    network = memory_networks.VideoXl(read("config.json"), vision, read("memory_prompt.json"), run["memory_layers"],
                                      run["compression_ratio"]).eval()
    stored = {}
    for file in folder.glob("*.safetensors"):
        stored |= load_file(file)
    own = network.state_dict()
    network.load_state_dict({name: stored[name].float() for name in own})
    want = {name: load_file(folder / f"expected/{name}.safetensors")[name] for name in
            ("pixel_values", "features", "visual_tokens", "memory", "memory_local")}
    tower = network.model.vision_tower.vision_tower.vision_model
    tokens = network.visual_tokens(want["pixel_values"][None])
    local = run["local_frames"] * run["tokens_per_frame"]
    got = {"features": tower(want["pixel_values"]), "visual_tokens": tokens[0], "memory": network.remember(tokens),
           "memory_local": network.remember(tokens[:, -local:])}
    ok = True
    for name, tensor in got.items():
        worst = float((tensor - want[name]).abs().max())
        print("PASS" if worst <= 3e-5 else "FAIL", "video encoder", name, worst)
        ok &= worst <= 3e-5
    return ok


def check_memory_module(file):
    golden, ok = json.loads(file.read_text()), True
    network = fill(memory_networks.Dglm(golden["config"]), golden["name_salt"])
    for case in golden["cases"]:
        control, far, near = (make(golden["name_salt"], n, case["inputs"][n], case["input_scale"])
                              for n in ("control", "global_memory", "local_memory"))
        memory = torch.cat([far, near], 3).expand(len(control), -1, -1, -1, -1)
        ok &= compare(f"memory module {file.stem}", network(control, memory), case["output"], golden["tolerance"])
    return ok


@torch.no_grad()
def main():
    root, ok = Path(sys.argv[1]), True
    vae = json.loads((root / "cogvideox/vae_tiny.json").read_text())
    network = fill(networks.Vae(vae["config"]))
    for case in vae.get("encode", []):
        x = make("", case["input"], case["input_shape"], case["input_scale"])
        ok &= compare(f"vae {case['input']}", networks.Vae.run(network.encoder, x, 8), case["moments"])
    for case in vae.get("decode", []):
        z = make("", case["input"], case["input_shape"])
        ok &= compare(f"vae {case['input']}", networks.Vae.run(network.decoder, z, 2), case["sample"])
    sketch = json.loads((root / "longanimation/sketch_dit.json").read_text())
    network = fill(networks.Dit(sketch["config"], True))
    for case in (c for c in sketch["cases"] if c["ofs"] == 2.0):
        shapes = case["inputs"]
        rope = networks.rope_tables(case["F"] // 2, case["h"] // 2, case["w"] // 2, sketch["config"]["attention_head_dim"], "cpu")
        z = network(*(make("", n, shapes[n], case["input_scale"]) for n in ("hidden_states", "encoder_hidden_states")),
                    torch.tensor(case["t"]), rope)
        ok &= compare("sketch_dit", z, case["output"])
    controlled = json.loads((root / "longanimation/controlled_transformer.json").read_text())
    for case in (c for c in controlled["cases"] if c["injection"] in networks.INJECTIONS and c["ofs"] == 2.0):
        network = fill(networks.Dit(controlled["config"], False, case["injection"]))
        shapes = case["inputs"]
        x, text, control = (make("", n, shapes[n], case["input_scale"]) for n in ("hidden_states", "encoder_hidden_states", "control"))
        rope = networks.rope_tables(case["F"] // 2, case["h"] // 2, case["w"] // 2, controlled["config"]["attention_head_dim"], "cpu")
        y = network(x, text, torch.tensor(case["t"]), rope, control, case["control_scale"])
        ok &= compare(f"transformer {case['injection']}", y, case["output"])
    ok &= check_video_encoder(root / "video_xl/video_xl")
    for file in sorted((root / "longanimation").glob("dglm*.json")):
        ok &= check_memory_module(file)
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
