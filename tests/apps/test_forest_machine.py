"""Stages of forests: context helps, held-out images are unseen, and the seed decides."""

import sys
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip('sklearn', reason='needs the extra [forest]')

from cpm_plugin.apps.forest_examples import Examples, ForestSettings
from cpm_plugin.apps.forest_machine import ForestMachine

SETTINGS = ForestSettings(
    stages=2, folds=2, trees=20, share=1.0, min_leaf=1, image_radius=0, context_radius=1, peaks=1,
    smoothing=0,
)  # fmt: skip


def scene(count, seed):
    """Images of 5 x 5 cells in which joint 1 shows at two cells, and its own is beside joint 0.

    Channel 0 is the number of the image, which says nothing, 1 shows joint 0, and 2 joint 1.
    """
    rng = np.random.default_rng(seed)
    maps = np.zeros((count, 5, 5, 3), np.float32)
    maps[..., 0] = np.arange(count)[:, None, None]
    labels = np.full((count, 5, 5), 2)
    for image, kind in zip(maps, labels):
        row, other = rng.permutation(5)[:2]
        column, elsewhere = rng.integers(0, 4), rng.integers(0, 5)
        kind[row, column], kind[row, column + 1] = 0, 1
        image[row, column, 1] = image[row, column + 1, 2] = image[other, elsewhere, 2] = 1
    cells = np.tile(np.indices((5, 5)).reshape(2, -1).T, (count, 1))
    images = np.repeat(np.arange(count), 25)
    return maps, Examples(images, cells, labels.ravel()), labels


def right(beliefs, labels, joint):
    """Share of the images in which the largest belief is at the joint."""
    best = beliefs[:, joint].reshape(len(labels), -1).argmax(axis=1)
    return (labels.reshape(len(labels), -1)[np.arange(len(labels)), best] == joint).mean()


@pytest.fixture(scope='module')
def trained():
    maps, examples, _ = scene(60, seed=0)
    return ForestMachine(SETTINGS).fit(maps, examples, np.arange(60), 2)


def test_the_second_stage_tells_by_the_context_what_the_first_cannot(trained):
    maps, _, labels = scene(60, seed=1)
    first, second = trained.predict(maps)
    assert first.shape == second.shape == (60, 3, 5, 5) and first.dtype == np.float32
    np.testing.assert_allclose(first.sum(axis=1), 1, atol=1e-5)
    assert right(first, labels, 0) == right(second, labels, 0) == 1
    assert 0.3 < right(first, labels, 1) < 0.7 and right(second, labels, 1) > 0.95


@pytest.mark.parametrize(('of_features', 'tried'), [(1, 5), (0.4, 2), (0.8, 4), (0, 2)])
@pytest.mark.parametrize(('of_cells', 'taken'), [(1, 150), (0.1, 15)])
def test_trees_take_shares_of_features_and_cells(of_features, tried, of_cells, taken):
    maps, examples, _ = scene(6, seed=0)  # three channels, row and column; 150 cells
    settings = replace(SETTINGS, stages=1, trees=1, max_features=of_features, share=of_cells)
    (forest,) = ForestMachine(settings).fit(maps, examples, np.arange(6), 2).forests
    (tree,) = forest.estimators_
    # 0: the square root of 5. To scikit-learn, a whole number would be a count, no share.
    assert (tree.max_features_, tree.tree_.weighted_n_node_samples[0]) == (tried, taken)


def test_beliefs_are_smoothed(trained):
    maps, _, _ = scene(2, seed=1)
    smooth = ForestMachine(replace(SETTINGS, smoothing=1.0))
    smooth.forests, smooth.joints = trained.forests[:1], 2
    (before, _), (after,) = trained.predict(maps), smooth.predict(maps)
    np.testing.assert_allclose(after.sum(axis=(2, 3)), before.sum(axis=(2, 3)), rtol=1e-5)
    assert (after[:, 0].max(axis=(1, 2)) < 0.5 * before[:, 0].max(axis=(1, 2))).all()


def test_the_seed_decides(trained):
    maps, examples, _ = scene(60, seed=0)
    again = ForestMachine(SETTINGS).fit(maps, examples, np.arange(60), 2)
    other = ForestMachine(replace(SETTINGS, seed=1)).fit(maps, examples, np.arange(60), 2)
    for one, same, different in zip(*(m.predict(maps[:5]) for m in (trained, again, other))):
        np.testing.assert_array_equal(one, same)
        assert (one != different).any()


def test_no_held_out_image_was_seen_by_its_forest(monkeypatch):
    """Two crops of each photograph, one after the other; channel 0 has the number of the crop."""
    maps, examples, _ = scene(12, seed=0)
    groups = np.repeat(np.arange(6), 2)
    seen, held_out = {}, []
    forest, beliefs = ForestMachine._forest, ForestMachine._beliefs

    def spy_forest(self, features, labels, stage):
        made = forest(self, features, labels, stage)
        seen[id(made)] = (made, stage, set(groups[features[:, 0].astype(int)]))
        return made

    def spy_beliefs(self, made, some, before):
        _, stage, photographs = seen[id(made)]
        inside = some[:, 0, 0, 0].astype(int).tolist()
        held_out.extend((stage, crop) for crop in inside)
        assert photographs.isdisjoint(groups[inside]), 'leak'
        assert photographs | set(groups[inside]) == set(range(6))
        return beliefs(self, made, some, before)

    monkeypatch.setattr(ForestMachine, '_forest', spy_forest)
    monkeypatch.setattr(ForestMachine, '_beliefs', spy_beliefs)
    machine = ForestMachine(replace(SETTINGS, stages=3, trees=3)).fit(maps, examples, groups, 2)
    assert sorted(held_out) == [(stage, crop) for stage in (1, 2) for crop in range(12)]
    assert [seen[id(one)][1:] for one in machine.forests] == [(n, set(range(6))) for n in (1, 2, 3)]
    assert len(seen) == 3 + 2 * 2  # the last stage needs no held-out beliefs


def test_held_out_beliefs_know_nothing_of_noise(monkeypatch):
    """Labels are drawn. A forest that had seen an image would know its labels by its number."""
    maps, examples, _ = scene(40, seed=0)
    labels = np.random.default_rng(0).integers(0, 3, len(examples.labels))
    examples = examples._replace(labels=labels)
    kept = []
    features_of = ForestMachine._features_of

    def spy(self, maps, beliefs, examples):
        kept.append(beliefs)
        return features_of(self, maps, beliefs, examples)

    monkeypatch.setattr(ForestMachine, '_features_of', spy)
    machine = ForestMachine(SETTINGS).fit(maps, examples, np.arange(40), 2)
    own = next(machine.predict(maps))  # of the forest that has seen all

    def known(beliefs):
        return (beliefs.argmax(axis=1).ravel() == labels).mean()

    assert kept[0] is None and known(own) > 0.7 and known(kept[1]) < 0.4


def test_a_fold_may_lack_a_joint():
    maps, examples, _ = scene(6, seed=0)
    rare = np.where((examples.labels == 1) & (examples.images > 0), 2, examples.labels)
    machine = ForestMachine(replace(SETTINGS, trees=3))
    machine.fit(maps, examples._replace(labels=rare), np.arange(6), 2)
    assert [beliefs.shape for beliefs in machine.predict(maps)] == [(6, 3, 5, 5)] * 2


def test_what_does_not_fit_is_named():
    maps, examples, _ = scene(4, seed=0)
    machine = ForestMachine(SETTINGS)
    with pytest.raises(ValueError, match='not trained; call fit first'):
        next(machine.predict(maps))
    with pytest.raises(ValueError, match='4 images, 3 groups, and cells of image 3'):
        machine.fit(maps, examples, np.arange(3), 2)
    with pytest.raises(ValueError, match='cells of the images in rising order'):
        machine.fit(maps, Examples(*(part[::-1] for part in examples)), np.arange(4), 2)
    with pytest.raises(ValueError, match=r'the background, 3: \[4, 4, 92, 0\]; each needs some'):
        machine.fit(maps, examples, np.arange(4), 3)
    with pytest.raises(ValueError, match=r'the background, 1: \[4, 4, 92\]'):
        machine.fit(maps, examples, np.arange(4), 1)


def test_without_scikit_learn_the_error_names_the_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, 'sklearn', None)
    monkeypatch.delitem(sys.modules, 'sklearn.ensemble', raising=False)
    with pytest.raises(ValueError, match=r'needs scikit-learn .*pip install scikit-learn'):
        ForestMachine()
