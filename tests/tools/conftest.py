"""A small dataset, a config and a checkpoint for the programs."""

from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
(FIGURES,) = REPO.glob('configs/body_2d_keypoint/topdown_heatmap/figures/*.py')


@pytest.fixture(scope='session')
def folder(tmp_path_factory, run_tool):
    """A few figures, the demo's config on them, and a checkpoint of random weights."""
    import torch
    from mmengine.config import Config
    from mmengine.registry import init_default_scope

    import cpm_plugin.mmpose  # noqa: F401

    from mmpose.registry import MODELS

    folder = tmp_path_factory.mktemp('programs')
    made = run_tool('make_figures.py', folder / 'figures', '--train', 4, '--val', 6, '--size', 96)
    assert made.returncode == 0, made.stderr
    config = Config.fromfile(FIGURES)
    for loader in (config.train_dataloader, config.val_dataloader, config.test_dataloader):
        loader.dataset.data_root = f'{folder}/figures/'
        loader.update(num_workers=0, persistent_workers=False)
    config.dump(folder / 'config.py')
    # the same network with the authors' joints, crop and center map
    config.model.data_preprocessor.type = 'CPMDataPreprocessor'
    config.model.backbone.center_map_sigma = 5.0
    config.model.head.update(center_map=True, joints='cpm', output_joints='lsp')
    config.test_dataloader.dataset.pipeline[1:3] = [
        dict(type='GetPersonCenterScale'),
        dict(type='PersonCrop', input_size=(96, 96), center_map_sigma=5.0),
    ]
    config.test_evaluator.thr = 0.35
    config.dump(folder / 'authors.py')
    init_default_scope('mmpose')
    for name in ('config', 'authors'):
        torch.manual_seed(0)
        model = MODELS.build(Config.fromfile(folder / f'{name}.py').model)
        torch.save({'state_dict': model.state_dict(), 'meta': {}}, folder / f'{name}.pth')
    return folder
