"""The pipelines of a dataset and of those inside it."""

from types import SimpleNamespace

from cpm_plugin.mmpose.pipelines import pipelines_of


def dataset(*steps, **inner):
    own = {'pipeline': SimpleNamespace(transforms=list(steps))} if steps else {}
    return SimpleNamespace(**own, **inner)


def test_wrapped_and_joined_datasets():
    one, two = dataset('load'), dataset('load', 'crop')
    joined = dataset('pack', datasets=[one, SimpleNamespace(dataset=two)])
    assert list(pipelines_of(joined)) == [['pack'], ['load'], ['load', 'crop']]


def test_changes_are_in_place():
    one = dataset('load')
    for steps in pipelines_of(SimpleNamespace(dataset=one)):
        steps.append('crop')
    assert one.pipeline.transforms == ['load', 'crop']
