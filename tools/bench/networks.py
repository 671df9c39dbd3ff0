#!/usr/bin/env python3
"""Times our networks against diffusers': same weights, inputs and threads, in turns, in one run.

usage: python tools/bench/networks.py [--build build] [--threads N] [--repeat N] [--setup FILE] [transformer|encode|decode…]
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
    from diffusers import AutoencoderKLCogVideoX, CogVideoXTransformer3DModel
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
    parser.add_argument("networks", nargs="*", default=["transformer", "encode", "decode"])
    arguments = parser.parse_args()
    setup = json.loads(Path(arguments.setup).read_text())
    beside = torch is not None and not arguments.alone
    if beside:
        torch.set_num_threads(arguments.threads)
    for what in arguments.networks:
        ours, theirs, apart = [], [], 0.0
        run = Ours(arguments, what)
        peer = (peer_transformer(setup) if what == "transformer" else peer_vae(setup, what)) if beside else None
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
