"""The page of ``cpm app``: the answers of ``page_answers`` in a browser, by Gradio."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from ..core.maps.joint_sets import LSP
from ..core.prediction.images import pillow
from .arguments import packaged_models
from .drawn_people import SCENES, draw_scene
from .page_answers import ALL_JOINTS, Answer, answer_of, open_file, stage_pictures
from .page_looks import Picture, spoken

TITLE = 'Convolutional Pose Machines'
_LARGEST_FILE = '50mb'
_STAGES = 3  # of every model in the package
_OLDER = 5  # pictures of ``older_pictures``
# Of pictures that the page draws.
_OUTPUT: dict[str, Any] = {'interactive': False, 'buttons': ['download', 'fullscreen']}
_INTRO = f"""# {TITLE}
Where are the joints of this person? The network answers in stages. Each stage sees the image, and
what the stage before believed."""
_BELIEFS = """## Stage by stage
Bright: a joint is believed here. In `cpm_slim_3s` stage 1 sees small parts alone, and later stages
correct it; in the others it sees nearly everything already."""
_BEFORE = """## What came before
Older models of the body join the beliefs of stage 1 by springs between joints. The last picture is
what the network's own last stage makes of them. *Moved*: joints that are elsewhere than in
stage 1."""
_TABLE = """x and y are pixels of the image. A score is a belief, about 0 to 1, and no probability;
joints below 0.6 are drawn pale. The file has everybody, as `cpm predict` writes it."""
_FOOT = """Models and springs are for academic use only. Images stay on the computer that runs this
page, and are removed when it ends."""
# In the colors of ``Poses.draw``.
_LEGEND = """<div class="legend">The person's <span style="--dot: #ff8000">right</span>
<span style="--dot: #00ff00">left</span> <span style="--dot: #3399ff">middle</span>
<span style="--dot: #8884">pale: doubtful</span></div>"""
# In the head, for Gradio puts its own selectors before those of ``css``. Without a width, a phone
# gets the width of the table.
_HEAD = """<style>
.gradio-container { max-width: 1240px !important; width: 100%; margin: 0 auto !important; }
@media (max-width: 640px) { .gradio-container > .main { padding: 12px !important; } }
</style>"""
_CSS = """
.note { padding: 8px 12px; border-radius: 8px; overflow-wrap: anywhere;
  background: var(--background-fill-secondary); color: var(--body-text-color); }
.note.error { background: #fde8e8; color: #8a1010; font-weight: 600; }
.dark .note.error { background: #5b1414; color: #ffe3e3; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 14px; font-size: 0.9em;
  color: var(--body-text-color); }
.legend span::before { content: ""; display: inline-block; width: 0.8em; height: 0.8em;
  margin-right: 5px; border-radius: 50%; background: var(--dot); border: 1px solid #8888; }
#people img { max-height: 560px; object-fit: contain; }
#older { display: grid; grid-template-columns: repeat(auto-fit, minmax(140px, 1fr));
  align-items: end; }
.html-container { padding: 0 !important; }
.caption { text-align: center; color: var(--body-text-color); }
"""


def build_page(model: str, folder: str | Path) -> Any:
    """Build the page.

    Args:
        model: Name of the model that is chosen at first.
        folder: An empty folder for images and results; remove it in the end.

    Returns:
        Gradio's ``Blocks``.

    Raises:
        ImportError: If Gradio is missing.
    """
    gr = _gradio(folder)
    examples = _write_examples(Path(folder))
    with gr.Blocks(title=TITLE, analytics_enabled=False) as page:
        picture, look = gr.State(), gr.State()
        gr.Markdown(_INTRO)
        with gr.Row():
            with gr.Column(scale=2, min_width=300):
                image = _raw_image(gr)
                gr.Examples(examples, image, label='Drawn people')
                person = gr.Radio([], label='Person')
                with gr.Row():
                    name = gr.Dropdown(packaged_models(), value=model, label='Model', min_width=140)
                    box = gr.Textbox(
                        label='Or a box', placeholder='x1,y1,x2,y2 in pixels', min_width=140
                    )
            with gr.Column(scale=3, min_width=300):
                note = gr.HTML()
                people = gr.Image(label='Pose', elem_id='people', **_OUTPUT)
                gr.HTML(_LEGEND)
        gr.Markdown(_BELIEFS)
        with gr.Row():
            stage = gr.Slider(1, _STAGES, value=1, step=1, label='Stage', buttons=[])
            joints = [ALL_JOINTS, *map(spoken, LSP.names)]
            joint = gr.Dropdown(joints, value=ALL_JOINTS, label='Joint')
        with gr.Row():
            beliefs = gr.Image(
                label='Beliefs of this stage', elem_id='beliefs', min_width=280, **_OUTPUT
            )
            pose = gr.Image(label='The pose they give', min_width=280, **_OUTPUT)
        gr.Markdown(_BEFORE)
        captions, older = [], []
        with gr.Row(elem_id='older'):
            for _ in range(_OLDER):
                with gr.Column(min_width=140):
                    captions.append(gr.HTML())
                    older.append(gr.Image(show_label=False, **_OUTPUT | {'buttons': []}))
        gr.Markdown('## Keypoints')
        headers = ['joint', 'x', 'y', 'score']
        with gr.Row():
            with gr.Column(scale=3, min_width=300):
                table = gr.Dataframe(
                    headers=headers, interactive=False, show_label=False, buttons=[], max_height=600
                )
            with gr.Column(scale=2, min_width=300):
                gr.Markdown(_TABLE)
                download = gr.DownloadButton('Keypoints as JSON', interactive=False)
                gr.Markdown(_FOOT)

        seen = [look, note, people, *captions, *older, table, download]

        def show(picture: Picture | None, answer: Answer) -> list[Any]:
            file = None
            if picture is not None and answer.json:
                file = Path(tempfile.mkdtemp(dir=folder)) / f'{picture.path.stem}.json'
                file.write_text(answer.json)
            labels = [f'<div class="caption">{label}</div>' for label in answer.older]
            missing: list[Any] = [None] * (_OLDER - len(labels))
            return [
                answer.look,
                answer.note,
                answer.people,
                *labels, *missing,
                *answer.older.values(), *missing,
                answer.rows,
                gr.DownloadButton(value=file, interactive=file is not None),
            ]  # fmt: skip

        def look_again(picture: Picture | None, person: str, model: str) -> list[Any]:
            if picture is None:
                return show(None, Answer(open_file(None)[2]))
            return show(picture, answer_of(picture, person, model))

        def by_image(path: str | None, before: Picture | None, model: str) -> Any:
            if before is not None and str(before.path) == path:
                return gr.skip()  # browsers may tell of a new image twice
            opened, choices, wrong = open_file(path)
            first = choices[0] if choices else None
            answer = answer_of(opened, choices[0], model) if opened else Answer(wrong)
            return [opened, gr.Radio(choices, value=first), '', *show(opened, answer)]

        def by_person(person: str, picture: Picture | None, model: str) -> list[Any]:
            return ['', *look_again(picture, person, model)]

        def by_box(box: str, picture: Picture | None, model: str) -> list[Any]:
            return [None, *look_again(picture, box.replace(' ', ''), model)]

        def by_model(
            model: str, person: str | None, box: str, picture: Picture | None
        ) -> list[Any]:
            return look_again(picture, person or box.replace(' ', ''), model)

        draws: dict[str, Any] = {
            'fn': stage_pictures,
            'inputs': [look, stage, joint],
            'outputs': [beliefs, pose],
            'show_progress': 'hidden',
        }
        for event, function, inputs, outputs in (
            (image.change, by_image, [image, picture, name], [picture, person, box]),
            (person.input, by_person, [person, picture, name], [box]),
            (box.submit, by_box, [box, picture, name], [person]),
            (name.input, by_model, [name, person, box, picture], []),
        ):
            looked = event(
                function,
                inputs,
                [*outputs, *seen],
                show_progress_on=people,
                concurrency_id='look',  # one after the other, so that the last one stays
            )
            looked.then(**draws, api_visibility='private')  # of the stage that is chosen by then
        stage.change(**draws, trigger_mode='always_last', api_name='by_stage')
        joint.change(**draws, trigger_mode='always_last', api_name='by_joint')
        page.load(lambda: examples[0], outputs=image, api_visibility='private')
    return page


def make_app(page: Any) -> Any:
    """Make the application that serves a page, without anything that asks other computers.

    Args:
        page: What ``build_page`` gives.

    Returns:
        The ASGI application.
    """
    import gradio as gr
    from fastapi import FastAPI

    system = [gr.themes.Font(name) for name in ('system-ui', 'sans-serif')]
    theme = gr.themes.Default(
        primary_hue='blue', font=system, font_mono=[gr.themes.Font('monospace')]
    )
    return gr.mount_gradio_app(
        FastAPI(docs_url=None, redoc_url=None, openapi_url=None),
        page,
        path='/',
        theme=theme,
        css=_CSS,
        head=_HEAD,
        footer_links=[],
        run_history=False,
        enable_monitoring=False,
        max_file_size=_LARGEST_FILE,
        ssr_mode=False,
        pwa=False,
        mcp_server=False,
    )


def _gradio(folder: str | Path) -> Any:
    """Import Gradio, which then asks nobody, and keeps its files in a folder."""
    os.environ['GRADIO_ANALYTICS_ENABLED'] = 'False'
    os.environ['HF_HUB_DISABLE_TELEMETRY'] = '1'
    os.environ['GRADIO_TEMP_DIR'] = str(folder)
    import gradio

    return gradio


def _raw_image(gr: Any) -> Any:
    """Build an input whose value is the file as the user gave it, also if it is no image."""
    image = gr.Image(
        label='Image',
        sources=['upload', 'clipboard', 'webcam'],
        type='filepath',
        image_mode=None,
        height=300,
        buttons=[],
    )
    # Gradio opens the file here, so that the user would get an error of Pillow. A class of our own
    # would do, but Gradio writes a file beside the module of each.
    image.preprocess = lambda payload: None if payload is None else payload.path
    return image


def _write_examples(folder: Path) -> list[str]:
    """Write the drawn people as files, and return their paths."""
    paths = []
    for name in SCENES:
        path = folder / f'{name}.png'
        pillow().Image.fromarray(draw_scene(name)[..., ::-1]).save(path)
        paths.append(str(path))
    return paths
