# The paper's input size and belief maps. Stage 1, which sees only a small neighborhood, learns the
# joints of all people in the crop. Later stages learn those of the person in the middle.
_base_ = 'td-hm_cpm-6s_8xb32-210e_coco-384x288.py'

codec = dict(
    type='CPMHeatmap',
    input_size=(368, 368),
    heatmap_size=(46, 46),
    sigma=7.,
    all_people=True)
sized = dict(
    TopdownAffine=dict(input_size=codec['input_size']), GenerateTarget=dict(encoder=codec))
train_pipeline = [dict(step, **sized.get(step['type'], {})) for step in _base_.train_pipeline]
train_pipeline.insert(-2, dict(type='AddNeighbors'))
val_pipeline = [dict(step, **sized.get(step['type'], {})) for step in _base_.val_pipeline]

model = dict(
    backbone=dict(center_map_sigma=21.),
    head=dict(
        center_map=True, target_fields=['heatmaps_all'] + ['heatmaps'] * 5, decoder=codec),
    test_cfg=dict(shift_heatmap=False))
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=val_pipeline))
test_dataloader = val_dataloader
