"""``Poses``, what ``predict`` returns for an image."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..maps.geometry import FloatArray
from ..maps.joints import JointSet
from .images import Image, pillow

# RGB, as in MMPose's datasets: the person's right is orange, the left green, the middle blue.
_COLORS = {'right': (255, 128, 0), 'left': (0, 255, 0), 'middle': (51, 153, 255)}
# A joint at this score or above is drawn in full; below, it is the paler, the lower its score. On
# sample photographs, good poses have mean scores of 0.7 to 0.8, and wrong ones of 0.5.
_SURE = 0.6
_PALEST = 0.3  # opacity; less could not be seen


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

    def drawn(self, threshold: float = 0.2) -> npt.NDArray[np.bool_]:
        """Tell which joints ``draw`` draws.

        Args:
            threshold: Joints with a lower score are not drawn.

        Returns:
            (N, K), whether the joint has that score and lies inside the image.
        """
        points = np.round(self.keypoints)
        inside = ((points >= 0) & (points < self.image.shape[1::-1])).all(axis=2)
        return inside & (self.scores >= threshold)

    def names(self) -> dict[str, Any]:
        """Return ``joints``, names, and ``skeleton``, pairs of numbers of joints, for JSON."""
        names = self.joints.names
        skeleton = [[names.index(start), names.index(end)] for start, end in self.joints.links]
        return {'joints': list(names), 'skeleton': skeleton}

    def people(self) -> list[dict[str, Any]]:
        """Return the people for JSON.

        Returns:
            ``keypoints``, ``keypoint_scores`` and ``bbox`` of each, as MMPose names them.
        """
        return [
            {'keypoints': points, 'keypoint_scores': scores, 'bbox': box}
            for points, scores, box in zip(
                self.keypoints.tolist(), self.scores.tolist(), self.boxes.tolist()
            )
        ]

    def to_json(self) -> str:
        """Write the poses as JSON.

        Returns:
            Text with ``joints`` (names), ``skeleton`` (pairs of numbers of joints), and ``people``:
                ``keypoints``, ``keypoint_scores`` and ``bbox`` of each, as MMPose names them.
        """
        return json.dumps({**self.names(), 'people': self.people()})

    def draw(self, *, threshold: float = 0.2, boxes: bool = False, legend: bool = False) -> Any:
        """Draw the skeletons on the image: the person's right limbs orange, left ones green.

        Joints with a score below 0.6 are doubtful. They are pale, as are limbs that end in them.

        Args:
            threshold: Joints with a lower score are not drawn, nor are limbs that end in them.
            boxes: Draw the box of each person, too, with the mean score of the joints.
            legend: Explain the colors in a strip below the image.

        Returns:
            A PIL image in RGB, as large as the image, or higher by the legend.

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
            if boxes:
                _draw_box(drawing, pen, box, float(scores.mean()), canvas.size)
            for names in (*self.joints.links, *((name,) for name in self.joints.names)):
                ends = [self.joints.index(name) for name in names]
                score = float(scores[ends].min())
                if score < threshold:
                    continue
                opacity = min(1.0, max(_PALEST, score / _SURE))
                color = (*_color(names), round(255 * opacity))
                if len(ends) == 2:
                    pen.line([tuple(points[end]) for end in ends], fill=color, width=width)
                else:
                    (x, y), radius = points[ends[0]], width + 1
                    pen.ellipse([x - radius, y - radius, x + radius, y + radius], fill=color)
            canvas = drawing.Image.alpha_composite(canvas, layer)
        return _add_legend(drawing, canvas.convert('RGB')) if legend else canvas.convert('RGB')

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
    sides = {side for side in map(JointSet.side, names) if side}
    return _COLORS[sides.pop() if len(sides) == 1 else 'middle']


def _font(drawing: Any, size: tuple[int, int], part: float = 1.0) -> Any:
    """Return a font that can be read on an image of this size, or a part of its size."""
    return drawing.ImageFont.load_default(max(11, round(min(size) / 32)) * part)


def _draw_box(drawing: Any, pen: Any, box: Any, score: float, size: tuple[int, int]) -> None:
    """Draw a box, with a score above it, or in the image if it begins above the image."""
    pen.rectangle(box.tolist(), outline=(255, 255, 255, 160))
    text, font = f'{score:.2f}', _font(drawing, size)
    right, bottom = pen.textbbox((0, 0), text, font=font)[2:]
    x = min(max(0.0, float(box[0])), size[0] - right - 2)
    y = min(max(0.0, float(box[1]) - bottom - 2), size[1] - bottom - 2)
    pen.rectangle([x, y, x + right + 2, y + bottom + 2], fill=(0, 0, 0, 160))
    pen.text((x + 1, y), text, font=font, fill=(255, 255, 255, 255))


def _add_legend(drawing: Any, canvas: Any) -> Any:
    """Return the image with the colors explained below it, where they hide nobody."""
    items = {
        "the person's right": _COLORS['right'],
        'left': _COLORS['left'],
        'middle': _COLORS['middle'],
        f'pale: belief below {_SURE:g}': (90, 90, 90),
    }
    font = _font(drawing, canvas.size)
    widest = max(map(font.getlength, items)) + 2 * font.getbbox('pq')[3] + 12
    # smaller on a narrow image, but not so that nobody can read it
    font = _font(drawing, canvas.size, min(1.0, max(0.6, canvas.width / widest)))
    line = font.getbbox('pq')[3] + 2
    x, y, places = 4, 2, []
    for text in items:
        width = round(font.getlength(text)) + 2 * line
        if x > 4 and x + width > canvas.width:  # a new row
            x, y = 4, y + line
        places.append((x, y))
        x += width + line // 2
    height = (y + line + 3) // 2 * 2  # even, as videos need it
    extended = drawing.Image.new('RGB', (canvas.width, canvas.height + height))
    extended.paste(canvas)
    pen = drawing.ImageDraw.Draw(extended)
    for (x, y), (text, color) in zip(places, items.items()):
        y, middle = y + canvas.height, y + canvas.height + line / 2
        pen.line([x, middle, x + line, middle], fill=color, width=max(2, line // 5))
        pen.text((x + line + 4, y), text, font=font, fill=(255, 255, 255))
    return extended
