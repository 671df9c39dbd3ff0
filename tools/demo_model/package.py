#!/usr/bin/env python3
"""Makes a model folder of the trained weights.

usage: tools/demo_model/package.py OUT DEST [--lineart sk_model.safetensors]
OUT is what train.py, train_memory.py or injections.py (a folder per mode) left; the tokenizer is models/tiny_a's. The text encoder's last norm is zero, so prompts have
no effect: the network was trained without text."""
import argparse
import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

ROOT = Path(__file__).resolve().parent.parent.parent
HERE = Path(__file__).resolve().parent
TEXT = {"architectures": ["T5EncoderModel"], "model_type": "t5", "vocab_size": 352, "d_model": 32, "d_kv": 8, "d_ff": 8,
        "num_layers": 1, "num_heads": 1, "relative_attention_num_buckets": 32, "relative_attention_max_distance": 128,
        "layer_norm_epsilon": 1e-06, "feed_forward_proj": "gated-gelu", "dense_act_fn": "gelu_new", "is_gated_act": True,
        "pad_token_id": 0, "eos_token_id": 1}
SCHEDULER = {"_class_name": "CogVideoXDDIMScheduler", "beta_start": 0.00085, "beta_end": 0.012,
             "beta_schedule": "scaled_linear", "num_train_timesteps": 1000, "prediction_type": "sample",
             "rescale_betas_zero_snr": True, "set_alpha_to_one": True, "snr_shift_scale": 1.0, "steps_offset": 0,
             "timestep_spacing": "trailing"}
LICENCE = "CC0-1.0: trained by this project on public-domain clip art and on its own drawings"


def text_encoder():
    wide, inner, hidden = TEXT["d_model"], TEXT["num_heads"] * TEXT["d_kv"], TEXT["d_ff"]
    layer = "encoder.block.0.layer."
    shapes = {"shared.weight": (TEXT["vocab_size"], wide), "encoder.final_layer_norm.weight": (wide,),
              f"{layer}0.layer_norm.weight": (wide,), f"{layer}1.layer_norm.weight": (wide,),
              f"{layer}0.SelfAttention.relative_attention_bias.weight": (32, TEXT["num_heads"]),
              f"{layer}0.SelfAttention.o.weight": (wide, inner),
              f"{layer}1.DenseReluDense.wi_0.weight": (hidden, wide), f"{layer}1.DenseReluDense.wi_1.weight": (hidden, wide),
              f"{layer}1.DenseReluDense.wo.weight": (wide, hidden)}
    shapes |= {f"{layer}0.SelfAttention.{n}.weight": (inner, wide) for n in "qkv"}
    return {name: torch.zeros(shape, dtype=torch.float16) for name, shape in shapes.items()}


def write_json(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2) + "\n")


def write_memory(out, dest, config):
    """The video encoder in the layout of the published folder, and the memory module. -> keys of the manifest."""
    c = config["video_encoder"]
    folder = dest / "video_encoder"
    write_json(folder / "config.json", c["config"])
    write_json(folder / "clip/config.json", c["clip"])
    write_json(folder / "clip/preprocessor_config.json", c["preprocessor"])
    write_json(folder / "memory_prompt.json", c["prompt"])
    write_json(dest / "memory/config.json", config["memory"])
    save_file(load_file(out / "video_encoder.safetensors"), folder / "model.safetensors", metadata={"format": "pt"})
    save_file(load_file(out / "memory.safetensors"), dest / "memory/glm_module.safetensors", metadata={"format": "pt"})
    return {"memory": "memory", "video_encoder": "video_encoder", "memory_layers": c["layers"],
            "compression_ratio": c["ratio"], "global_frames_max": c["global_frames"], "local_frames": c["local_frames"]}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("dest", type=Path)
    parser.add_argument("--lineart", type=Path)
    parser.add_argument("--size", default="160x96", help="network's size, WxH")
    parser.add_argument("--segment", type=int, default=25)
    parser.add_argument("--steps", type=int, default=4)
    arguments = parser.parse_args()
    config, dest = json.loads((HERE / "config.json").read_text()), arguments.dest
    scale = json.loads((arguments.out / "scale.json").read_text())
    width, height = (int(n) for n in arguments.size.split("x"))
    memory = {"memory": None, "video_encoder": None}
    if (arguments.out / "memory.safetensors").exists():
        memory = write_memory(arguments.out, dest, config)
    write_json(dest / "longanimation.json", {
        "format": "longanimation-model", "version": 1, "licence": LICENCE, "base": ".", "sketch_dit": "sketch_dit",
        **memory, "lineart": "lineart", "width": width, "height": height,
        "segment_frames": arguments.segment, "overlap_frames": 8 if arguments.segment < 33 else 16,
        "steps": arguments.steps, "guidance_scale": 1.0, "control_scale": 0.5,
        "injection": scale.get("injection", "skip_layer"),
        "fusion": {"first_step": max(arguments.steps // 2, 1)}, "image_latent_scale": 1.0, "pad_sketch": "reference",
        "prompt_suffix": "", "vae_tiling": False})
    write_json(dest / "vae/config.json", config["vae"] | {"scaling_factor": scale["scaling_factor"]})
    write_json(dest / "transformer/config.json", config["transformer"])
    write_json(dest / "sketch_dit/config.json", config["transformer"] | config["sketch_dit"])
    write_json(dest / "scheduler/scheduler_config.json", SCHEDULER)
    write_json(dest / "text_encoder/config.json", TEXT)
    for part, name in (("vae", "diffusion_pytorch_model"), ("transformer", "diffusion_pytorch_model"),
                       ("sketch_dit", "control_module")):
        save_file(load_file(arguments.out / f"{part}.safetensors"), dest / part / f"{name}.safetensors",
                  metadata={"format": "pt"})
    save_file(text_encoder(), dest / "text_encoder/model.safetensors", metadata={"format": "pt"})
    shutil.copytree(ROOT / "models/tiny_a/tokenizer", dest / "tokenizer", dirs_exist_ok=True)
    (dest / "lineart").mkdir(exist_ok=True)
    shutil.copy(arguments.lineart or ROOT / "models/demo/lineart/sk_model.safetensors", dest / "lineart/sk_model.safetensors")


if __name__ == "__main__":
    main()
