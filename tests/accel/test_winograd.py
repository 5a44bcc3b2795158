import pytest
import torch
import torch.nn.functional as F

from studio.accel import products
from studio.accel.kernels_winograd import WinogradConv, can_convolve
from studio.accel.runtime import row_kernel
from studio.accel.simd import f32_pointer

needs_product = pytest.mark.skipif(not products.is_available(), reason="this CPU has no wide multiply-add")


@row_kernel()
def multiply(start, stop, block):
    for panel in range(start, stop):
        left, right, out = f32_pointer(block[0]), f32_pointer(block[1]), f32_pointer(block[2])
        products.product(left, block[3], right, out, block[4], block[3] + 0 * panel)


@needs_product
@pytest.mark.parametrize("depth", [1, 7, 32])
def test_the_product_is_a_matrix_product(depth):
    left, right, out = torch.randn(8, depth), torch.randn(depth, 32), torch.empty(8, 32)
    multiply(1, left, products.pack_columns(right), out, depth, 32)
    assert torch.allclose(out, left @ right, atol=1e-5)


def test_packing_keeps_every_number():
    matrix = torch.randn(3, 5, 64)
    packed = products.pack_columns(matrix)
    assert packed.shape == (3, 2, 5, 32) and torch.equal(packed[:, 1], matrix[..., 32:])


@needs_product
@pytest.mark.parametrize(("n", "side", "inputs", "outputs"), [(1, 32, 32, 32), (2, 64, 64, 32)])
def test_the_tiled_convolution_is_a_convolution_to_the_edge(n, side, inputs, outputs):
    x, weight = torch.randn(n, side, side, inputs), torch.randn(outputs, inputs, 3, 3)
    wanted = F.conv2d(x.permute(0, 3, 1, 2).double(), weight.double(), padding=1).permute(0, 2, 3, 1)
    error = (WinogradConv(weight)(x) - wanted).abs().amax(dim=(0, 3)) / wanted.std()
    assert error.max() < 2e-5  # 8e-6 for most inputs, 1e-5 for one in a hundred


def test_only_whole_tiles_and_panels_are_taken():
    assert not can_convolve(48, 64) and not can_convolve(64, 16)
