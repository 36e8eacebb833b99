"""Structures: fitted by hand, in cells, as JSON, and their mistakes."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from cpm_plugin.core.structure import Body, Structure, fit_structure

BODY = Body(
    ('hip', 'knee', 'ankle'),
    parts=(('leg', ('hip', 'knee', 'ankle')),),
    springs=(('leg', 'hip'), ('leg', 'knee'), ('leg', 'ankle')),
    repulsions=(('hip', 'ankle'),),
)
# the middle of the leg is (0, 4) and (2, 6)
POSES = [[[0, 0], [0, 4], [0, 8]], [[0, 0], [3, 6], [3, 12]]]


@pytest.fixture
def structure():
    return fit_structure(BODY, POSES, np.ones((2, 3)), [10, 20], quantile=0.5)


def test_a_fit_by_hand(structure):
    assert structure.nodes == ('hip', 'knee', 'ankle', 'leg')
    # from the leg to the hip: (0, -0.4) and (-0.1, -0.3)
    assert structure.means[0] == (-0.05, -0.35)
    assert structure.variances[0] == (0.0025, 0.0025)
    near, far = 8 / 10, math.hypot(3, 12) / 20
    assert structure.distances == (round((near + far) / 2, 6),)
    assert structure.penalties == (round(math.log(2), 6),)
    assert (
        not structure.exact and replace(structure, repulsions=(), distances=(), penalties=()).exact
    )


def test_in_cells(structure):
    springs = structure.springs_in_cells(20, weight=0.5)
    assert springs.pairs.tolist() == [[3, 0], [3, 1], [3, 2]]
    np.testing.assert_allclose(springs.means[0], [-1, -7])
    np.testing.assert_allclose(springs.costs[0], [0.5 / (2 * 0.0025 * 400)] * 2)
    repulsions = structure.repulsions_in_cells(20, weight=2)
    assert repulsions.pairs.tolist() == [[0, 2]]
    np.testing.assert_allclose(repulsions.distances, 20 * np.array(structure.distances))
    np.testing.assert_allclose(repulsions.penalties, 2 * math.log(2), rtol=1e-5)
    for weight in (0, -1, math.inf, math.nan):
        with pytest.raises(ValueError, match='must be positive and finite'):
            structure.springs_in_cells(20, weight)


def test_json_brings_it_back(structure):
    assert Structure.from_json(structure.to_json()) == structure


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(joints=('hip', 'knee', 'knee')), 'must be unique: hip, knee, knee, leg'),
        (dict(repulsions=(('hip', 'toe'),)), "no joint or part 'toe'; there are: hip, knee"),
        (dict(means=((0, 0),)), r'means of shape \(1, 2\): expected \(3, 2\)'),
        (dict(variances=((1, 1), (1, 1), (1, 0))), 'variances must be positive'),
        (dict(means=((1, 1), (1, 1), (1, math.nan))), 'must be finite'),
        (dict(penalties=(-1,)), 'all but means not negative'),
    ],
)
def test_mistakes_are_named(structure, changes, message):
    with pytest.raises(ValueError, match=message):
        replace(structure, **changes)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda text: text[:50], 'no JSON'),
        (lambda text: '[1]', 'not a structure, which has joints, parts'),
        (lambda text: text.replace('"means"', '"mean"'), 'not a structure, which has joints'),
        (lambda text: json.dumps({**json.loads(text), 'springs': 3}), 'not a structure'),
        (lambda text: json.dumps({**json.loads(text), 'means': 'ab'}), 'not a structure|could not'),
    ],
)
def test_other_json_is_refused(structure, change, message):
    with pytest.raises(ValueError, match=message):
        Structure.from_json(change(structure.to_json()))
