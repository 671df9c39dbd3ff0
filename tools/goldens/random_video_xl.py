#!/usr/bin/env python3
"""Makes video encoder folders of random sizes with expected/: sharded or not, stored in several types, other heads, layers,
ratios, windows and patches. `longanim parity OUT` then compares.

usage: python tools/goldens/random_video_xl.py OUT [--seed N] [--count N]
Needs torch, transformers, safetensors, Pillow. The vision tower is transformers', the language model random_beacon.py."""
import argparse
import json
import random
import shutil
from pathlib import Path

import cogvideox_odd as odd
import numpy as np
import random_beacon
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import save_file
from transformers import CLIPVisionConfig, CLIPVisionModel

TYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
TOWER = "model.vision_tower.vision_tower."


def stored(tensors, kind, r):
    """As they lie in the files; "mixed" is a type per tensor."""
    return {k: v.to(TYPES[r.choice(list(TYPES)) if kind == "mixed" else kind]).contiguous() for k, v in tensors.items()}


def save(folder, stem, tensors, shards, r):
    """One file, or shards and their index."""
    folder.mkdir(parents=True, exist_ok=True)
    if shards == 1:
        return save_file(tensors, folder / f"{stem}.safetensors")
    names = list(tensors)
    r.shuffle(names)
    places = {}
    for i in range(shards):
        file = f"{stem}-{i + 1:05}-of-{shards:05}.safetensors"
        save_file({n: tensors[n] for n in names[i::shards]}, folder / file)
        places |= {n: file for n in names[i::shards]}
    size = sum(t.numel() * t.element_size() for t in tensors.values())
    (folder / f"{stem}.safetensors.index.json").write_text(json.dumps(dict(metadata=dict(total_size=size), weight_map=places)))


def put(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=1) + "\n")


class Encoder:
    """Random sizes and weights; `memory(frames)` is what the folder's expected/ holds."""

    def __init__(self, r):
        self.r = r
        self.patch, self.grid = r.choice([2, 3, 4, 7]), 2 * r.randint(1, 4)
        self.image, heads = self.patch * self.grid, r.choice([1, 2, 3])
        self.vision = dict(hidden_size=heads * r.choice([4, 8, 10]), intermediate_size=r.choice([12, 40]), num_channels=3,
                           num_hidden_layers=r.randint(2, 4), num_attention_heads=heads, image_size=self.image,
                           patch_size=self.patch, hidden_act=r.choice(["quick_gelu", "gelu"]), projection_dim=16,
                           layer_norm_eps=r.choice([1e-5, 1e-4]))
        self.select = r.choice([-1, -2, -2, -self.vision["num_hidden_layers"]])
        self.per_frame = (self.grid // 2) ** 2
        self.ratio = r.choice([k for k in (1, 2, 3, 4, 8) if self.per_frame % k == 0])
        self.language = self.language_config()
        names = dict(random_beacon.shapes_of(self.language))
        d, vision = self.language["hidden_size"], self.vision["hidden_size"]
        names |= {"model.mm_projector.0.weight": [d, vision], "model.mm_projector.0.bias": [d],
                  "model.mm_projector.2.weight": [d, d], "model.mm_projector.2.bias": [d], "model.norm.weight": [d],
                  "lm_head.weight": [self.language["vocab_size"], d]}
        self.tower = CLIPVisionModel(CLIPVisionConfig(**self.vision)).eval()
        names |= {TOWER + k: list(v.shape) for k, v in self.tower.state_dict().items()}
        self.kind = r.choice(["float32", "bfloat16", "float16", "mixed"])
        self.files = stored({k: odd.weight(k, tuple(v)) for k, v in names.items()}, self.kind, r)
        self.p = {k: v.float() for k, v in self.files.items()}
        self.tower.load_state_dict({k: self.p[TOWER + k] for k in self.tower.state_dict()})
        self.model = random_beacon.Model(self.language)
        self.model.p = self.p
        layers = self.language["num_hidden_layers"]
        self.layers = [layers - 9, layers - 5, layers - 1] if layers >= 9 else sorted(r.sample(range(layers), 3))
        vocabulary = range(self.language["vocab_size"])
        self.prefix, self.suffix = ([r.choice(vocabulary) for _ in range(r.randint(1, 20))] for _ in range(2))
        self.local = r.randint(1, 6)
        self.preprocess()

    def language_config(self):
        r, (heads, kv) = self.r, self.r.choice([(2, 1), (4, 2), (6, 3), (3, 3), (4, 1)])
        window = self.per_frame * r.choice([1, 2, 3, 10])
        if r.random() < 0.4:  # windows that end inside a frame
            window = self.ratio * r.randint(1, 3 * self.per_frame // self.ratio)
        return dict(vocab_size=r.choice([33, 70, 128]), hidden_size=heads * r.choice([4, 8, 12]), num_attention_heads=heads,
                    num_key_value_heads=kv, num_hidden_layers=r.choice([3, 4, 5, 9, 10]), intermediate_size=r.choice([20, 48]),
                    rms_norm_eps=r.choice([1e-6, 1e-3]), rope_theta=r.choice([1e4, 1e6]), hidden_act="silu",
                    beacon_window=window, beacon_stride=window)

    def preprocess(self):
        r = self.r
        size = self.image + r.choice([0, 0, 3])
        self.clip = dict(size=r.choice([size, dict(shortest_edge=size)]), do_center_crop=True, do_resize=True, resample=3,
                         crop_size=r.choice([self.image, dict(height=self.image, width=self.image)]),
                         image_mean=[round(r.uniform(0.3, 0.6), 3) for _ in range(3)],
                         image_std=[round(r.uniform(0.2, 0.4), 3) for _ in range(3)])
        self.size = size

    def pixels(self, frames):
        mean, std = (torch.tensor(self.clip[k])[:, None, None] for k in ("image_mean", "image_std"))
        out = []
        for frame in frames:
            h, w = frame.shape[:2]
            to = (self.size, int(self.size * w / h)) if h <= w else (int(self.size * h / w), self.size)
            y = torch.from_numpy(np.asarray(Image.fromarray(frame.numpy()).resize(to[::-1], Image.BICUBIC)).copy())
            top, left = (to[0] - self.image) // 2, (to[1] - self.image) // 2
            y = y[top:top + self.image, left:left + self.image]
            out.append(((y.double() / 255).float().permute(2, 0, 1) - mean) / std)
        return torch.stack(out)

    def features(self, pixels):
        return self.tower(pixels, output_hidden_states=True).hidden_states[self.select][:, 1:]

    def tokens(self, features):
        p, m = self.p, "model.mm_projector."
        y = F.gelu(F.linear(features, p[m + "0.weight"], p[m + "0.bias"]))
        y = F.linear(y, p[m + "2.weight"], p[m + "2.bias"]).transpose(1, 2).unflatten(2, (self.grid, self.grid))
        return F.avg_pool2d(y, 2).flatten(2).transpose(1, 2).flatten(0, 1)

    def memory_of(self, tokens):
        memory, steps = self.model.run(self.prefix, tokens, self.suffix, self.ratio)
        flat = lambda x: x.transpose(0, 1).flatten(1)
        kinds = [torch.stack([flat(memory[i][kind]) for i in self.layers]) for kind in (0, 1)]
        return torch.stack(kinds)[None], [[s["new_tokens"], s["summary_tokens"], s["memory_before"]] for s in steps]

    def memory(self, frames):
        return self.memory_of(self.tokens(self.features(self.pixels(frames))))[0]

    def write(self, folder):
        r = self.r
        config = dict(self.language, beacon_ratio=[2, 4, 8], beacon_param=["q", "k", "v"], beacon_pos="interleave",
                      beacon_attn="full-coverage", beacon_attend_prev=True, beacon_accum=True, beacon_sink_size=0,
                      beacon_parallel_window=1, mm_hidden_size=self.vision["hidden_size"], mm_projector_type="mlp2x_gelu",
                      mm_spatial_pool_stride=2, mm_spatial_pool_mode="average", mm_resampler_type="spatial_pool",
                      mm_vision_select_layer=self.select, mm_vision_select_feature="patch", rope_scaling=None,
                      mm_vision_tower="openai/clip-vit-large-patch14-336", model_type="llava_qwen", torch_dtype="bfloat16")
        if r.random() < 0.5:
            config["vision_config"] = self.vision
        files = dict(self.files)
        if r.random() < 0.5:  # older files carry these
            files[TOWER + "vision_model.embeddings.position_ids"] = torch.arange(self.grid**2 + 1)[None]
            files["model.layers.0.self_attn.rotary_emb.inv_freq"] = torch.ones(4)
        save(folder, "model", files, r.choice([1, 2, 4]), r)
        put(folder / "config.json", config)
        put(folder / "clip/config.json", r.choice([self.vision, dict(model_type="clip", vision_config=self.vision)]))
        put(folder / "clip/preprocessor_config.json", self.clip)
        put(folder / "memory_prompt.json", dict(prefix_ids=self.prefix, suffix_ids=self.suffix))


def make(folder, r):
    net, count, h, w = Encoder(r), r.randint(1, 13), r.randint(12, 90), r.randint(12, 90)
    while count * net.per_frame % net.ratio or net.language["beacon_window"] % net.ratio:
        count += 1
    frames = torch.from_numpy(np.random.default_rng(r.randrange(1 << 30)).integers(0, 256, (count, h, w, 3), np.uint8))
    pixels = net.pixels(frames)
    features = net.features(pixels)
    tokens = net.tokens(features)
    memory, windows = net.memory_of(tokens)
    local, local_windows = net.memory_of(tokens[-net.local * net.per_frame:])
    net.write(folder)
    put(folder / "expected/run.json",
        dict(compression_ratio=net.ratio, compute_dtype="float32", stored_dtype=net.kind, memory_layers=net.layers,
             prefix_ids=net.prefix, suffix_ids=net.suffix, frames=count, local_frames=min(net.local, count), frame_height=h,
             frame_width=w, tokens_per_frame=net.per_frame, window_tokens=net.language["beacon_window"], windows=windows,
             local_windows=local_windows))
    for name, x in dict(frames=frames, pixel_values=pixels, features=features, visual_tokens=tokens, memory=memory,
                        memory_local=local).items():
        save_file({name: x.contiguous()}, folder / "expected" / f"{name}.safetensors")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for n in range(arguments.seed, arguments.seed + arguments.count):
        odd.SALT = f"video_xl-{n}/"
        with torch.no_grad():
            shutil.rmtree(arguments.out / f"video_xl-{n}", ignore_errors=True)
            make(arguments.out / f"video_xl-{n}", random.Random(odd.SALT))


if __name__ == "__main__":
    main()
