#!/usr/bin/env python3
"""Writes what PyTorch makes of some frames next to a packaged video encoder, for `longanim parity` to compare with.

usage: tools/demo_model/expect_memory.py MODEL SHOT.npz [--frames 8]; then: longanim parity MODEL/video_encoder
Leave MODEL/video_encoder/expected out of what is shipped."""
import argparse
import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

import memory_networks
from evaluate import Shot


def seen(frames, preprocessor):
    """uint8 [F,h,w,3] -> [F,3,s,s], by Pillow."""
    size = (preprocessor["size"]["width"], preprocessor["size"]["height"])
    small = np.stack([np.asarray(Image.fromarray(f).resize(size, Image.Resampling.BICUBIC)) for f in frames])
    x = torch.from_numpy((small.astype(np.float64) / 255).astype(np.float32)).permute(0, 3, 1, 2)
    mean, std = (torch.tensor(preprocessor[k]).view(1, 3, 1, 1) for k in ("image_mean", "image_std"))
    return (x - mean) / std


@torch.no_grad()
def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("shot", type=Path)
    parser.add_argument("--frames", type=int, default=8)
    arguments = parser.parse_args()
    read = lambda path: json.loads((arguments.model / path).read_text())  # noqa: E731
    manifest, config = read("longanimation.json"), read("video_encoder/config.json")
    prompt, vision = read("video_encoder/memory_prompt.json"), read("video_encoder/clip/config.json")["vision_config"]
    network = memory_networks.VideoXl(config, vision, prompt, manifest["memory_layers"], manifest["compression_ratio"]).eval()
    stored = load_file(arguments.model / "video_encoder/model.safetensors")
    network.load_state_dict({k: v.float() for k, v in stored.items()})
    shot = Shot(arguments.shot, 0)
    frames = np.stack([shot.colours[r] for r in shot.regions[:arguments.frames]])
    pixels = seen(frames, read("video_encoder/clip/preprocessor_config.json"))
    tokens, local = network.visual_tokens(pixels[None]), manifest["local_frames"]
    per_frame = tokens.shape[1] // len(frames)
    out = arguments.model / "video_encoder/expected"
    out.mkdir(exist_ok=True)
    results = {"frames": torch.from_numpy(frames), "pixel_values": pixels, "visual_tokens": tokens[0],
               "features": network.model.vision_tower.vision_tower.vision_model(pixels), "memory": network.remember(tokens),
               "memory_local": network.remember(tokens[:, -local * per_frame:])}
    for name, tensor in results.items():
        save_file({name: tensor.contiguous()}, out / f"{name}.safetensors")
    (out / "run.json").write_text(json.dumps({
        "compression_ratio": manifest["compression_ratio"], "memory_layers": manifest["memory_layers"], **prompt,
        "local_frames": local, "tokens_per_frame": per_frame, "compute_dtype": "float32", "stored_dtype": "float16"}))


if __name__ == "__main__":
    main()
