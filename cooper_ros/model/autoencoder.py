"""The FLUX-type autoencoder on diffusers parts, with latents shifted and scaled as the model sees
them."""

from __future__ import annotations

from diffusers import AutoencoderKL
from torch import Tensor, nn

from .configuration import CooperConfig


def build_autoencoder(config: CooperConfig) -> AutoencoderKL:
    """An :class:`AutoencoderKL` with the dimensions of ``config.autoencoder``."""
    a = config.autoencoder
    levels = [int(a["ch"] * m) for m in a["ch_mult"]]
    return AutoencoderKL(
        in_channels=a.get("in_channels", 3),
        out_channels=a.get("in_channels", 3),
        down_block_types=("DownEncoderBlock2D",) * len(levels),
        up_block_types=("UpDecoderBlock2D",) * len(levels),
        block_out_channels=tuple(levels),
        layers_per_block=a["num_res_blocks"],
        latent_channels=a["z_channels"],
        norm_num_groups=a.get("norm_num_groups", 32),
        scaling_factor=a["scale_factor"],
        shift_factor=a["shift_factor"],
        use_quant_conv=False,
        use_post_quant_conv=False,
        mid_block_add_attention=a.get("mid_attention", True),
        sample_size=a.get("resolution", 64),
    )


class ClassHead(nn.Module):
    """Scores per class beside the picture: three colours a pixel cannot say "mug or can".

    An option of small models (``autoencoder["class_head"]``: number of classes); the official
    autoencoder has none. Scores are read from the segmentation map alone, from the decoder's
    states at half the map's size: the finest level is only for pictures and costs half of them.
    """

    def __init__(self, channels: int, width: int, classes: int, groups: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(groups, channels)
        self.hidden = nn.Conv2d(channels, width, 3, padding=1)
        self.out = nn.Conv2d(width, 4 * classes, 1)

    def forward(self, states: Tensor) -> Tensor:
        x = nn.functional.silu(self.hidden(nn.functional.silu(self.norm(states))))
        return nn.functional.pixel_shuffle(self.out(x), 2)


class Autoencoder(nn.Module):
    """Encode pictures to model latents and back.

    The posterior *mean* is used, not a sample: the same frame must give the same answer.
    """

    def __init__(self, config: CooperConfig) -> None:
        super().__init__()
        self.vae = build_autoencoder(config)
        a = config.autoencoder
        classes, half = int(a.get("class_head", 0)), int(a["ch"] * a["ch_mult"][1])
        width, groups = int(a.get("class_head_width", 2 * half)), a.get("norm_num_groups", 32)
        self.class_head = ClassHead(half, width, classes, groups) if classes else None
        self.scale = float(config.autoencoder["scale_factor"])
        self.shift = float(config.autoencoder["shift_factor"])

    def moments(self, image: Tensor) -> Tensor:
        """Raw encoder output ``[B, 2*C, h, w]`` (mean, log variance) for ``[B, 3, H, W]`` in [-1,
        1]."""
        return self.vae.encoder(image)

    def encode(self, image: Tensor) -> Tensor:
        """Latents ``[B, C, h, w]`` = (mean - shift) * scale."""
        mean = self.moments(image).chunk(2, 1)[0]
        return (mean - self.shift) * self.scale

    def decode(self, latent: Tensor) -> Tensor:
        """Picture ``[B, 3, H, W]``, nominally in [-1, 1] and not clamped."""
        return self.vae.decoder(latent / self.scale + self.shift)

    def coarse(self, latent: Tensor) -> Tensor:
        """The decoder's states ``[B, c, H/2, W/2]``, before the last doubling."""
        decoder = self.vae.decoder
        x = decoder.mid_block(decoder.conv_in(latent / self.scale + self.shift))
        for block in decoder.up_blocks[:-2]:
            x = block(x)
        for part in decoder.up_blocks[-2].resnets:
            x = part(x, None)
        return x

    def picture(self, coarse: Tensor) -> Tensor:
        """Picture ``[B, 3, H, W]`` of the decoder's states at half its size."""
        decoder = self.vae.decoder
        x = coarse
        for part in decoder.up_blocks[-2].upsamplers:
            x = part(x)
        x = decoder.up_blocks[-1](x)
        return decoder.conv_out(decoder.conv_act(decoder.conv_norm_out(x)))

    def scores(self, coarse: Tensor) -> Tensor:
        """Class scores (logits) ``[B, K, H, W]`` of the decoder's states at half their size.

        Raises:
            ValueError: a model without class head.
        """
        if self.class_head is None:
            raise ValueError("this autoencoder has no class head")
        return self.class_head(coarse)


def pack_latents(latent: Tensor, patch: int) -> Tensor:
    """``[B, C, h, w]`` -> tokens ``[B, N, patch*patch*C]``, order inside a token (row, column,
    channel)."""
    b, c, h, w = latent.shape
    x = latent.reshape(b, c, h // patch, patch, w // patch, patch)
    return x.permute(0, 2, 4, 3, 5, 1).reshape(b, (h // patch) * (w // patch), patch * patch * c)


def unpack_latents(tokens: Tensor, patch: int, height: int, width: int) -> Tensor:
    """Inverse of :func:`pack_latents`; ``height`` and ``width`` in tokens."""
    b, _, size = tokens.shape
    c = size // (patch * patch)
    x = tokens.reshape(b, height, width, patch, patch, c)
    return x.permute(0, 5, 1, 3, 2, 4).reshape(b, c, height * patch, width * patch)
