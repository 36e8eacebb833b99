# The network of Cao et al. (CVPR 2017) for several people: first layers of VGG-19, 6 stages with
# fields and belief maps. A config that inherits this adds the joints and the decoder.
custom_imports = dict(imports=['cpm_plugin.mmpose'])

model = dict(
    type='BottomupPoseEstimator',
    data_preprocessor=dict(
        # the authors' input: BGR, (v - 128) / 256
        type='CPMDataPreprocessor', mean=[128.] * 3, std=[256.] * 3, bgr_to_rgb=False),
    backbone=dict(type='CPMBackbone', vgg_tail=(512, 512, 256, 128)),
    head=dict(type='CPMPAFHead', in_channels=128, num_stages=6),
    test_cfg=dict(flip_test=True))
