"""A language model with summary tokens, written from its description with plain operators; random_parts.py uses it."""
import cogvideox_odd as odd
import torch
import torch.nn.functional as F


def shapes_of(c):
    d, kv, ff = c["hidden_size"], c["num_key_value_heads"] * c["hidden_size"] // c["num_attention_heads"], c["intermediate_size"]
    shapes = {"model.embed_tokens.weight": [c["vocab_size"], d], "model.beacon_embed_tokens.weight": [1, d]}
    for i in range(c["num_hidden_layers"]):
        p = f"model.layers.{i}."
        for part in ("", "beacon_"):
            for n, rows in (("q", d), ("k", kv), ("v", kv)):
                shapes |= {f"{p}self_attn.{part}{n}_proj.weight": [rows, d], f"{p}self_attn.{part}{n}_proj.bias": [rows]}
        shapes |= {f"{p}self_attn.o_proj.weight": [d, d], f"{p}mlp.gate_proj.weight": [ff, d], f"{p}mlp.up_proj.weight": [ff, d],
                   f"{p}mlp.down_proj.weight": [d, ff], f"{p}input_layernorm.weight": [d],
                   f"{p}post_attention_layernorm.weight": [d]}
    return shapes


def turned(x, first, theta):
    half = x.shape[-1] // 2
    angle = torch.arange(first, first + x.shape[1]).float()[:, None] * theta ** (-torch.arange(0, half).float() / half)
    a, b = x[..., :half], x[..., half:]
    return torch.cat([a * angle.cos() - b * angle.sin(), b * angle.cos() + a * angle.sin()], -1)


class Model:
    def __init__(self, c):
        self.c, self.shapes = c, shapes_of(c)
        self.p = {k: odd.weight(k, tuple(v)) for k, v in self.shapes.items()}
        self.dim = c["hidden_size"] // c["num_attention_heads"]

    def norm(self, x, name):
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.c["rms_norm_eps"]) * self.p[name]

    def heads(self, x, layer, name, summary):
        own = f"model.layers.{layer}.self_attn.{name}_proj."
        of = own.replace("self_attn.", "self_attn.beacon_")
        y = F.linear(x, self.p[own + "weight"], self.p[own + "bias"])
        z = F.linear(x, self.p[of + "weight"], self.p[of + "bias"])
        return torch.where(summary[:, None], z, y).unflatten(-1, (-1, self.dim)).transpose(0, 1)

    def step(self, memory, x, summary, keep):
        """Rows x with what is remembered; the rows `keep` are remembered too. Returns each layer's output."""
        before = memory[0][0].shape[1] if memory else 0
        group, layers = self.c["num_attention_heads"] // self.c["num_key_value_heads"], []
        mask = torch.ones(len(x), before + len(x)).tril(before).log()
        for i in range(self.c["num_hidden_layers"]):
            h = self.norm(x, f"model.layers.{i}.input_layernorm.weight")
            q, k, v = (self.heads(h, i, name, summary) for name in "qkv")
            all_k, all_v = (k, v) if not before else (torch.cat([memory[i][0], k], 1), torch.cat([memory[i][1], v], 1))
            if len(memory) <= i:
                memory.append((k[:, :0], v[:, :0]))
            memory[i] = tuple(torch.cat([old, new[:, keep]], 1) for old, new in zip(memory[i], (k, v)))
            theta = self.c["rope_theta"]
            scores = turned(q, before, theta) @ turned(all_k, 0, theta).repeat_interleave(group, 0).transpose(1, 2)
            got = (scores * self.dim**-0.5 + mask).softmax(-1) @ all_v.repeat_interleave(group, 0)
            x = x + F.linear(got.transpose(0, 1).flatten(1), self.p[f"model.layers.{i}.self_attn.o_proj.weight"])
            h = self.norm(x, f"model.layers.{i}.post_attention_layernorm.weight")
            up, gate, down = (self.p[f"model.layers.{i}.mlp.{n}_proj.weight"] for n in ("up", "gate", "down"))
            x = x + F.linear(F.silu(F.linear(h, gate)) * F.linear(h, up), down)
            layers.append(x)
        return layers

    def run(self, prefix, visual, suffix, ratio):
        table, memory, steps = self.p["model.embed_tokens.weight"], [], []

        def feed(x, summary, keep):
            before = memory[0][0].shape[1] if memory else 0
            layers, places = self.step(memory, x, summary, keep), summary.nonzero().flatten().tolist()
            sums = [dict(layer=i, sum=float(h.double().sum()), abs_sum=float(h.double().abs().sum())) for i, h in enumerate(layers)]
            steps.append(dict(new_tokens=len(x), summary_tokens=len(places), memory_before=before,
                              first_summary_indices=places[:3], last_summary_index=places[-1] if places else None, hidden=sums))

        def text(ids):
            feed(table[torch.tensor(ids)], torch.zeros(len(ids), dtype=torch.bool), torch.arange(len(ids)))

        text(prefix)
        for window in visual.split(self.c["beacon_window"]):
            groups = window.unflatten(0, (-1, ratio))
            beacon = self.p["model.beacon_embed_tokens.weight"].expand(len(groups), 1, -1)
            summary = (torch.arange(len(groups) * (ratio + 1)) + 1) % (ratio + 1) == 0
            feed(torch.cat([groups, beacon], 1).flatten(0, 1), summary, summary.nonzero().flatten())
        text(suffix)
        return memory, steps


def make(r):
    heads, kv = r.choice([(2, 1), (4, 2), (6, 3), (3, 3)])
    layers, per_frame = r.randint(3, 5), r.choice([4, 8, 16])
    c = dict(vocab_size=r.choice([33, 70]), hidden_size=heads * r.choice([4, 8, 12]), num_attention_heads=heads,
             num_key_value_heads=kv, num_hidden_layers=layers, intermediate_size=r.choice([20, 48]),
             rms_norm_eps=r.choice([1e-6, 1e-3]), rope_theta=r.choice([1e4, 1e6]), hidden_act="silu",
             beacon_window=per_frame * r.choice([1, 3, 10]), tokens_per_frame=per_frame)
    c["beacon_stride"] = c["beacon_window"]
    net, chosen = Model(c), sorted(r.sample(range(layers), 3))
    out = dict(kind="video_xl.beacon_memory", name_salt=odd.SALT, config=c, layers=chosen, state_dict=net.shapes, cases=[])
    flat = lambda x: odd.record(x.transpose(0, 1).flatten(1))
    for n in range(3):
        frames, ratio = r.choice([1, 2, 7, 23]), r.choice([k for k in (2, 4, 8) if per_frame % k == 0])
        prefix, suffix = ([r.randrange(c["vocab_size"]) for _ in range(r.randint(1, 16))] for _ in range(2))
        visual = odd.given(f"visual{n}", (frames * per_frame, c["hidden_size"]), 0.7)
        memory, steps = net.run(prefix, visual, suffix, ratio)
        out["cases"].append(dict(
            ratio=ratio, frames=frames, prefix_ids=prefix, suffix_ids=suffix, steps=steps, memory_length=memory[0][0].shape[1],
            visual_tokens=dict(label=f"visual{n}", shape=list(visual.shape), scale=0.7),
            all_layers=[dict(key=flat(k), value=flat(v)) for k, v in memory],
            memory=[dict(layer=i, key=flat(memory[i][0]), value=flat(memory[i][1])) for i in chosen]))
    return out
