"""Drawing of belief maps and part affinity fields of a whole image."""

from __future__ import annotations

import colorsys
from typing import Any

import numpy as np

from ..core.maps.joints import JointSet
from ..core.prediction import Poses
from ..core.prediction.proposals import ImageMaps

# A field this strong or stronger has full color: that of an ideal limb. The mean of opposite limbs
# is weaker.
_FULL = 1.0
# A belief of 1 is not yet white, as in ``stages.draw_stages``.
_HEAT: Any = {'cmap': 'hot', 'vmin': 0, 'vmax': 1.2}
_WHEEL = 61  # pixels of the color wheel's side


def strongest_field(fields: np.ndarray) -> np.ndarray:
    """Return at each cell the vector of the limb whose field is strongest there.

    Args:
        fields: (2L, h, w), x and y of each limb's field in turn.

    Returns:
        (2, h, w), x and y.
    """
    vectors = fields.reshape(-1, 2, *fields.shape[1:])
    best = (vectors**2).sum(axis=1).argmax(axis=0)
    return np.take_along_axis(vectors, best[None, None], axis=0)[0]


def field_colors(vectors: np.ndarray) -> np.ndarray:
    """Compute colors of vectors: the hue is the direction, the saturation the strength.

    Right is red; from there, hues go clockwise in the image, where y points down.

    Args:
        vectors: (2, ...), x and y, of lengths from 0 to about 1.

    Returns:
        (..., 3), RGB, from 0 to 1; white where there is no field.

    Examples:
        >>> import numpy as np
        >>> from cpm_plugin.apps.field_panels import field_colors
        >>> field_colors(np.array([[1.0, -1.0, 0.0], [0.0, 0.0, 0.0]])).round(2).tolist()
        [[1.0, 0.0, 0.0], [0.0, 1.0, 1.0], [1.0, 1.0, 1.0]]
    """
    x, y = vectors
    hue = np.arctan2(y, x) / (2 * np.pi) % 1
    strength = (np.hypot(x, y) / _FULL).clip(0, 1)
    pure = np.vectorize(lambda h: colorsys.hsv_to_rgb(h, 1, 1), otypes=[float] * 3)(hue)
    return 1 + strength[..., None] * (np.stack(pure, axis=-1) - 1)


def fields_figure(maps: ImageMaps, poses: Poses) -> Any:
    """Draw what a network for several people sees: poses, joints' beliefs, and limbs' fields.

    Args:
        maps: Maps of the image, see ``image_maps``.
        poses: People that were found in the image. It has the image and the joints.

    Returns:
        A matplotlib figure with three panels and a wheel that explains the colors of directions.
    """
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure

    height, width = poses.image.shape[:2]
    tall = 3.6 * min(max(height / width, 0.4), 1.8)
    figure = Figure(figsize=(3 * 3.6 + 1.8, tall + 0.5), layout='constrained')
    axes = figure.subplots(1, 4, width_ratios=(1, 1, 1, 0.3))
    gray = poses.image.mean(axis=2)
    # The maps reach beyond the image, by what it was filled up with.
    rows, columns = maps.beliefs.shape[1:]
    edges = maps.to_image(np.array([[0, 0], [columns, rows]]) * maps.stride - 0.5)
    extent = (edges[0, 0], edges[1, 0], edges[1, 1], edges[0, 1])
    heat = maps.beliefs.numpy().max(axis=0).clip(0, 1)
    vectors = strongest_field(maps.fields.numpy())
    strength = np.hypot(*vectors).clip(0, 1)
    axes[0].imshow(np.asarray(poses.draw()))
    for axis in axes[1:3]:
        axis.imshow(gray, cmap='gray', vmin=-80, vmax=255)
    axes[1].imshow(heat, **_HEAT, alpha=heat**0.5, extent=extent, interpolation='bilinear')
    axes[2].imshow(field_colors(vectors), alpha=strength**0.5, extent=extent)
    titles = (f'{len(poses)} found', 'beliefs of all joints', _title(poses.joints))
    for axis, title in zip(axes, titles):
        axis.set(xticks=[], yticks=[], xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))
        axis.set_title(title, fontsize=9)
    figure.colorbar(
        ScalarMappable(Normalize(_HEAT['vmin'], _HEAT['vmax']), _HEAT['cmap']),
        ax=axes[1], label='belief', ticks=[0, 0.5, 1], location='bottom', aspect=30, pad=0.02,
    ).ax.set_xlim(0, 1)  # fmt: skip
    _draw_wheel(axes[3])
    return figure


def _title(joints: JointSet) -> str:
    """Return a title that says what vectors point to, with the first limb as the example."""
    first, second = (name.replace('_', ' ') for name in joints.limbs[0])
    return f'fields of {len(joints.limbs)} limbs, as {first} to {second}'


def _draw_wheel(axis: Any) -> None:
    """Draw the colors of all directions, those of the border for the strength 1."""
    y, x = np.mgrid[-1 : 1 : _WHEEL * 1j, -1 : 1 : _WHEEL * 1j]
    image = np.dstack([field_colors(np.stack([x, y])), np.hypot(x, y) <= 1])
    axis.imshow(image, extent=(-1, 1, 1, -1))
    axis.set_title('direction', fontsize=9)
    axis.set_axis_off()
