"""The floor of a result: PCK@0.2 of always predicting the mean pose of the training set.

    python tools/mean_pose.py CONFIG

The mean is taken in the person's box, over the labelled joints of the config's training
set; it is evaluated on the config's test set, with the torso as the unit.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from cpm_plugin.mmpose import compat

compat.apply()

import numpy as np  # noqa: E402
from mmengine.config import Config  # noqa: E402
from mmengine.registry import init_default_scope  # noqa: E402
from mmpose.registry import DATASETS  # noqa: E402

from cpm_plugin.core.mean_pose import mean_pose, place_pose  # noqa: E402
from cpm_plugin.core.pck import format_table, torso_pck  # noqa: E402
from cpm_plugin.mmpose.metrics import joints_of  # noqa: E402


def people(dataset) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Key points (N, K, 2), labelled (N, K) and boxes (N, 4) of a top-down dataset."""
    infos = [dataset.get_data_info(i) for i in range(len(dataset))]
    keys = ('keypoints', 'keypoints_visible', 'bbox')
    return tuple(np.concatenate([info[key] for info in infos]) for key in keys)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config')
    args = parser.parse_args()
    if not Path(args.config).is_file():
        parser.error(f'{args.config}: no such file')
    config = Config.fromfile(args.config)
    init_default_scope(config.default_scope)
    train = DATASETS.build(config.train_dataloader.dataset)
    test = DATASETS.build(config.test_dataloader.dataset)
    if not all('keypoints' in test.get_data_info(i) for i in range(len(test))):
        parser.error(f'{args.config}: its test set has detected boxes without key points')
    pose = mean_pose(*people(train))
    keypoints, labelled, boxes = people(test)
    pck = torso_pck(place_pose(pose, boxes), keypoints, labelled > 0, joints_of(test.metainfo))
    print(format_table({'mean pose': pck}))
    return 0


if __name__ == '__main__':
    sys.exit(main())
