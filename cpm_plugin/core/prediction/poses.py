"""``Poses``, what ``predict`` returns for an image."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..maps.geometry import FloatArray
from ..maps.joints import JointSet
from .images import Image, pillow

# RGB, as in MMPose's datasets: the person's right is orange, the left green, the middle blue.
_COLORS = {'right': (255, 128, 0), 'left': (0, 255, 0), 'middle': (51, 153, 255)}
# A joint at this score or above is drawn in full; below, it is the paler, the lower its score.
_SURE = 0.6


@dataclass(frozen=True, eq=False)
class Poses:
    """Poses of N people in an image.

    Attributes:
        keypoints: (N, K, 2), x and y in image pixels.
        scores: (N, K), beliefs at the peaks, about 0 to 1. They are no probabilities.
        boxes: (N, 4), x1, y1, x2, y2 in image pixels.
        joints: Names of the K joints, and the links between them that make a skeleton.
        image: (H, W, 3), BGR, the image they were predicted in.
    """

    keypoints: FloatArray
    scores: FloatArray
    boxes: FloatArray
    joints: JointSet
    image: Image

    def __len__(self) -> int:
        return len(self.keypoints)

    def to_json(self) -> str:
        """Write the poses as JSON.

        Returns:
            Text with ``joints`` (names), ``skeleton`` (pairs of numbers of joints), and ``people``:
                ``keypoints``, ``keypoint_scores`` and ``bbox`` of each, as MMPose names them.
        """
        names = self.joints.names
        people = [
            {'keypoints': points, 'keypoint_scores': scores, 'bbox': box}
            for points, scores, box in zip(
                self.keypoints.tolist(), self.scores.tolist(), self.boxes.tolist()
            )
        ]
        skeleton = [[names.index(start), names.index(end)] for start, end in self.joints.links]
        return json.dumps({'joints': list(names), 'skeleton': skeleton, 'people': people})

    def draw(self, *, threshold: float = 0.2) -> Any:
        """Draw the skeletons on the image: the person's right limbs orange, left ones green.

        Doubtful joints, and limbs that end in them, are pale.

        Args:
            threshold: Joints with a lower score are not drawn, nor are limbs that end in them.

        Returns:
            A PIL image in RGB.

        Raises:
            ImportError: If Pillow is missing.
        """
        drawing = pillow()
        rgb = np.ascontiguousarray(self.image[..., ::-1])
        canvas = drawing.Image.fromarray(rgb).convert('RGBA')
        for points, scores, box in zip(self.keypoints, self.scores, self.boxes):
            # At most the size of the image: a box may reach far beyond it.
            width = max(1, round(min(max(box[2:] - box[:2]), max(canvas.size)) / 100))
            layer = drawing.Image.new('RGBA', canvas.size)
            pen = drawing.ImageDraw.Draw(layer)
            for names in (*self.joints.links, *((name,) for name in self.joints.names)):
                ends = [self.joints.index(name) for name in names]
                score = float(scores[ends].min())
                if score < threshold:
                    continue
                color = (*_color(names), round(255 * min(1.0, max(0.0, score) / _SURE)))
                if len(ends) == 2:
                    pen.line([tuple(points[end]) for end in ends], fill=color, width=width)
                else:
                    (x, y), radius = points[ends[0]], width + 1
                    pen.ellipse([x - radius, y - radius, x + radius, y + radius], fill=color)
            canvas = drawing.Image.alpha_composite(canvas, layer)
        return canvas.convert('RGB')

    def to_png(self) -> bytes:
        """Draw the poses, see ``draw``.

        Returns:
            Content of a PNG file.
        """
        content = io.BytesIO()
        self.draw().save(content, 'PNG')
        return content.getvalue()


def _color(names: tuple[str, ...]) -> tuple[int, int, int]:
    """Return the color of a joint or limb by its side."""
    sides = {name.split('_')[0] for name in names} & {'left', 'right'}
    return _COLORS[sides.pop() if len(sides) == 1 else 'middle']
