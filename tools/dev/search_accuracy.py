"""Measure what the demo's search for the person costs, against the annotated boxes.

    python tools/dev/search_accuracy.py CONFIG CHECKPOINT --images 300

It takes the first images of the config's test set, and prints PCK@0.2 of three predictions for
each: after the search, with the whole image as the box, and with the annotated box. About 1.5 s for
an image of LSP Extended on one CPU core.

Exit codes: 0 when done; 2 for wrong arguments.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from rich.progress import track

from cpm_plugin.apps import demo
from cpm_plugin.apps.configs import named, read_config
from cpm_plugin.core.evaluation.pck import format_table, torso_pck
from cpm_plugin.core.prediction import read_image
from cpm_plugin.mmpose.metrics import joints_of

from mmpose.registry import DATASETS

WAYS = ('search', 'whole image', 'annotated box')


def main(argv: list[str] | None = None) -> int:
    """Run the program; return its exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', metavar='CONFIG', type=Path)
    parser.add_argument('checkpoint', metavar='CHECKPOINT', type=Path)
    parser.add_argument('--images', type=int, default=300, help='number (default: %(default)s)')
    args = parser.parse_args(argv)
    try:
        config = read_config(args.config, needs=('test_dataloader',))
        model = demo.load_model(args.config, args.checkpoint, 'cpu')
        with named(args.config):
            dataset = DATASETS.build(config.test_dataloader.dataset)
    except ValueError as error:
        parser.error(str(error))
    found: dict[str, list[np.ndarray]] = {way: [] for way in WAYS}
    truth, labeled = [], []
    for index in track(range(min(args.images, len(dataset))), description='images'):
        info = dataset.get_data_info(index)
        image = read_image(info['img_path'])
        whole = np.array([[0, 0, image.shape[1], image.shape[0]]], np.float32)
        people = (
            demo.find_people(model, image),
            *(demo.predict(model, image, box) for box in (whole, info['bbox'])),
        )
        for way, person in zip(WAYS, people):
            found[way].append(person.keypoints[0])
        truth.append(info['keypoints'][0])
        labeled.append(info['keypoints_visible'][0])
    joints = joints_of(dataset.metainfo)
    print(format_table({way: torso_pck(found[way], truth, labeled, joints) for way in WAYS}))
    return 0


if __name__ == '__main__':
    sys.exit(main())
