"""Max-marginals as belief maps, which the stock decoder reads."""

import numpy as np
import pytest

from cpm_plugin.core.maps import decode_peaks, ideal_belief_maps
from cpm_plugin.core.structure import Structure, best_pose, structured_maps

LEG = Structure(
    ('hip', 'knee', 'ankle'), (),
    (('hip', 'knee'), ('knee', 'ankle')), ((0, 0.3), (0, 0.3)), ((0.01, 0.01),) * 2,
)  # fmt: skip
LEGS = Structure(
    ('hip', 'left_ankle', 'right_ankle'), (),
    (('hip', 'left_ankle'), ('hip', 'right_ankle')), ((0, 0.5),) * 2, ((0.02, 0.02),) * 2,
    (('left_ankle', 'right_ankle'),), (0.15,), (3.0,),
)  # fmt: skip


def drawn(*points, size=(10, 10)):
    """Belief maps (1, K, h, w) of points in pixels, of Gaussians with a sigma of a cell."""
    return ideal_belief_maps([points], np.ones((1, len(points))), size, sigma=8.0)[None]


def test_a_wrong_peak_is_moved_to_where_the_structure_has_it():
    right = [(35.0, 12.0), (36.0, 36.0), (37.0, 60.0)]
    beliefs = 0.5 * drawn(*right)
    beliefs[0, 2] += 0.6 * drawn((70.0, 10.0))[0, 0]  # higher, and far above the knee
    assert np.linalg.norm(decode_peaks(beliefs)[0][0, 2] - right[2]) > 30
    found = structured_maps(beliefs, LEG)
    positions, scores = decode_peaks(found.maps)
    np.testing.assert_allclose(positions[0], right, atol=1.0)
    # the scores are the beliefs at the cells of the peaks
    rows, columns = np.divmod(found.maps[0].reshape(3, -1).argmax(axis=1), 10)
    np.testing.assert_allclose(scores[0], beliefs[0, [0, 1, 2], rows, columns], rtol=1e-6)
    assert found.converged.all() and not found.iterations.any()


def test_without_weight_only_the_beliefs_count_between_cells_too():
    points = [(35.3, 12.0), (30.0, 41.7), (37.0, 60.0)]
    positions, _ = decode_peaks(structured_maps(drawn(*points), LEG, weight=1e-6).maps)
    np.testing.assert_allclose(positions[0], points, atol=1e-2)


def test_the_best_pose_is_that_of_the_maps():
    beliefs = np.random.default_rng(10).random((3, 3, 8, 8))
    cells, scores = best_pose(beliefs, LEG, weight=0.5)
    positions, _ = decode_peaks(structured_maps(beliefs, LEG, weight=0.5).maps, stride=1)
    np.testing.assert_allclose(cells, positions, atol=1e-5)
    nearest = cells.round().astype(int)
    assert cells.shape == (3, 3, 2) and (np.abs(cells - nearest) <= 0.5).all()
    assert (scores <= np.log(beliefs.max(axis=(2, 3))).sum(axis=1)).all()


def test_left_and_right_ankle_part():
    """Both ankles look alike: one map has the higher peak at the left, and so has the other."""
    both = [drawn((28.0, 60.0))[0, 0], drawn((52.0, 60.0))[0, 0]]
    beliefs = np.stack(
        [drawn((40.0, 20.0))[0, 0], both[0] + 0.8 * both[1], both[0] + 0.9 * both[1]]
    )
    tree = Structure(*(getattr(LEGS, name) for name in ('joints', 'parts', 'springs')),
                     LEGS.means, LEGS.variances)  # fmt: skip
    for structure, apart in ((tree, False), (LEGS, True)):
        found = structured_maps(beliefs[None], structure, weight=0.3)
        (_, left, right), _ = (part[0] for part in decode_peaks(found.maps))
        assert found.converged.all()
        assert (np.linalg.norm(left - right) > 15) == apart  # of 24, as springs pull
    assert left[0] < right[0]  # the one that is surer of the other peak moves
    assert (found.iterations > 0).all()


@pytest.mark.parametrize(
    ('beliefs', 'arguments', 'message'),
    [
        (np.ones((1, 2, 4, 4)), {}, r'the structure has 3 joints and takes \(people, 3, height'),
        (np.ones((3, 4, 4)), {}, r'belief maps of shape \(3, 4, 4\)'),
        (np.full((1, 3, 4, 4), np.nan), {}, 'all beliefs must be finite'),
        (np.ones((1, 3, 4, 4)), dict(weight=0), 'weight 0 must be positive'),
        (np.ones((1, 3, 4, 4)), dict(floor=-1), 'floor -1 must be positive'),
    ],
)
@pytest.mark.parametrize('function', [structured_maps, best_pose])
def test_bad_input_is_named(function, beliefs, arguments, message):
    with pytest.raises(ValueError, match=message):
        function(beliefs, LEG, **arguments)


def test_what_is_no_tree_has_no_exact_pose():
    with pytest.raises(ValueError, match='with repulsions is no tree'):
        best_pose(np.ones((1, 3, 4, 4)), LEGS)
    cycle = Structure(LEG.joints, (), (*LEG.springs, ('hip', 'ankle')), (*LEG.means, (0, 0.6)),
                      (*LEG.variances, (0.1, 0.1)))  # fmt: skip
    with pytest.raises(ValueError, match='a cycle'):
        best_pose(np.ones((1, 3, 4, 4)), cycle)
    assert structured_maps(np.ones((1, 3, 4, 4)), cycle).iterations[0] > 0
