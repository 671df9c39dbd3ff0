#!/usr/bin/env python3
"""Holds networks.py against the golden numbers of the VAE, the transformer and SketchDiT.

usage: tools/demo_model/check.py tests/goldens"""
import json
import sys
from pathlib import Path

import numpy as np
import torch

import networks

MASK = (1 << 64) - 1


def unit(name, count):
    h = 14695981039346656037
    for byte in name.encode():
        h = ((h ^ byte) * 1099511628211) & MASK
    with np.errstate(over="ignore"):
        z = np.uint64(h) + (np.arange(1, count + 1, dtype=np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    return 2 * ((z >> np.uint64(40)).astype(np.float64) * 2.0 ** -24) - 1


def weight(name, shape):
    u = unit(name, int(np.prod(shape)))
    if len(shape) >= 2:
        u = np.sqrt(3 / np.prod(shape[1:])) * u
    else:
        u = 1 + 0.1 * u if name.endswith(".weight") else 0.1 * u
    return torch.from_numpy(u.astype(np.float32).reshape(shape))


def fill(module):
    module.load_state_dict({name: weight(name, tuple(p.shape)) for name, p in module.state_dict().items()})
    return module.eval()


def make(label, shape, scale=1.0):
    return torch.from_numpy((unit("input:" + label, int(np.prod(shape))) * 3 ** 0.5 * scale).astype(np.float32).reshape(shape))


def compare(name, tensor, record, tolerance=3e-5):
    flat = tensor.double().flatten()
    worst = max(float((flat[:12] - torch.tensor(record["first"])).abs().max()),
                float((flat[-12:] - torch.tensor(record["last"])).abs().max()),
                abs(float(flat.sum()) - record["sum"]) / flat.numel())
    print("PASS" if worst <= tolerance else "FAIL", name, worst)
    return worst <= tolerance


@torch.no_grad()
def main():
    root, ok = Path(sys.argv[1]), True
    vae = json.loads((root / "cogvideox/vae_tiny.json").read_text())
    network = fill(networks.Vae(vae["config"]))
    for case in vae.get("encode", []):
        x = make(case["input"], case["input_shape"], case["input_scale"])
        ok &= compare(f"vae {case['input']}", networks.Vae.run(network.encoder, x, 8), case["moments"])
    for case in vae.get("decode", []):
        z = make(case["input"], case["input_shape"])
        ok &= compare(f"vae {case['input']}", networks.Vae.run(network.decoder, z, 2), case["sample"])
    sketch = json.loads((root / "longanimation/json/sketch_dit.json").read_text())
    network = fill(networks.Dit(sketch["config"], True))
    for case in (c for c in sketch["cases"] if c["ofs"] == 2.0):
        shapes = case["inputs"]
        rope = networks.rope_tables(case["F"] // 2, case["h"] // 2, case["w"] // 2, sketch["config"]["attention_head_dim"], "cpu")
        z = network(*(make(n, shapes[n], case["input_scale"]) for n in ("hidden_states", "encoder_hidden_states")),
                    torch.tensor(case["t"]), rope)
        ok &= compare("sketch_dit", z, case["output"])
    controlled = json.loads((root / "longanimation/json/controlled_transformer.json").read_text())
    network = fill(networks.Dit(controlled["config"], False))
    for case in (c for c in controlled["cases"] if c["injection"] == "skip_layer" and c["ofs"] == 2.0):
        shapes = case["inputs"]
        x, text, control = (make(n, shapes[n], case["input_scale"]) for n in ("hidden_states", "encoder_hidden_states", "control"))
        rope = networks.rope_tables(case["F"] // 2, case["h"] // 2, case["w"] // 2, controlled["config"]["attention_head_dim"], "cpu")
        y = network(x, text, torch.tensor(case["t"]), rope, control, case["control_scale"])
        ok &= compare("transformer", y, case["output"])
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
