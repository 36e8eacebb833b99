"""Compare a model of the package with MediaPipe Pose, on the same annotated images.

    pip install mediapipe==0.10.14        # in an environment of its own with this package
    python tools/dev/mediapipe_accuracy.py --lspet data/lspet --model cpm_movenet_3s

MediaPipe's full model is in its wheel; nothing is downloaded. It has a detector of its own, which
looks at the whole image, and at the annotated box with half of its longer side around it. Ours
looks at the annotated box. It prints PCK@0.2 over the 12 joints that both have, from shoulder to
ankle. Where MediaPipe finds nobody, all joints are wrong. In the rows "either side", a joint is
also right where its left-right partner should be: what is lost by taking left for right, or by such
labels.

Exit codes: 0 when done; 2 for wrong arguments, or without MediaPipe.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track

from cpm_plugin.apps.people_found import SHARED
from cpm_plugin.core import create_model, optimize_for_inference, predict
from cpm_plugin.core.evaluation.pck import TorsoPCK, format_table, torso_pck
from cpm_plugin.core.maps.joint_sets import LSP
from cpm_plugin.core.prediction import read_image
from cpm_plugin.mmpose.lsp import box_of_joints, read_joints

# Names of MediaPipe's landmarks are those of our joints, in capitals.
_MISSED = np.full((len(SHARED.names), 2), 1e9)  # far from any joint
_MARGIN = 0.1  # around the joints, as LspDataset has it
# MediaPipe's detector finds fewer people in a tight box.
_WIDE = 0.5


def main(argv: list[str] | None = None) -> int:
    """Run the program; return its exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--lspet', type=Path, required=True, metavar='FOLDER')
    parser.add_argument('--first', type=int, default=8001, help='image (default: %(default)s)')
    parser.add_argument('--images', type=int, default=1000, help='number (default: %(default)s)')
    parser.add_argument('--model', default='cpm_movenet_3s', help='(default: %(default)s)')
    args = parser.parse_args(argv)
    try:
        from mediapipe.python.solutions import pose as mediapipe_pose
    except ImportError as error:
        parser.error(f'{error}: install mediapipe==0.10.14')
    try:
        annotations = read_joints(args.lspet / 'joints.mat')
        model = optimize_for_inference(create_model(args.model, pretrained=True))
    except ValueError as error:
        parser.error(str(error))
    selected = [LSP.index(name) for name in SHARED.names]
    ways = ('MediaPipe, whole image', 'MediaPipe, wide box', args.model)
    found: dict[str, list[np.ndarray]] = {way: [] for way in ways}
    last = min(args.first - 1 + args.images, len(annotations.keypoints))
    numbers = range(args.first - 1, last)
    with mediapipe_pose.Pose(static_image_mode=True, model_complexity=1) as pose:
        for index in track(numbers, description='images', console=Console(stderr=True)):
            image = read_image(args.lspet / 'images' / f'im{index + 1:05d}.jpg')
            labeled = annotations.labeled[index] > 0
            box = box_of_joints(annotations.keypoints[index], labeled, _MARGIN)
            found[ways[0]].append(landmarks(pose, mediapipe_pose, image, np.zeros(2)))
            cut, corner = inside(image, box_of_joints(annotations.keypoints[index], labeled, _WIDE))
            found[ways[1]].append(landmarks(pose, mediapipe_pose, cut, corner))
            found[ways[2]].append(predict(image, box[None], model).keypoints[0, selected])
    truth = annotations.keypoints[numbers.start : last, selected].astype(float)
    known = annotations.labeled[numbers.start : last, selected] > 0
    results: dict[str, TorsoPCK] = {}
    for way, poses in found.items():
        results[way] = torso_pck(poses, truth, known, SHARED)
        results[f'{way}, either side'] = torso_pck(nearer(poses, truth), truth, known, SHARED)
    print(format_table(results))
    for way in ways[:2]:
        missed = sum(bool((person == _MISSED).all()) for person in found[way])
        print(f'{way}: nobody found in {missed} of {len(numbers)} images')
    return 0


def landmarks(pose: Any, module: Any, image: np.ndarray, corner: np.ndarray) -> np.ndarray:
    """Return MediaPipe's 12 joints (12, 2) in pixels; ``corner`` (2,) is added."""
    found = pose.process(np.ascontiguousarray(image[:, :, ::-1])).pose_landmarks
    if found is None:
        return _MISSED
    numbers = [module.PoseLandmark[name.upper()] for name in SHARED.names]
    points = np.array([(found.landmark[n].x, found.landmark[n].y) for n in numbers])
    # MediaPipe counts from the border of the image, and pixels are counted from their centers.
    moved: np.ndarray = points * image.shape[1::-1] - 0.5 + corner
    return moved


def inside(image: np.ndarray, box: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cut a box out of an image; return the part and its corner (2,), x and y in pixels."""
    x1, y1 = np.floor(box[:2]).clip(0).astype(int)
    x2, y2 = np.ceil(box[2:]).astype(int) + 1
    return image[y1:y2, x1:x2], np.array([x1, y1])


def nearer(poses: list[np.ndarray], truth: np.ndarray) -> np.ndarray:
    """Return of each joint and its partner the one that is nearer to the joint's true place."""
    found = np.array(poses, dtype=float)
    others = found[:, list(SHARED.flip_indices)]
    closer = np.linalg.norm(others - truth, axis=2) < np.linalg.norm(found - truth, axis=2)
    return np.where(closer[..., None], others, found)


if __name__ == '__main__':
    sys.exit(main())
