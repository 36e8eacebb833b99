"""Images and people to crop."""

import numpy as np

SIDE = 368 * 35 / 41  # 314.146..., pixels of the image for a person of scale 1


def sample(center=(150.0, 110.0), side=SIDE, size=(300, 220), **more):
    """A black image of ``size`` (width, height) and a square crop."""
    width, height = size
    return dict(
        img=np.zeros((height, width, 3), np.uint8),
        img_shape=(height, width),
        bbox_center=np.array([center], np.float32),
        bbox_scale=np.array([[side, side]], np.float32),
        **more,
    )


def noise(size, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)


def spot(image, threshold):
    """(x, y) of the middle of what is lit."""
    light = image.astype(float).max(axis=2).clip(min=threshold) - threshold
    assert light.any()
    rows, columns = np.indices(light.shape)
    return np.array([(columns * light).sum(), (rows * light).sum()]) / light.sum()
