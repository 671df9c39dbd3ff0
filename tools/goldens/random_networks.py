#!/usr/bin/env python3
"""Makes golden files of networks with random sizes, computed by diffusers and transformers: what the committed goldens
do not happen to have. `longanim parity OUT` then compares.

usage: python tools/goldens/random_networks.py OUT [--seed N] [--count N]
Needs torch, diffusers==0.32.0, transformers. Kinds: controlled_transformer (control added by hooks behind diffusers'
blocks), sketch_dit (diffusers' blocks and a projection), cogvideox.vae, cogvideox.t5, video_xl.clip_vision."""
import argparse
import json
import random
from pathlib import Path

import cogvideox_odd as odd
import named_values
import torch
from diffusers import AutoencoderKLCogVideoX, CogVideoXTransformer3DModel
from diffusers.models.embeddings import get_3d_rotary_pos_embed
from transformers import CLIPVisionConfig, CLIPVisionModel, T5Config, T5EncoderModel

INJECTED = {"none": lambda n, N: False, "skip_layer": lambda n, N: n % 2 == 0, "full": lambda n, N: True,
            "former_half": lambda n, N: n < N // 2, "latter_half": lambda n, N: n >= N // 2}


def dit_config(r, control):
    heads, dim, time = r.choice([1, 2, 3, 5]), r.choice([16, 32, 48]), r.choice([6, 8, 24])
    return dict(num_attention_heads=heads, attention_head_dim=dim, in_channels=r.choice([4, 6, 10]),
                out_channels=r.choice([2, 3, 4]), num_layers=r.randint(1, 5), time_embed_dim=time,
                ofs_embed_dim=time if control or r.random() < 0.7 else None,
                text_embed_dim=r.randint(3, 12), max_text_seq_length=r.randint(1, 9), patch_size=2, patch_size_t=2,
                sample_width=r.choice([16, 20, 32]), sample_height=r.choice([16, 24]), sample_frames=13,
                patch_bias=False, temporal_compression_ratio=4, use_rotary_positional_embeddings=True,
                use_learned_positional_embeddings=False)


def dit_case(r, config):
    h, w = 2 * r.randint(1, config["sample_height"] // 2), 2 * r.randint(1, config["sample_width"] // 2)
    batch = r.choice([1, 2, 3])
    return dict(B=batch, F=2 * r.randint(1, 4), h=h, w=w, L=config["max_text_seq_length"],
                t=[r.randint(0, 999)] * batch if r.random() < 0.5 else [r.randint(0, 999) for _ in range(batch)],
                ofs=2.0, input_scale=r.choice([0.5, 1.0, 2.0]))


def dit_inputs(config, case):
    shapes = {"hidden_states": [case["B"], case["F"], config["in_channels"], case["h"], case["w"]],
              "encoder_hidden_states": [case["B"], case["L"], config["text_embed_dim"]]}
    x, e = (odd.given(name, tuple(shape), case["input_scale"]) for name, shape in shapes.items())
    grid = (case["h"] // 2, case["w"] // 2)
    rope = get_3d_rotary_pos_embed(config["attention_head_dim"], None, grid, case["F"] // 2, grid_type="slice",
                                   max_size=(config["sample_height"] // 2, config["sample_width"] // 2))
    ofs = torch.full((1,), case["ofs"]) if config["ofs_embed_dim"] else None
    return shapes, x, e, torch.tensor(case["t"]), ofs, rope


def controlled_transformer(r):
    config = dit_config(r, False)
    net = CogVideoXTransformer3DModel(**config).eval()
    out = dict(kind="controlled_transformer", name_salt=odd.SALT, tolerance=2e-5, config=config, state_dict=odd.fill(net),
               cases=[])
    for injection, injected in INJECTED.items():
        case = {**dit_case(r, config), "control_scale": r.choice([0.25, 0.5, 1.5]), "injection": injection}
        shapes, x, e, t, ofs, rope = dit_inputs(config, case)
        tokens = case["F"] // 2 * case["h"] // 2 * case["w"] // 2
        shapes["control"] = [case["B"], tokens, config["num_attention_heads"] * config["attention_head_dim"]]
        control = odd.given("control", tuple(shapes["control"]), case["input_scale"])
        blocks = [n for n in range(config["num_layers"]) if injected(n, config["num_layers"])]
        hooks = [net.transformer_blocks[n].register_forward_hook(
            lambda _, __, y, s=case["control_scale"]: (y[0] + s * control, y[1])) for n in blocks]
        v = net(x, e, t, ofs=ofs, image_rotary_emb=rope, return_dict=False)[0]
        for hook in hooks:
            hook.remove()
        out["cases"].append({**case, "inputs": shapes, "injected_blocks": blocks, "output": odd.record(v)})
    return out


def sketch_dit(r):
    config = dit_config(r, True)
    net = CogVideoXTransformer3DModel(**config).eval()
    shapes = {name: shape for name, shape in odd.fill(net).items()
              if not name.startswith(("norm_final", "norm_out", "proj_out"))}
    width = config["num_attention_heads"] * config["attention_head_dim"]
    shapes["zero_conv.weight"] = [width, width]
    zero_conv = odd.weight("zero_conv.weight", (width, width))
    out = dict(kind="sketch_dit", name_salt=odd.SALT, tolerance=2e-5, config=config, state_dict=shapes, cases=[])
    for _ in range(3):
        case = dit_case(r, config)
        inputs, x, e, t, ofs, rope = dit_inputs(config, case)
        seen = []
        hook = net.transformer_blocks[-1].register_forward_hook(lambda _, __, y: seen.append(y[0]))
        net(x, e, t, ofs=ofs, image_rotary_emb=rope, return_dict=False)
        hook.remove()
        out["cases"].append({**case, "inputs": inputs, "rope": {"grid": [case["F"] // 2, case["h"] // 2, case["w"] // 2]},
                             "output": odd.record(seen[0] @ zero_conv.T)})
    return out


def vae(r):
    groups, levels = r.choice([2, 3, 4]), r.choice([2, 3, 4])
    config = dict(in_channels=3, out_channels=3, block_out_channels=[groups * r.randint(1, 4) for _ in range(levels)],
                  latent_channels=r.choice([2, 4, 7]), layers_per_block=r.randint(1, 3), norm_num_groups=groups,
                  temporal_compression_ratio=r.choice([2, 4] if levels > 2 else [2]), sample_height=48, sample_width=64,
                  norm_eps=r.choice([1e-6, 1e-3]), scaling_factor=r.choice([0.7, 1.15]),
                  down_block_types=["CogVideoXDownBlock3D"] * levels, up_block_types=["CogVideoXUpBlock3D"] * levels)
    net = AutoencoderKLCogVideoX(**config).eval()
    ratio, latents = 2 ** (levels - 1), config["latent_channels"]
    out = dict(kind="cogvideox.vae", name_salt=odd.SALT, tolerance=2e-5, config=config, state_dict=odd.fill(net), encode=[],
               decode=[], tiled=[])
    for frames in (1, r.randint(2, 8), r.choice([9, 17])):
        shape = (r.choice([1, 2]), 3, frames, ratio * r.randint(1, 3), ratio * r.randint(1, 3))
        out["encode"].append(dict(frames=frames, input=f"video{frames}", input_scale=0.5, input_shape=shape,
                                  moments=odd.record(net._encode(odd.given(f"video{frames}", shape, 0.5)))))
    for frames in (1, 2, 5):
        shape = (1, latents, frames, r.randint(1, 4), r.randint(1, 4))
        out["decode"].append(dict(frames=frames, input=f"latent{frames}", input_shape=shape,
                                  sample=odd.record(net._decode(odd.given(f"latent{frames}", shape)).sample)))
    net.enable_tiling()
    shape = (1, latents, 3, 48 // ratio, 64 // ratio)
    out["tiled"].append(dict(op="decode", input="tilelatent", input_shape=shape,
                             sample=odd.record(net._decode(odd.given("tilelatent", shape)).sample)))
    return out


def t5(r):
    config = dict(d_model=r.choice([8, 24, 40]), d_kv=r.choice([4, 6]), num_heads=r.randint(1, 5), d_ff=r.choice([16, 56]),
                  num_layers=r.randint(1, 4), vocab_size=50, feed_forward_proj="gated-gelu",
                  relative_attention_num_buckets=r.choice([8, 32]), relative_attention_max_distance=r.choice([20, 128]),
                  layer_norm_epsilon=1e-6)
    net = T5EncoderModel(T5Config(**config, decoder_start_token_id=0)).eval()
    shapes = {name: list(v.shape) for name, v in net.state_dict().items() if name != "encoder.embed_tokens.weight"}
    state = {name: t5_weight(name, shape) for name, shape in shapes.items()}
    net.load_state_dict({**state, "encoder.embed_tokens.weight": state["shared.weight"]}, strict=False)
    ids = [[r.randint(0, 49) for _ in range(r.choice([3, 60]))] for _ in range(1)] * 2
    return dict(kind="cogvideox.t5", name_salt=odd.SALT, tolerance=3e-5, config=config, state_dict=shapes, input_ids=ids,
                last_hidden_state=odd.record(net(torch.tensor(ids)).last_hidden_state))


def t5_weight(name, shape):
    if name != "shared.weight":
        return odd.weight(name, shape)
    u = named_values.unit(odd.SALT + name, shape[0] * shape[1]) * 3**0.5
    return torch.from_numpy(u.astype("float32")).view(*shape)


def clip_vision(r):
    heads, patch = r.choice([1, 2, 4]), r.choice([4, 7])
    config = dict(hidden_size=heads * r.choice([8, 12]), num_attention_heads=heads, intermediate_size=r.choice([20, 48]),
                  num_hidden_layers=r.randint(2, 5), image_size=patch * r.randint(2, 6), patch_size=patch,
                  hidden_act=r.choice(["quick_gelu", "gelu"]), layer_norm_eps=1e-5)
    net = CLIPVisionModel(CLIPVisionConfig(**config)).eval()
    names = {k: v for k, v in net.state_dict().items() if not k.endswith("position_ids")}
    net.load_state_dict({k: odd.weight(k, tuple(v.shape)) for k, v in names.items()}, strict=False)
    shape = [r.randint(1, 3), 3, config["image_size"], config["image_size"]]
    hidden = net(odd.given("pixels", tuple(shape)), output_hidden_states=True).hidden_states
    case = dict(label="random", config={**config, "mm_vision_select_layer": -2, "mm_vision_select_feature": "patch"},
                state_dict={k: list(v.shape) for k, v in names.items()},
                input=dict(label="pixels", shape=shape, scale=1.0), hidden_states=[odd.record(x) for x in hidden],
                features=odd.record(hidden[-2][:, 1:]))
    return dict(kind="video_xl.clip_vision", name_salt=odd.SALT, cases=[case])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=3)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    with torch.no_grad():
        for n in range(arguments.count):
            for make in (controlled_transformer, sketch_dit, vae, t5, clip_vision):
                seed = f"{make.__name__}-{arguments.seed + n}"
                odd.SALT = seed + "/"
                (arguments.out / f"{seed}.json").write_text(json.dumps(make(random.Random(seed))) + "\n")


if __name__ == "__main__":
    main()
