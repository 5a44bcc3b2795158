"""The losses and regularisers of GAN training, each one a pure function with its paper and equation.

Logits are discriminator outputs before any sigmoid, ``[n]`` or a map ``[n, 1, h, w]``; every loss is a scalar to be minimised.
This is *not* the training loop: nothing here steps an optimiser or knows a network's family.
"""

import torch
from torch import Tensor
from torch.nn import functional as F


def minimax_d(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Return ``-E[log D(x)] - E[log(1 - D(G(z)))]`` (Goodfellow et al. 2014, eq. 1), the discriminator's side."""
    return F.softplus(-real_logits).mean() + F.softplus(fake_logits).mean()


def minimax_g(fake_logits: Tensor) -> Tensor:
    """Return ``E[log(1 - D(G(z)))]`` (Goodfellow et al. 2014, eq. 1), the generator's side; it saturates when D is sure."""
    return -F.softplus(fake_logits).mean()


def non_saturating_g(fake_logits: Tensor) -> Tensor:
    """Return ``-E[log D(G(z))]`` (Goodfellow et al. 2014, section 3): the generator's loss that does not saturate."""
    return F.softplus(-fake_logits).mean()


def least_squares_d(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Return ``(E[(D(x) - 1)^2] + E[D(G(z))^2]) / 2`` (Mao et al. 2017, eq. 9)."""
    return 0.5 * ((real_logits - 1).square().mean() + fake_logits.square().mean())


def least_squares_g(fake_logits: Tensor) -> Tensor:
    """Return ``E[(D(G(z)) - 1)^2]`` (Mao et al. 2017, eq. 9, without its factor 1/2, as CycleGAN uses it)."""
    return (fake_logits - 1).square().mean()


def hinge_d(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Return ``E[max(0, 1 - D(x))] + E[max(0, 1 + D(G(z)))]`` (Lim and Ye 2017; Miyato et al. 2018, eq. 16)."""
    return F.relu(1 - real_logits).mean() + F.relu(1 + fake_logits).mean()


def wasserstein_d(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Return ``E[D(G(z))] - E[D(x)]`` (Arjovsky et al. 2017, eq. 2, to be minimised by the critic)."""
    return fake_logits.mean() - real_logits.mean()


def wasserstein_g(fake_logits: Tensor) -> Tensor:
    """Return ``-E[D(G(z))]`` (Arjovsky et al. 2017); also the generator's side of the hinge loss."""
    return -fake_logits.mean()


def relativistic_d(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Return ``E[softplus(-(D(x) - D(G(z))))]``, pictures paired by index (Jolicoeur-Martineau 2018; Huang et al. 2024, eq. 2)."""
    return F.softplus(fake_logits - real_logits).mean()


def relativistic_g(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Return ``E[softplus(-(D(G(z)) - D(x)))]``, the mirror of :func:`relativistic_d`."""
    return F.softplus(real_logits - fake_logits).mean()


def zero_centred_penalty(logits: Tensor, img: Tensor) -> Tensor:
    """Return ``E[|grad_x D(x)|^2]``: R1 on real pictures, R2 on made ones (Mescheder et al. 2018, eq. 9 and 10).

    Args:
        logits: ``D(img)``, computed from ``img`` with gradients on; summed, so per-picture gradients stay apart.
        img: The pictures, ``[n, ...]``, requiring gradients.

    Returns:
        A scalar with a graph of its own; the caller multiplies by ``gamma / 2``.
    """
    (gradient,) = torch.autograd.grad(outputs=logits.float().sum(), inputs=img, create_graph=True)
    return gradient.float().flatten(1).square().sum(1).mean()


def interpolate_pairs(real: Tensor, fake: Tensor, mixture: Tensor) -> Tensor:
    """Return ``x + u (G(z) - x)`` with one ``u`` in [0, 1] per picture (Gulrajani et al. 2017, algorithm 1), as a new leaf."""
    u = mixture.view(-1, *([1] * (real.dim() - 1)))
    return torch.lerp(real.detach(), fake.detach(), u).requires_grad_(True)


def gradient_penalty(logits: Tensor, img: Tensor) -> Tensor:
    """Return ``E[(|grad_x D(x)| - 1)^2]`` at interpolated pictures (Gulrajani et al. 2017, eq. 3, without lambda)."""
    (gradient,) = torch.autograd.grad(outputs=logits.float().sum(), inputs=img, create_graph=True)
    return (gradient.float().flatten(1).square().sum(1).add(1e-12).sqrt() - 1).square().mean()


def path_lengths(img: Tensor, ws: Tensor, noise: Tensor) -> Tensor:
    """Return ``|J_w^T y|`` per picture, ``[n]`` (Karras et al. 2020, eq. 4; the mean over layers as in their code).

    Args:
        img: Pictures with a graph to ``ws``, ``[n, C, H, W]``.
        ws: Styles, ``[n, num_ws, w_dim]``, requiring gradients.
        noise: Normal random values in the shape of ``img``; scaled here by ``1 / sqrt(H W)``.
    """
    scale = (img.shape[2] * img.shape[3]) ** -0.5
    (gradient,) = torch.autograd.grad(outputs=(img * noise).sum() * scale, inputs=ws, create_graph=True)
    return gradient.float().square().sum(2).mean(1).sqrt()


def path_length_penalty(lengths: Tensor, mean_length: Tensor) -> Tensor:
    """Return ``E[(|J_w^T y| - a)^2]`` with the running mean ``a`` (Karras et al. 2020, eq. 4)."""
    return (lengths - mean_length.detach()).square().mean()


def orthogonal_penalty(weight: Tensor) -> Tensor:
    """Return ``|W W^T (1 - I)|_F^2`` (Brock et al. 2019, eq. 3): filters apart, their lengths free."""
    w = weight.flatten(1)
    gram = w @ w.T
    return gram.square().sum() - gram.diagonal().square().sum()


def range_penalty(img: Tensor) -> Tensor:
    """Return ``E[max(0, |x| - 1)^2]``: what of a picture's values lies beyond black and white."""
    return F.relu(img.float().abs() - 1).square().mean()


def total_variation(img: Tensor) -> Tensor:
    """Return the mean absolute difference between neighbouring pixels, down and across, added up (Johnson et al. 2016, section 3.2)."""
    return img.diff(dim=2).abs().mean() + img.diff(dim=3).abs().mean()


def cycle(img: Tensor, reconstructed: Tensor) -> Tensor:
    """Return ``E[|F(G(x)) - x|_1]`` (Zhu et al. 2017, eq. 2)."""
    return F.l1_loss(reconstructed, img)


def identity(img: Tensor, same: Tensor) -> Tensor:
    """Return ``E[|G(y) - y|_1]``: a target picture should stay as it is (Taigman et al. 2017; Zhu et al. 2017, section 5.2)."""
    return F.l1_loss(same, img)


def paired_l1(partner: Tensor, made: Tensor) -> Tensor:
    """Return ``E[|y - G(x)|_1]``: a translation should be its true partner (Isola et al. 2017, eq. 3)."""
    return F.l1_loss(made, partner)


def patch_nce(queries: Tensor, keys: Tensor, temperature: float = 0.07) -> Tensor:
    """Return the patchwise contrastive loss (Park et al. 2020, eq. 3): the key at the same place is right, the others are wrong.

    Args:
        queries: Unit-length features of the made picture, ``[n, patches, channels]``.
        keys: Unit-length features of the source picture at the same places; no gradient flows into them.
        temperature: Softness of the choice.
    """
    similarity = queries @ keys.detach().transpose(1, 2) / temperature
    target = torch.arange(queries.shape[1], device=queries.device).expand(queries.shape[0], -1)
    return F.cross_entropy(similarity.flatten(0, 1), target.flatten())


def top_sign(logits: Tensor) -> Tensor:
    """Return ``E[sign D(x)]`` in [-1, 1]: the overfitting measure ``r_t`` that steers the augmentation (Karras et al. 2020 ADA, eq. 1)."""
    return logits.detach().float().sign().mean()
