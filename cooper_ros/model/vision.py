"""Vision towers behind one interface: picture in, one feature vector per patch out.

Both towers take pictures ``[B, 3, H, W]`` in [-1, 1] with sides that are multiples of
``patch_size`` and
position ids ``[N]`` (row * max_patches_per_side + column), and return ``[B, N, hidden_size]``.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import SiglipVisionConfig
from transformers.models.siglip.modeling_siglip import SiglipEncoder

from .configuration import CooperConfig


def patchify(image: Tensor, size: int) -> Tensor:
    """Cut ``[B, C, H, W]`` into ``[B, N, size*size*C]`` patches, pixel order (row, column,
    channel)."""
    b, c, h, w = image.shape
    x = image.reshape(b, c, h // size, size, w // size, size)
    return x.permute(0, 2, 4, 3, 5, 1).reshape(b, (h // size) * (w // size), size * size * c)


class SiglipEmbeddings(nn.Module):
    """Linear patch embedding plus a learned position table (no convolution, no interpolation)."""

    def __init__(self, hidden: int, patch: int, positions: int) -> None:
        super().__init__()
        self.patch_embedding = nn.Linear(3 * patch * patch, hidden)
        self.position_embedding = nn.Embedding(positions, hidden)


def siglip_encoder(config: CooperConfig) -> SiglipEncoder:
    """SigLIP encoder layers of ``config.vision``'s dimensions (tanh-GELU, LayerNorm eps 1e-6)."""
    v = config.vision
    siglip = SiglipVisionConfig(
        hidden_size=v["hidden_size"],
        intermediate_size=v["intermediate_size"],
        num_hidden_layers=v["num_layers"],
        num_attention_heads=v["num_attention_heads"],
        patch_size=v["patch_size"],
        hidden_act="gelu_pytorch_tanh",
        layer_norm_eps=1e-6,
        attention_dropout=0.0,
    )
    siglip._attn_implementation = "eager"
    return SiglipEncoder(siglip)


def run_encoder(encoder: SiglipEncoder, x: Tensor) -> Tensor:
    """All layers, full attention inside each picture of the batch."""
    for layer in encoder.layers:
        out = layer(x, None)
        x = out[0] if isinstance(out, tuple) else out
    return x


class SiglipTransformer(nn.Module):
    """The SigLIP encoder stack with the official parameter names."""

    def __init__(self, config: CooperConfig) -> None:
        super().__init__()
        v = config.vision
        self.embeddings = SiglipEmbeddings(
            v["hidden_size"], v["patch_size"], config.max_patches_per_side**2
        )
        self.encoder = siglip_encoder(config)
        self.post_layernorm = nn.LayerNorm(v["hidden_size"], eps=1e-6)


class SiglipNaViT(nn.Module):
    """SigLIP tower for pictures of any size: full attention inside each picture."""

    def __init__(self, config: CooperConfig) -> None:
        super().__init__()
        self.patch_size = int(config.vision["patch_size"])
        self.vision_model = SiglipTransformer(config)

    def forward(self, image: Tensor, position_ids: Tensor) -> Tensor:
        m = self.vision_model
        x = m.embeddings.patch_embedding(patchify(image, self.patch_size))
        x = x + m.embeddings.position_embedding(position_ids)
        return m.post_layernorm(run_encoder(m.encoder, x))


# EfficientNet-Lite0 (Tan and Le 2019; the "lite" variant has no squeeze-excitation and uses ReLU6):
# expansion, output channels, kernel, stride of the first block, repeats. The last stage (320
# channels)
# and the classifier are left out: their stride is the same and they cost a third of the tower.
LITE0_STAGES = (
    (1, 16, 3, 1, 1),
    (6, 24, 3, 2, 2),
    (6, 40, 5, 2, 2),
    (6, 80, 3, 2, 3),
    (6, 112, 5, 1, 3),
    (6, 192, 5, 2, 4),
)
LITE0_TAPS = {2: 24, 4: 40, 10: 112, 14: 192}  # block index -> channels at strides 4, 8, 16, 32
LITE0_CHANNELS = dict(zip((4, 8, 16, 32), LITE0_TAPS.values(), strict=True))
LITE0_ORDER = (16, 32, 8, 4)  # strides as they stand in a patch's vector
LITE0_PATCHES = (16, 32)


def _pad_same(x: Tensor, kernel: int) -> Tensor:
    """TensorFlow "SAME" padding of a stride-2 convolution on an even side."""
    p = kernel - 2
    return F.pad(x, [p // 2, p - p // 2, p // 2, p - p // 2])


class InvertedResidual(nn.Module):
    """MobileNet block with the batch norms folded into the convolutions (the tower is frozen)."""

    def __init__(self, inp: int, out: int, expand: int, kernel: int, stride: int) -> None:
        super().__init__()
        mid = inp * expand
        self.kernel, self.stride = kernel, stride
        self.residual = stride == 1 and inp == out
        self.expand = nn.Conv2d(inp, mid, 1) if expand > 1 else None
        self.depthwise = nn.Conv2d(
            mid, mid, kernel, stride, padding=kernel // 2 if stride == 1 else 0, groups=mid
        )
        self.project = nn.Conv2d(mid, out, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu6(self.expand(x)) if self.expand is not None else x
        y = F.relu6(self.depthwise(y if self.stride == 1 else _pad_same(y, self.kernel)))
        y = self.project(y)
        return x + y if self.residual else y


def lite0_width(patch: int, strides: Sequence[int]) -> int:
    """Numbers per patch: finer maps are folded into it, a coarser one is repeated."""
    return sum(LITE0_CHANNELS[s] * max(1, patch // s) ** 2 for s in strides)


class EfficientNetLite(nn.Module):
    """EfficientNet-Lite0 features gathered per patch, then SigLIP encoder layers over the patches.

    One vector per patch of 16 pixels: stride 16 (112), stride 32 repeated (192), and the stride 8
    and stride 4 maps folded into the patch (160 + 384), so that position inside the patch is not
    lost. Patches of 32 pixels show the same tower twice the picture at the same number of tokens;
    all maps but stride 32 are folded then. ``config.vision["strides"]`` leaves some of them out.
    The convolutions are meant to stay frozen; the layers on top are trained.
    """

    def __init__(self, config: CooperConfig) -> None:
        super().__init__()
        v = config.vision
        self.patch_size = int(v["patch_size"])
        if self.patch_size not in LITE0_PATCHES:
            raise ValueError(
                f"efficientnet_lite needs patch_size 16 or 32, got {self.patch_size}"
            )
        wanted = v.get("strides", LITE0_ORDER)
        self.strides = tuple(s for s in LITE0_ORDER if s in wanted)
        if len(self.strides) != len(wanted):
            raise ValueError(f"vision strides {wanted}: some of {sorted(LITE0_CHANNELS)}")
        self.stem = nn.Conv2d(3, 32, 3, 2)
        blocks: list[nn.Module] = []
        channels = 32
        for expand, out, kernel, stride, repeats in LITE0_STAGES:
            for i in range(repeats):
                blocks.append(
                    InvertedResidual(channels, out, expand, kernel, stride if i == 0 else 1)
                )
                channels = out
        self.blocks = nn.ModuleList(blocks)
        width = lite0_width(self.patch_size, self.strides)
        self.patch_embedding = nn.Linear(width, v["hidden_size"])
        self.position_embedding = nn.Embedding(config.max_patches_per_side**2, v["hidden_size"])
        self.encoder = siglip_encoder(config)
        self.post_layernorm = nn.LayerNorm(v["hidden_size"], eps=1e-6)

    def features(self, image: Tensor) -> Tensor:
        """Normalised convolutional features ``[B, N, F]`` of the frozen part (848 numbers from
        patches of 16 pixels)."""
        return self.gather(self.taps(image), image)

    def taps(self, image: Tensor) -> tuple[Tensor, ...]:
        """Maps ``[B, C, h, w]`` at strides 4, 8, 16 and 32."""
        x = F.relu6(self.stem(_pad_same(image, 3)))
        taps = []
        for i, block in enumerate(self.blocks):
            if i == 11 and (x.shape[-1] % 2 or x.shape[-2] % 2):
                x = F.pad(x, [0, x.shape[-1] % 2, 0, x.shape[-2] % 2])  # odd grid before stride 32
            x = block(x)
            if i in LITE0_TAPS:
                taps.append(x)
        return tuple(taps)

    def gather(self, taps: Sequence[Tensor], image: Tensor) -> Tensor:
        """Maps of the tower to one normalised vector per patch ``[B, N, F]``."""
        of_stride = dict(zip(LITE0_CHANNELS, taps, strict=True))
        x = torch.cat([self._per_patch(s, of_stride[s], image) for s in self.strides], 1)
        # Raw ImageNet features are several times larger than the position table and would drown it.
        return F.layer_norm(x.flatten(2).transpose(1, 2), x.shape[1:2])

    def _per_patch(self, stride: int, taken: Tensor, image: Tensor) -> Tensor:
        """A map of the tower with one cell per patch."""
        if stride <= self.patch_size:
            fold = self.patch_size // stride
            return F.pixel_unshuffle(taken, fold) if fold > 1 else taken
        h, w = image.shape[-2] // self.patch_size, image.shape[-1] // self.patch_size
        repeat = stride // self.patch_size
        return taken.repeat_interleave(repeat, 2).repeat_interleave(repeat, 3)[:, :, :h, :w]

    def encode(self, features: Tensor, position_ids: Tensor) -> Tensor:
        """Trained part: features ``[B, N, F]`` to tower output ``[B, N, hidden]``."""
        x = self.patch_embedding(features) + self.position_embedding(position_ids)
        return self.post_layernorm(run_encoder(self.encoder, x))

    def forward(self, image: Tensor, position_ids: Tensor) -> Tensor:
        return self.encode(self.features(image), position_ids)

    def load_imagenet(self, state: dict[str, Tensor]) -> None:
        """Fold the batch norms of the package's checkpoint (eps 1e-3) into the convolutions."""

        def fold(conv: nn.Conv2d, weight: str, norm: str) -> None:
            gain = state[norm + ".weight"] / torch.sqrt(state[norm + ".running_var"] + 1e-3)
            conv.weight.data.copy_(state[weight] * gain[:, None, None, None])
            assert conv.bias is not None
            conv.bias.data.copy_(state[norm + ".bias"] - state[norm + ".running_mean"] * gain)

        fold(self.stem, "_conv_stem.weight", "_bn0")
        for i, block in enumerate(self.blocks):
            assert isinstance(block, InvertedResidual)
            p = f"_blocks.{i}."
            if block.expand is not None:
                fold(block.expand, p + "_expand_conv.weight", p + "_bn0")
            fold(block.depthwise, p + "_depthwise_conv.weight", p + "_bn1")
            fold(block.project, p + "_project_conv.weight", p + "_bn2")


def build_vision_tower(config: CooperConfig) -> nn.Module:
    """The tower named by ``config.vision['type']``."""
    return {"siglip_navit": SiglipNaViT, "efficientnet_lite": EfficientNetLite}[
        config.vision["type"]
    ](config)
