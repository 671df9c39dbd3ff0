"""Samples for the memory: a reference that lacks figures which the history shows, as encoded latents in a pool.

A shot's first frames are the history, later ones the target. The reference is one of the history's frames with some of
its figures painted over by the background behind them; their colours are then nowhere but in the history."""

import torch
import torch.nn.functional as F

import data
from train import Latents

HISTORY = 6  # frames kept of a history, spread evenly, the last one included


def erased(regions, hidden):
    """Regions [B,h,w] with those where `hidden` [B,256] replaced by their neighbours along the row."""
    gone = hidden.gather(1, regions.long().flatten(1)).view(regions.shape)
    columns = torch.arange(regions.shape[-1], device=regions.device).expand(regions.shape)
    left = torch.where(gone, -1, columns).cummax(-1).values
    right = torch.where(gone, regions.shape[-1], columns).flip(-1).cummin(-1).values.flip(-1)
    nearer = (left >= 0) & ((columns - left <= right - columns) | (right >= regions.shape[-1]))
    source = torch.where(nearer, left, right).clamp(0, regions.shape[-1] - 1)
    return regions.gather(-1, source)


def draw_hidden(regions, background):
    """Which ids [B,256] the reference will lack: all figures, or those below or above an id of theirs."""
    b, device = len(regions), regions.device
    ids, last = torch.arange(256, device=device).expand(b, -1), regions.flatten(1).amax(1).long()
    figures = ids > background[:, None]
    cut = background + 1 + (torch.rand(b, device=device) * (last - background).clamp(min=1)).long()
    above, all_of_them = ids >= cut[:, None], torch.rand(b, 1, device=device) < .5
    side = torch.rand(b, 1, device=device) < .5
    return figures & (all_of_them | (above == side))


def groups_in(regions, groups):
    """regions [B,...] -> bool [B,256]: the colour groups that are seen in it."""
    seen = torch.zeros(len(regions), 256, dtype=torch.bool, device=regions.device)
    return seen.scatter_(1, groups.gather(1, regions.long().flatten(1)), True)


def encoder_pixels(pictures, size):
    """[B,F,3,h,w] in -1..1 -> bytes of what the video encoder is given: the whole frame, resized to a square."""
    b, f = pictures.shape[:2]
    y = F.interpolate(pictures.flatten(0, 1), (size, size), mode="bicubic", antialias=True, align_corners=False)
    return ((y.clamp(-1, 1) + 1) * 127.5).round().byte().unflatten(0, (b, f))


class Sample:
    """Encoded samples of one kind: frames, zoom, video or stills.

    colour, lines: latents [B,K,C,h,w] of the target. references: pairs (lacking figures, whole) of (clean, inked, lines)
    latents [B,1,C,h,w]. history: pictures [B,HISTORY,3,size,size], wrong: the same with some colours of it wrong.
    lost: share of each latent cell [B,K,1,h,w] whose colour only the history has."""

    @torch.no_grad()
    def __init__(self, vae, shots, count, frames, zoom, video, size):
        device = shots.device
        which = torch.randint(0, len(shots), (count,), device=device)
        latents = (frames - 1) // 4 + 1
        stride = 1 if frames > 9 or torch.rand(()) < .7 else 2
        span = (frames - 1) * stride
        first = torch.randint(10, shots.frames - span, (count, 1), device=device)
        steps = torch.arange(frames, device=device) if video else torch.arange(latents, device=device) * 4
        target = data.zoomed(shots.pick(which, first + steps * stride), zoom)
        seen_until = (first + 3).clamp(max=shots.frames - 1)
        spread = torch.linspace(0, 1, HISTORY, device=device)[None]
        past_small = shots.pick(which, (seen_until * spread).long())
        when = torch.where(torch.rand(count, 1, device=device) < .5, first - 1, (first * torch.rand(count, 1, device=device)).long())
        reference = data.zoomed(shots.pick(which, when.clamp(min=0)), zoom)

        flip = torch.rand(count, 1, device=device) < .5
        target, past_small = (data.mirror(x, flip.expand(-1, x.shape[1])) for x in (target, past_small))
        reference = data.mirror(reference, flip ^ (torch.rand(count, 1, device=device) < .12))
        h2, w2 = reference.shape[-2:]
        reference = data.shift(reference, torch.rand(count, 1, device=device) < .25, h2 // 8, w2 // 7)
        hidden = draw_hidden(past_small, shots.background[which])
        lacking = erased(reference[:, 0], hidden)[:, None]

        groups = shots.groups[which]
        palette, thin = data.palettes(count, device), torch.rand(count, device=device) < .7
        ink = torch.where(torch.rand(count, device=device) < .6, torch.rand(count, device=device) * .25,
                          torch.full((count,), -1., device=device))
        with torch.autocast(device.type, torch.bfloat16):
            encode = (lambda x: vae.encode(x).transpose(1, 2)) if video else (lambda x: Latents.stills(vae, x))
            self.colour = encode(data.paint(target, groups, palette))
            self.lines = encode(data.sketch(data.lines(target, thin)))
            self.references = []
            for r in (lacking, reference):
                views = [data.paint(r, groups, palette), data.paint(r, groups, palette, ink), data.sketch(data.lines(r, thin))]
                self.references.append(list(Latents.stills(vae, torch.cat(views, 2)).split(1, 1)))
        seen = groups_in(lacking, groups)
        self.history = encoder_pixels(data.paint(past_small, groups, palette).transpose(1, 2), size)
        other = torch.where((torch.rand(count, data.PALETTE, 1, device=device) < .4) & seen[:, :data.PALETTE, None],
                            data.palettes(count, device), palette)
        self.wrong = encoder_pixels(data.paint(past_small, groups, other).transpose(1, 2), size)
        known = groups_in(past_small, groups)
        only_past = (~seen & known).gather(1, groups)
        cells = only_past.gather(1, target.long().flatten(1)).view(target.shape).float()
        cells = F.avg_pool2d(cells, 16)
        if video:
            cells = torch.cat([cells[:, :1], cells[:, 1:].unflatten(1, (-1, 4)).mean(2)], 1)
        self.lost = cells[:, :, None]
        for name in ("colour", "lines"):
            setattr(self, name, getattr(self, name).half())
        self.references = [[x.half() for x in r] for r in self.references]

    def inputs(self, scale, lacking, sound):
        """lacking, sound: bool [B]: take the reference that lacks figures; take the true history."""
        device = self.colour.device
        pick = lambda n: torch.where(lacking[:, None, None, None, None], *(r[n].float() for r in self.references))  # noqa: E731
        clean, inked, lines = (pick(n) for n in range(3))
        x0 = torch.cat([clean, self.colour.float()], 1) * scale
        image = torch.zeros_like(x0)
        image[:, 0] = inked[:, 0]
        history = torch.where(sound[:, None, None, None, None], self.history, self.wrong).float() / 127.5 - 1
        lost = torch.cat([torch.zeros_like(self.lost[:, :1]), self.lost * lacking[:, None, None, None, None]], 1)
        return x0, image, torch.cat([lines, self.lines.float()], 1) * scale, history.to(device), lost
