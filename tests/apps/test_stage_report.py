"""Tables of what stages repair, break and put at the same place."""

import numpy as np

from cpm_plugin.apps.stage_report import changes_table, doubled_table
from cpm_plugin.apps.stages import Changes
from cpm_plugin.core.evaluation.double_counting import Doubled
from cpm_plugin.core.maps.joints import JointSet


def test_changes_are_counted_by_part_of_the_body():
    joints = JointSet(('left_knee', 'right_knee', 'neck'))
    repaired = np.array([[1, 1, 0], [1, 0, 0]], bool)
    broken = np.array([[0, 0, 1], [0, 0, 0]], bool)
    assert changes_table(Changes(repaired, broken), joints).splitlines()[2:] == [
        '| wrong, right | 3 | 0 | 3 |',
        '| right, wrong | 0 | 1 | 1 |',
    ]


def test_a_row_for_each_stage_with_the_share_and_its_counts():
    doubled = {
        'stage 1': {'knee': Doubled(1, 8), 'all': Doubled(1, 8)},
        'stage 2': {'knee': Doubled(0, 0), 'all': Doubled(0, 0)},
    }
    assert doubled_table(doubled, 0.2).splitlines() == [
        '| both within 0.2 | knee | all |',
        '| --- | --- | --- |',
        '| stage 1 | 12.5 % (1 of 8) | 12.5 % (1 of 8) |',
        '| stage 2 | nan % (0 of 0) | nan % (0 of 0) |',
    ]
