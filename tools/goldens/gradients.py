#!/usr/bin/env python3
"""Makes tests/goldens/gradients/: gradients of every weight of a small transformer with SketchDiT, and of a small VAE,
computed by the PyTorch networks of tools/demo_model in float64.

usage: python tools/goldens/gradients.py OUT     (needs torch and numpy)
Weights, inputs and the cotangents (the gradient of the loss by the output) are generated from names, as in the other
goldens: named_values.py."""
import json
import sys
from pathlib import Path

import named_values
import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "demo_model"))
torch.Tensor.float = torch.Tensor.double  # the networks' few float32 places shall not round
torch.set_default_dtype(torch.float64)
import networks  # noqa: E402

SALT = "gradients/"


def weight(name, shape):
    return torch.from_numpy(named_values.weight(name, shape, SALT).astype(np.float64))


def given(label, *shape, scale=1.0):
    return torch.from_numpy(named_values.given(label, shape, scale, SALT).astype(np.float64))


def record(x):
    x = x.detach().contiguous()
    flat = [float(f"{v:.9g}") for v in x.flatten().tolist()]
    few = min(3, len(flat))
    return {"shape": list(x.shape), "sum": float(x.sum()), "abs_sum": float(x.abs().sum()), "min": float(x.min()),
            "max": float(x.max()), "first": flat[:few], "last": flat[-few:]}


def fill(network, prefix=""):
    network.load_state_dict({k: weight(prefix + k, tuple(v.shape)) for k, v in network.state_dict().items()})


def gradients(network):
    return {name: record(p.grad) for name, p in network.named_parameters()}


def colouriser():
    config = dict(num_attention_heads=2, attention_head_dim=16, in_channels=8, out_channels=4, num_layers=3,
                  time_embed_dim=12, ofs_embed_dim=12, text_embed_dim=10, max_text_seq_length=3, patch_size=2,
                  patch_size_t=2, patch_bias=False, sample_height=16, sample_width=16, sample_frames=9,
                  use_rotary_positional_embeddings=True)
    sketch = {**config, "num_layers": 2}
    b, f, h, w = 2, 4, 4, 6
    network = networks.Colouriser(config, sketch)
    fill(network.transformer, "transformer.")
    fill(network.sketch_dit, "sketch_dit.")
    x, s = given("noisy", b, f, 8, h, w), given("sketch", b, f, 8, h, w)
    text, t = given("text", b, 3, 10), torch.tensor([7, 2])
    rope = networks.rope_tables(f // 2, h // 2, w // 2, 16, "cpu")
    control = network.sketch_dit(s, text, t, rope)
    y = network.transformer(x, text, t, rope, control, 0.5)
    (y * given("cotangent", *y.shape)).sum().backward()
    return {"kind": "gradients.colouriser", "name_salt": SALT, "tolerance": 1e-5, "config": config,
            "sketch_config": sketch, "B": b, "F": f, "h": h, "w": w, "L": 3, "t": t.tolist(), "control_scale": 0.5,
            "output": record(y),
            "gradients": {"transformer": gradients(network.transformer), "sketch_dit": gradients(network.sketch_dit)}}


def vae():
    config = dict(in_channels=3, out_channels=3, latent_channels=4, block_out_channels=[4, 8, 8, 12],
                  layers_per_block=1, norm_num_groups=4, temporal_compression_ratio=4, sample_height=32,
                  sample_width=48)
    network = networks.Vae(config)
    fill(network)
    cases = []
    for frames in (17, 1):
        network.zero_grad()
        x = given("video", 2, 3, frames, 16, 24, scale=0.5)
        mean, std = network.moments(x)
        z = mean + std * given("noise", *mean.shape)
        y = network.decode(z)
        (y * given("cotangent", *y.shape)).sum().backward()
        cases.append({"frames": frames, "output": record(y), "gradients": gradients(network)})
    return {"kind": "gradients.vae", "name_salt": SALT, "tolerance": 1e-6, "config": config, "B": 2, "height": 16,
            "width": 24, "cases": cases}


def main():
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    for name, golden in (("colouriser", colouriser()), ("vae", vae())):
        (out / f"{name}.json").write_text(json.dumps(golden, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
