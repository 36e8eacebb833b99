"""``MosaicPeople``: images of several people, from a dataset of one person per image."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from .transforms import Transform, check_unmended

from mmpose.registry import TRANSFORMS

# The authors' border value, which their input maps to 0.
_BORDER = (128, 128, 128)


@TRANSFORMS.register_module()
class MosaicPeople(Transform):
    """Put the people of several samples into the tiles of one image.

    It replaces ``LoadImage``. Each tile has one person of the dataset in top-down mode, the first
    that of the sample: its box fits into the tile, at a random size and place. The rest of the tile
    is what is around the person in its image; beyond, it is gray.

    Stock's ``Mosaic`` takes whole images, keeps the labels of joints that another tile hides,
    and can ask for a sample that is not there.

    Other people in the images, who have no labels, are not masked. The network learns that they are
    background. In LSP Extended most images show one person.

    Required keys: ``dataset``, ``sample_idx``, ``img_path``, ``bbox`` (1, 4), ``keypoints``
    (1, K, 2), ``keypoints_visible`` (1, K).

    Changed keys: these, with P people in place of one, and ``bbox_score``, ``area``, ``id`` and
    ``category_id``. Joints outside their tile count as not labeled.

    Added keys: ``img``, ``img_shape``, ``ori_shape`` and, in COCO's form, ``raw_ann_info``.

    Args:
        size: (width, height) of the image in pixels.
        grid: (columns, rows) of tiles.
        fill: Smallest and largest length of the longer side of a box, as a part of the shorter side
            of the tile.
        fixed: Take the samples that follow, and sizes and places that are the same every time, for
            testing. False: all is random.

    Raises:
        ValueError: If the size is not a multiple of the grid, or ``fill`` is out of range.

    Examples:
        In the pipeline of a config:

        >>> step = dict(type='MosaicPeople', size=(256, 256), grid=(2, 2))
    """

    def __init__(
        self,
        size: tuple[int, int],
        grid: tuple[int, int] = (2, 2),
        fill: tuple[float, float] = (0.6, 0.95),
        fixed: bool = False,
    ) -> None:
        if min(grid) < 1 or size[0] % grid[0] or size[1] % grid[1]:
            raise ValueError(
                f'size {tuple(size)} must be a multiple of grid {tuple(grid)} (columns, rows), '
                'with at least one tile'
            )
        if not 0 < fill[0] <= fill[1] <= 1:
            raise ValueError(
                f'fill {tuple(fill)} must be two numbers above 0 and up to 1, the smaller one first'
            )
        self.size = (size[0], size[1])
        self.grid = (grid[0], grid[1])
        self.fill = (fill[0], fill[1])
        self.fixed = fixed
        self._load = TRANSFORMS.build(dict(type='LoadImage'))

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Apply the transform to a sample; see the class."""
        check_unmended(results, self)
        dataset, own = results['dataset'], results['sample_idx']
        count = self.grid[0] * self.grid[1]
        if self.fixed:
            rng = np.random.default_rng(own)
            others = [(own + step) % len(dataset) for step in range(1, count)]
        else:
            # MMEngine seeds NumPy's global generator in every worker.
            rng = np.random.default_rng(np.random.randint(2**31))  # noqa: NPY002
            others = rng.integers(len(dataset), size=count - 1).tolist()
        people = [results, *(dataset.get_data_info(index) for index in others)]
        width, height = (side // tiles for side, tiles in zip(self.size, self.grid))
        image = np.empty((self.size[1], self.size[0], 3), dtype=np.uint8)
        boxes, keypoints, visible = [], [], []
        for tile, person in enumerate(people):
            row, column = divmod(tile, self.grid[0])
            x, y = column * width, row * height
            corner = np.array([x, y])
            warp, box = self._place(rng, person['bbox'][0], (width, height))
            image[y : y + height, x : x + width] = cv2.warpAffine(
                self._load(dict(img_path=person['img_path']))['img'],
                warp,
                (width, height),
                flags=cv2.INTER_LINEAR,
                borderValue=_BORDER,
            )
            points = person['keypoints'] * warp[0, 0] + warp[:, 2]
            inside = ((points >= 0) & (points <= (width - 1, height - 1))).all(axis=-1)
            keypoints.append(points + corner)
            visible.append(person['keypoints_visible'] * inside)
            boxes.append(box + np.tile(corner, 2))
        results.update(
            img=image,
            img_shape=image.shape[:2],
            ori_shape=image.shape[:2],
            bbox=np.array(boxes, dtype=np.float32),
            bbox_score=np.ones(count, dtype=np.float32),
            keypoints=np.concatenate(keypoints).astype(np.float32),
            keypoints_visible=np.concatenate(visible).astype(np.float32),
            id=[results['id'] * count + tile for tile in range(count)],
            category_id=[1] * count,
        )
        sides = results['bbox'][:, 2:] - results['bbox'][:, :2]
        results['area'] = sides.prod(axis=1)
        results['raw_ann_info'] = self._as_coco(results)
        return results

    def _place(
        self, rng: np.random.Generator, box: np.ndarray, tile: tuple[int, int]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Choose size and place of a box in a tile; return the warp (2, 3) and the new box."""
        sides = box[2:] - box[:2]
        scale = rng.uniform(*self.fill) * min(tile) / max(sides.max(), 1)
        corner = rng.uniform(0, np.array(tile) - scale * sides)
        warp = np.array([[scale, 0, 0], [0, scale, 0]])
        warp[:, 2] = corner - scale * box[:2]
        return warp, np.concatenate([corner, corner + scale * sides])

    @staticmethod
    def _as_coco(results: dict[str, Any]) -> list[dict[str, Any]]:
        """Make COCO's annotations of the people, which MMPose's ``CocoMetric`` evaluates with."""
        found = []
        for person, (x1, y1, x2, y2) in enumerate(results['bbox'].tolist()):
            labeled = 2 * (results['keypoints_visible'][person] > 0)
            points = np.concatenate([results['keypoints'][person], labeled[:, None]], axis=1)
            found.append(
                dict(
                    id=results['id'][person],
                    image_id=results['img_id'],
                    category_id=1,
                    iscrowd=0,
                    num_keypoints=int(np.count_nonzero(labeled)),
                    bbox=[x1, y1, x2 - x1, y2 - y1],
                    area=float(results['area'][person]),
                    keypoints=points.ravel().tolist(),
                )
            )
        return found
