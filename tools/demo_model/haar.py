"""A constructed start for a small VAE: an almost exact Haar transform, with everything left trainable.

The latent of an untrained VAE then already holds, for each 8x8 cell, the mean colour of its four 4x4 quarters as Haar coefficients of
(Y, R-B, G-(R+B)/2): the down-samplings are 2x2 means, the last one is the Haar pattern. Before the encoder's last group norm each
group carries +f/-f pairs and two constants, because SiLU(a)-SiLU(-a) = a, so conv_out reads the coefficients back; the
decoder gets the mean colour through norm_out.conv_b, which sees z itself."""
import torch

COLOUR = torch.tensor([[1 / 3, 1 / 3, 1 / 3], [.75, 0, -.75], [-.375, .75, -.375]])
PATTERNS = torch.tensor([[[1., 1], [1, 1]], [[1, -1], [1, -1]], [[1, 1], [-1, -1]], [[1, -1], [-1, 1]]])
CONSTANT = 3.0


def identity_shortcut(resnet, channels):
    if hasattr(resnet, "conv_shortcut"):
        resnet.conv_shortcut.weight[:channels] = 0
        resnet.conv_shortcut.bias[:channels] = 0
        for k in range(channels):
            resnet.conv_shortcut.weight[k, k] = 1


@torch.no_grad()
def initialise(vae):
    """For four blocks and four groups in the norms; returns vae."""
    encoder, decoder = vae.encoder, vae.decoder
    for coder, blocks in ((encoder, encoder.down_blocks), (decoder, decoder.up_blocks)):
        for block in [*blocks, coder.mid_block]:
            for resnet in block.resnets:
                resnet.conv2.conv.weight.mul_(.15)
                resnet.conv2.conv.bias.zero_()
    for name, module in decoder.named_modules():
        if name.endswith("conv_y"):
            module.conv.bias.fill_(1)
            module.conv.weight.mul_(.5)
    for module in vae.modules():  # stills first: the last tap carries the weight
        if getattr(module, "kernel", 1) == 3:
            module.conv.weight[:, :, 2] *= 3 ** .5
            module.conv.weight[:, :, :2] = 0
    encode(encoder, vae.config)
    decode(decoder)
    return vae


def encode(encoder, config):
    first = encoder.conv_in.conv
    first.weight[:3], first.bias[:3] = 0, 0
    first.weight[:3, :, 2, 1, 1] = COLOUR
    for i in (0, 1):
        down = encoder.down_blocks[i].downsamplers[0].conv
        down.weight[:3], down.bias[:3] = 0, 0
        for k in range(3):
            down.weight[k, k, :2, :2] = .25
    for block in encoder.down_blocks[:3]:
        identity_shortcut(block.resnets[0], 3)
    down = encoder.down_blocks[2].downsamplers[0].conv
    down.weight[:12], down.bias[:12] = 0, 0
    for k in range(4):
        for j in range(3):
            down.weight[3 * k + j, j, :2, :2] = .25 * PATTERNS[k] * (1 if k == 0 else 3)
    last, width = encoder.down_blocks[3].resnets[0].conv_shortcut, config["block_out_channels"][-1] // 4
    out, latent = encoder.conv_out.conv, config["latent_channels"]
    out.weight[:12], out.bias[:12] = 0, 0
    out.weight[latent:] *= .1
    out.bias[latent:] = -5
    for k in range(4):
        base = width * k
        last.weight[base:base + 8], last.bias[base:base + 8] = 0, 0
        last.bias[base + 6], last.bias[base + 7] = CONSTANT, -CONSTANT
        for j in range(3):
            last.weight[base + 2 * j, 3 * k + j], last.weight[base + 2 * j + 1, 3 * k + j] = 1, -1
            out.weight[3 * k + j, base + 2 * j, 2, 1, 1], out.weight[3 * k + j, base + 2 * j + 1, 2, 1, 1] = 1.3, -1.3


def decode(decoder):
    norm, out, inverse = decoder.norm_out, decoder.conv_out.conv, torch.linalg.inv(COLOUR)
    out.weight *= .3
    out.weight[:, :6] = 0
    for j in range(3):
        for channel, sign in ((2 * j, 1), (2 * j + 1, -1)):
            norm.conv_y.conv.weight[channel] *= .1
            norm.conv_y.conv.bias[channel] = .1
            norm.conv_b.conv.weight[channel], norm.conv_b.conv.bias[channel] = 0, 0
            norm.conv_b.conv.weight[channel, j] = sign
            out.weight[:, channel, 2, 1, 1] = sign * inverse[:, j]
