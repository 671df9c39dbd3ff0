#!/usr/bin/env python3
"""Times our networks against diffusers': same weights, inputs and threads, in turns, in one run.

usage: python tools/bench/networks.py [--build build] [--threads N] [--repeat N] [--setup FILE] [transformer|encode|decode|segment…]
Needs torch and diffusers==0.32.0; without them it times ours alone. Per network it prints the best of the repeats in
seconds, the ratio ours/diffusers, and how far the outputs' mean magnitudes are apart."""
import argparse
import json
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path

try:
    import torch
    import diffusers.schedulers.scheduling_dpm_cogvideox as solver
    from diffusers import AutoencoderKLCogVideoX, CogVideoXDPMScheduler, CogVideoXTransformer3DModel
    from diffusers.models.embeddings import get_3d_rotary_pos_embed
except ImportError:
    torch = None

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "goldens"))
import named_values  # noqa: E402


def weight(name, shape):
    return torch.from_numpy(named_values.weight(name, shape))


def given(label, shape, scale=1.0):
    return torch.from_numpy(named_values.given(label, shape, scale))


def filled(net):
    net.load_state_dict({k: weight(k, tuple(v.shape)) for k, v in net.state_dict().items()})
    return net.eval()


def peer_transformer(setup):
    c, size = setup["transformer"], setup["transformer_input"]
    net = filled(CogVideoXTransformer3DModel(**c))
    x = given("hidden_states", (2, size["frames"], c["in_channels"], size["height"], size["width"]))
    e = given("encoder_hidden_states", (2, c["max_text_seq_length"], c["text_embed_dim"]))
    grid, largest = (size["height"] // 2, size["width"] // 2), (c["sample_height"] // 2, c["sample_width"] // 2)
    rope = get_3d_rotary_pos_embed(c["attention_head_dim"], None, grid, size["frames"] // 2, grid_type="slice",
                                   max_size=largest)
    t, ofs = torch.full((2,), 500), torch.full((1,), 2.0) if c.get("ofs_embed_dim") else None
    return lambda: net(x, e, t, ofs=ofs, image_rotary_emb=rope, return_dict=False)[0]


def peer_vae(setup, what):
    c, size = setup["vae"], setup["vae_input"]
    net = filled(AutoencoderKLCogVideoX(**c))
    if what == "encode":
        x = given("video", (1, c["in_channels"], size["frames"], size["height"], size["width"]), 0.5)
        return lambda: net._encode(x)
    ratio = 2 ** (len(c["block_out_channels"]) - 1)
    z = given("latents", (1, c["latent_channels"], (size["frames"] - 1) // c["temporal_compression_ratio"] + 1,
                          size["height"] // ratio, size["width"] // ratio))
    return lambda: net._decode(z).sample


def peer_segment(setup):
    """What tests/bench/networks.cc calls a segment. SketchDiT is diffusers' transformer with fewer blocks and a projection of
    what the last one gives; control goes in by hooks. Its head runs in vain, which is less than a hundredth."""
    s = setup["segment"]
    c, vae = s["transformer"], filled(AutoencoderKLCogVideoX(**s["vae"]))
    net, sketch = (filled(CogVideoXTransformer3DModel(**s[name])) for name in ("transformer", "sketch_dit"))
    width, control = c["num_attention_heads"] * c["attention_head_dim"], {}
    zero_conv = weight("zero_conv.weight", (width, width))
    sketch.transformer_blocks[-1].register_forward_hook(lambda _, __, y: control.update(z=0.5 * (y[0] @ zero_conv.T)))
    for block in list(net.transformer_blocks)[::2]:
        block.register_forward_hook(lambda _, __, y: (y[0] + control["z"], y[1]))
    lines = given("lines", (1, 3, s["frames"], s["height"], s["width"]), 0.5)
    picture = given("picture", (1, 3, 1, s["height"], s["width"]), 0.5)
    text = given("text", (2, c["max_text_seq_length"], c["text_embed_dim"]))
    channels, ratio = s["vae"]["latent_channels"], 2 ** (len(s["vae"]["block_out_channels"]) - 1)
    noise = given("noise", (1, (s["frames"] - 1) // 4 + 2, channels, s["height"] // ratio, s["width"] // ratio))
    solver.randn_tensor = lambda *_, **__: noise
    schedule, ofs = CogVideoXDPMScheduler(**s["scheduler"]), torch.full((1,), 2.0)

    def run():
        first = vae._encode(picture)[:, :channels].transpose(1, 2)
        image = torch.cat([first, torch.zeros_like(noise[:, 1:])], 1)
        drawn = torch.cat([torch.cat([first, vae._encode(lines)[:, :channels].transpose(1, 2)], 1), image], 2)
        grid, largest = (noise.shape[3] // 2, noise.shape[4] // 2), (c["sample_height"] // 2, c["sample_width"] // 2)
        rope = get_3d_rotary_pos_embed(c["attention_head_dim"], None, grid, noise.shape[1] // 2, grid_type="slice",
                                       max_size=largest)
        schedule.set_timesteps(s["steps"])
        x, last, back = noise, None, None
        for t in schedule.timesteps:
            more = dict(timestep=t.expand(2), ofs=ofs, image_rotary_emb=rope, return_dict=False)
            sketch(torch.cat([drawn] * 2), text, **more)
            v = net(torch.cat([torch.cat([x, image], 2)] * 2), text, **more)[0]
            x, last = schedule.step(v[:1] + 6.0 * (v[1:] - v[:1]), last, t, back, x, return_dict=False)
            x, back = x.float(), t
        return vae._decode(x[:, 1:].transpose(1, 2) / vae.config.scaling_factor).sample

    return run


PEERS = {"transformer": peer_transformer, "encode": lambda s: peer_vae(s, "encode"), "decode": lambda s: peer_vae(s, "decode"),
         "segment": peer_segment}


class Ours:
    def __init__(self, arguments, what):
        program = Path(arguments.build) / "tests/bench/networks"
        self.process = subprocess.Popen([program, arguments.setup, what, str(arguments.threads)], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __call__(self):
        self.process.stdin.write("run\n")
        self.process.stdin.flush()
        wall, processor, magnitude = map(float, self.process.stdout.readline().split())
        return wall, processor, magnitude


def time_peer(peer):
    wall, processor = time.perf_counter(), time.process_time()
    out = peer()
    return time.perf_counter() - wall, time.process_time() - processor, float(out.abs().double().mean())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default="build")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--setup", default=str(Path(__file__).with_suffix(".json")))
    parser.add_argument("--alone", action="store_true", help="do not run the peer")
    parser.add_argument("networks", nargs="*", default=list(PEERS))
    arguments = parser.parse_args()
    setup = json.loads(Path(arguments.setup).read_text())
    beside = torch is not None and not arguments.alone
    if beside:
        torch.set_num_threads(arguments.threads)
    for what in arguments.networks:
        ours, theirs, apart = [], [], 0.0
        run = Ours(arguments, what)
        peer = PEERS[what](setup) if beside else None
        with torch.inference_mode() if beside else nullcontext():
            for n in range(arguments.repeat + 1):  # the first of each warms up
                a = run()
                b = time_peer(peer) if peer else None
                if n:
                    ours.append(a)
                    theirs.append(b)
                if b:
                    apart = abs(a[2] - b[2]) / b[2]
        run.process.stdin.close()
        line = f"{what}: ours {min(o[0] for o in ours):.3f} s (processor {min(o[1] for o in ours):.3f} s)"
        if beside:
            wall = min(o[0] for o in ours) / min(t[0] for t in theirs)
            spent = min(t[1] for t in theirs)
            processor = min(o[1] for o in ours) / spent
            line += (f", diffusers {min(t[0] for t in theirs):.3f} s (processor {spent:.3f} s), "
                     f"ratio {wall:.3f} (processor {processor:.3f}), "
                     f"outputs apart by {apart:.1e}")
        print(f"{line}, {arguments.threads} threads, best of {arguments.repeat}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
