"""Structures in the package: whose they are, and that their fit gives them again."""

import pytest

from cpm_plugin.core import LSP
from cpm_plugin.core.structure import BODIES, packaged, packaged_structure


def test_there_is_one_of_every_kind_for_the_joints_of_our_models():
    assert list(packaged.WEIGHTS) == list(BODIES)
    for kind, body in BODIES.items():
        structure, weight = packaged_structure(kind)
        assert structure.joints == LSP.names
        assert structure.springs == body(LSP).springs
        assert structure.exact == (kind != 'non-tree') and weight < 0.2


def test_the_tree_has_the_limbs_of_a_body():
    """People of LSP Extended turn, but more of them are upright, and seen from the front."""
    tree = packaged_structure('tree').structure
    mean = dict(zip(tree.springs, tree.means))
    x, y = mean['neck', 'head_top']
    assert abs(x) < 0.02 and -0.06 < y < -0.03
    across = [mean['neck', f'{side}_shoulder'][0] for side in ('right', 'left')]
    assert across[0] < 0 < across[1]


def test_an_unknown_kind_and_a_broken_file_are_named(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="no structure 'star' in the package; there are: tree, h"):
        packaged_structure('star')
    monkeypatch.setattr(packaged, 'PACKAGED', tmp_path)
    read = packaged_structure.__wrapped__  # without what is kept
    with pytest.raises(ValueError, match=r'structure_tree\.json.*install the package again'):
        read('tree')
    (tmp_path / 'structure_tree.json').write_text('{}')
    with pytest.raises(ValueError, match=r'structure_tree\.json: not a structure'):
        read('tree')


@pytest.mark.slow
@pytest.mark.parametrize('kind', BODIES)
def test_the_fit_to_the_training_images_gives_the_file(kind, repo, shared_data):
    pytest.importorskip('mmengine')
    from cpm_plugin.apps.configs import read_config
    from cpm_plugin.apps.fit_structure import fit_to_config

    folder = repo / 'configs/body_2d_keypoint/topdown_heatmap/lspet'
    config = read_config(folder / 'td-hm_cpm-slim-3s_1xb32-24e_lspet-128x128.py')
    config.train_dataloader.dataset.data_root = f'{shared_data}/lspet/'
    fitted = fit_to_config(config, kind)
    assert fitted.people == 7500
    file = packaged.PACKAGED / f'structure_{kind}.json'
    assert fitted.structure.to_json() == file.read_text()
