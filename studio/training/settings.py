"""What a training run is told, and what it tells back: plain data, no torch.

``None`` means "the preset of the family decides" (``presets.py``); a resolved copy is written beside the run's states.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from studio.errors import TrainingError

T = TypeVar("T")


def require(value: T | None) -> T:
    """Return a value that ``presets.resolve`` has filled in."""
    assert value is not None
    return value


RETIRED = ("judge_augment",)
"""Fields of earlier versions, which are passed over in the files of their runs."""


OPTIONS = frozenset([
    "name", "minutes", "kimg", "resolution", "batch", "img_channels", "loss", "seed", "start_from", "freeze_d", "fade_kimg",
    "augment", "augment_pipe", "mirror", "film_rate", "tensorboard", "inception", "device", "words", "load_size", "zoom",
    "network", "ngf", "n_blocks", "antialias", "direction", "lambda_cycle", "lambda_identity", "identity_until", "lambda_nce",
    "lambda_l1", "photo",
])  # fmt: skip
"""The settings that have an option of their own in ``studio train``."""


GIVEN = ("family", "data", "target", "folder")
"""The settings that are the command's arguments, or follow from its name."""


@dataclass(frozen=True)
class Settings:
    """One training run. Two runs with equal settings, ended by ``kimg`` on a CPU, give equal weights."""

    family: str
    data: tuple[str, ...]
    """Folders of pictures, or files; the sub-folders of a single folder are classes. For translators: the pictures to translate."""
    target: tuple[str, ...] = ()
    """Translators only: folders of pictures in the wanted style. Painting styles: of photos; none: those that ship, for one new style."""
    name: str = "untitled"
    folder: str = ""
    """Where states, snapshots and the log go; empty means ``training/NAME`` in the studio's home."""
    resolution: int | None = None
    img_channels: int = 3
    """3, or 4 to learn transparency too (GAN families)."""
    minutes: float | None = None
    """Stop after this much training time, added up over all resumes; the schedules stretch to it."""
    kimg: float | None = None
    """Stop after this many thousand pictures (pairs, for translators); the schedules stretch to it."""
    batch: int | None = None
    seed: int = 0
    start_from: str = ""
    """What to go on from: a run's folder or state (with half the resolution, the networks grow by one block), the name of an installed
    model, or a model file of any format that the studio opens; of a file the architecture is taken over, too."""
    freeze_d: int = 0
    """How many of the discriminator's blocks, those nearest to the picture, keep what they know (Mo et al. 2020)."""
    fade_kimg: float = 10.0
    device: str = "auto"
    precision: str = "auto"
    """``fp32``, ``bf16``, or ``auto``: bf16 where the device has matrix units for it."""
    crop: str | None = None
    mirror: bool = True
    film_rate: float = 1.0
    """Pictures for each second of the films among the data."""
    inception: str = ""
    """The standard Inception file on this computer (``inception.py`` knows which); with it FID and KID are measured."""
    tensorboard: bool = False
    """Write event files for TensorBoard into the run's folder."""
    balance: float = 0.5
    clock: str = "wall"
    """What ``minutes`` are: ``wall``, or ``processor``, the time that the process computed, which other work on the machine barely
    changes: for comparisons."""
    save_minutes: float = 5.0
    snapshot_minutes: float = 2.0
    measure_minutes: float = 0.0
    """How far apart the measurements of a long run are, at least; they come with a saved state."""

    channel_base: int = 2048
    channel_max: int = 256
    z_dim: int | None = None
    w_dim: int = 256
    mapping_layers: int = 2
    g_lr: float | None = None
    d_lr: float | None = None
    loss: str | None = None
    """``minimax``, ``non-saturating``, ``least-squares``, ``hinge``, ``wasserstein`` or ``relativistic``."""
    d_steps: int | None = None
    """Steps of the discriminator for each one of the generator."""
    beta1: float | None = None
    beta2: float | None = None
    lr_floor: float | None = None
    """What is left of the learning rates at the end, 0 to 1; they fall over the second half."""
    r1_gamma: float | None = None
    r2_gamma: float | None = None
    gp_weight: float | None = None
    drift_weight: float | None = None
    weight_clip: float | None = None
    orthogonal_weight: float | None = None
    range_weight: float | None = None
    """Keeps what a generator makes within black and white: weight of the mean square of what lies beyond. Pretrained features barely see
    colours that no picture can have."""
    diversity_weight: float | None = None
    """Weight of what two samples of one class lack to the difference of two real pictures of it, in pretrained features."""
    r1_interval: int | None = None
    """Penalties on the discriminator come every so many steps."""
    style_mixing: float | None = None
    discriminator: str | None = None
    """``projected`` judges by pretrained features (32 px or more; every family), ``strided`` by plain strided convolutions, ``residual``
    is StyleGAN2's; for CycleGAN and CUT ``projected`` judges patches at two sizes. None: what the run or the file it starts from has, else
    the family's own; a StyleGAN's is projected on a CPU (strided below 32 px) and residual on a GPU."""
    feature_side: int | None = None
    """Side to which pictures are enlarged before pretrained features are taken; None: their own, at least 64."""
    plain_share: float = 0.0
    """Share of the judgement that a projected discriminator leaves to a plain strided one on the pixels, 0 to below 1."""
    judge_norm: bool = True
    """Whether a projected discriminator has batch norms."""
    noise: bool = True
    """Whether a StyleGAN2 gets random grain in every layer. Without it a short run learns drawing where it would learn grain."""
    blur_init_sigma: float | None = None
    """Blur of what the discriminator sees at the start, in pixels of a 256 px picture."""
    path_length_weight: float = 0.0
    path_length_interval: int = 8
    ema_kimg: float | None = None
    augment: str | None = None
    """``none``, ``fixed`` (strength ``augment_p``), ``ada`` (as much as the discriminator overfits) or ``diff`` (DiffAugment)."""
    augment_pipe: str | None = None
    """What may change: ``bgc`` and the like for ADA (``augment.PIPES``), ``color,translation,cutout`` for DiffAugment."""
    augment_p: float = 0.2
    ada_target: float = 0.6
    ada_kimg: float = 100.0

    ngf: int = 32
    ndf: int = 32
    n_blocks: int = 6
    load_size: int | None = None
    lambda_cycle: float = 10.0
    lambda_identity: float | None = None
    """CycleGAN (5) and CUT (2): weight of the plain difference a translation makes to what has the wanted style: it holds colours."""
    pool_size: int = 50
    identity_until: float = 1.0
    """Share of a CycleGAN run that keeps the identity loss; without it the last part is faster and freer with colours."""
    lambda_nce: float | None = None
    """CUT: weight of the patches of a picture against those of its translation."""
    lambda_nce_identity: float | None = None
    """CUT: the same for a picture that already is in the wanted style."""
    nce_patches: int = 256
    nce_temperature: float = 0.07
    lambda_l1: float = 100.0
    """pix2pix: weight of the plain difference to the true partner."""
    lambda_content: float | None = None
    """CycleGAN and CUT: weight of the difference between a photo and its translation in coarse pretrained features: things stay what they
    are. None: 1 with a projected discriminator, else 0."""
    lambda_style: float | None = None
    """CycleGAN and CUT: weight of the difference between statistics of fine pretrained features and those of the wanted pictures."""
    lambda_smooth: float | None = None
    """Painting styles: weight of the difference between neighbouring pixels: more leaves calmer grounds, less leaves grain. None: 0.7, and
    1.5 for one new style, whose few steps leave more grain."""
    learns: str = "row"
    """A style of one's own: ``row`` learns nothing but a row of the book, so that it blends with the others; ``network`` a copy of the
    whole network for this style alone."""
    photo: str = ""
    """A style of one's own: the photo that its previews show; empty: one of those it practises on."""
    scale: int = 4
    """Enlargers: how many times larger a picture becomes, 2 or 4."""
    teacher: str = ""
    """Enlargers: the ``.param`` file of a compact upscaler (ncnn; its ``.bin`` beside it) whose results are learnt from, too."""
    lambda_plain: float = 4.0
    """Enlargers: weight of the plain difference to the original; more is softer and truer, less crisper and freer."""
    lambda_teacher: float = 4.0
    """Enlargers: weight of the plain difference to what the teacher makes."""
    direction: str = "AtoB"
    """pix2pix: ``AtoB`` (left to right, first folder to second) or ``BtoA``."""
    network: str = ""
    """``resnet`` or ``unet``; empty: resnet, but unet for pix2pix."""
    antialias: bool | None = None
    """Translators: blur before halving and after doubling (CUT: yes, as published): no dots, calmer films, slower to train."""
    zoom: float = 1.0
    """Translators: crops cover up to this many times their side and are shrunk, so that strokes are learnt at more than one size."""
    words: str = ""
    """What a translator does, for its card: ``photo to Monet``; empty: from the names of the folders."""

    def to_json(self) -> str:
        """Return the settings as JSON."""
        return json.dumps(dataclasses.asdict(self), indent=1)

    @staticmethod
    def from_json(text: str) -> Settings:
        """Read what :meth:`to_json` wrote; fields that this version does not know are refused.

        Raises:
            TrainingError: The text is no settings file of this version.
        """
        try:
            values: dict[str, Any] = {name: value for name, value in json.loads(text).items() if name not in RETIRED}
            values["data"], values["target"] = tuple(values["data"]), tuple(values["target"])
            return Settings(**values)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise TrainingError("The settings beside this run cannot be read. Choose another name for a new run.") from error

    def command(self) -> str:
        """Return the ``studio train`` command that starts this run; defaults are left out, ``--set`` names what has no option."""
        parts = ["studio", "train", self.family, ",".join(self.data)]
        if self.target:
            parts.append(",".join(self.target))
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name in ("family", "data", "target", "folder", "device") or value == field.default or value is None:
                continue
            option = field.name.replace("_", "-")
            if field.name not in OPTIONS:
                parts += ["--set", f"{field.name}={json.dumps(value) if isinstance(value, bool) else value}"]
                continue
            parts += [f"--{option}" if value else f"--no-{option}"] if isinstance(value, bool) else [f"--{option}", f"{value}"]
        return " ".join(parts)


def read_values(pairs: Sequence[str]) -> dict[str, Any]:
    """Read ``name=value`` pairs as settings: numbers, ``true`` or ``false``, words.

    Raises:
        TrainingError: There is no such setting, it has an option of its own, or the value is of another kind.
    """
    kinds = {field.name: str(field.type) for field in dataclasses.fields(Settings) if field.name not in (*OPTIONS, *GIVEN)}
    values: dict[str, Any] = {}
    for pair in pairs:
        name, _, text = pair.partition("=")
        if name not in kinds:
            raise TrainingError(f"--set {pair}: there is no setting {name!r} without an option of its own. Use one of: {', '.join(kinds)}.")
        try:
            values[name] = _read_value(text, kinds[name].split(" ")[0])
        except ValueError as error:
            raise TrainingError(f"--set {pair}: {text!r} is not what {name} takes ({kinds[name]}).") from error
    return values


def _read_value(text: str, kind: str) -> Any:
    if kind == "bool":
        if text not in ("true", "false"):
            raise ValueError(text)
        return text == "true"
    return {"int": int, "float": float}.get(kind, str)(text)


@dataclass(frozen=True)
class Tick:
    """News from a run: at the start, every few seconds, and at each snapshot and state."""

    kind: str
    """``start``, ``step``, ``snapshot``, ``state``, ``rollback``, ``end`` (finished) or ``stopped`` (asked to stop; resume later)."""
    step: int
    cur_nimg: int
    seconds: float
    """Training time so far, added up over all resumes."""
    progress: float
    """0 at the start, 1 at the end."""
    images_per_second: float
    values: dict[str, float]
    """Losses, signs, strengths: what the family has, averaged since the last tick."""
    message: str = ""
    file: Path | None = None
    """The snapshot or state just written."""

    def to_json(self) -> str:
        """Return one line of JSON for the run's log."""
        line = dataclasses.asdict(self)
        line["file"] = self.file.name if self.file else None
        return json.dumps(line)
