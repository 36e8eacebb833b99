"""The page by Gradio: its wiring through a client, and in a browser that reaches no one else."""

import json
import os
import shutil
import socket
import threading
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip('gradio', reason='needs the extra [app]')
from PIL import Image

from cpm_plugin.apps import page as page_module
from cpm_plugin.apps.drawn_people import draw_scene
from cpm_plugin.apps.page import build_page, make_app
from cpm_plugin.apps.page_server import address_of, listen

MODEL = 'cpm_slim_3s'
BROWSERS = ('chromium', 'chromium-browser', 'google-chrome')


@pytest.fixture(scope='module')
def served(tmp_path_factory):
    """The page's address, its folder, and all addresses that this process asked meanwhile."""
    import uvicorn

    folder, asked = tmp_path_factory.mktemp('app'), []
    with pytest.MonkeyPatch.context() as patch:
        for name in ('GRADIO_ANALYTICS_ENABLED', 'HF_HUB_DISABLE_TELEMETRY', 'GRADIO_TEMP_DIR'):
            patch.setenv(name, os.environ.get(name, ''))  # is put back in the end
        # The search for people takes seconds: here everybody is in the middle.
        patch.setattr('cpm_plugin.apps.page_looks.find_boxes', middle)
        app = make_app(build_page(MODEL, folder))
        connect = socket.socket.connect

        def noting(self, address):
            asked.append(address)
            return connect(self, address)

        patch.setattr(socket.socket, 'connect', noting)
        listening = listen('127.0.0.1')
        server = uvicorn.Server(uvicorn.Config(app, log_level='warning'))
        thread = threading.Thread(target=server.run, kwargs={'sockets': [listening]}, daemon=True)
        thread.start()
        yield address_of(listening), folder, asked
        server.should_exit = server.force_exit = True
        thread.join(timeout=20)
        listening.close()


def middle(image):
    height, width = image.shape[:2]
    return np.array([[width / 8, height / 16, width * 7 / 8, height * 15 / 16]])


@pytest.fixture(scope='module')
def client(served):
    from gradio_client import Client

    return Client(served[0], verbose=False)


@pytest.fixture(scope='module')
def figure(tmp_path_factory):
    path = tmp_path_factory.mktemp('files') / 'figure.png'
    Image.fromarray(draw_scene('waving')[..., ::-1]).save(path)
    return path


@pytest.fixture(scope='module')
def opened(client, figure):
    from gradio_client import handle_file

    return client.predict(handle_file(figure), MODEL, api_name='/by_image')


def test_an_image_is_answered_with_pictures_table_and_file(opened):
    radio, box, note, people, *older, table, download = opened
    assert [choice[0] for choice in radio['choices']] == ['1', 'whole image']
    assert radio['value'] == '1' and box == ''
    assert 'One person found in figure.png. Shown is person 1' in note
    assert Image.open(people).size == (512, 540)
    captions, pictures = older[:5], older[5:]
    assert '>stage 1<' in captions[0] and '>stage 3: ' in captions[4]
    assert [Image.open(picture).size for picture in pictures] == [(384, 384)] * 5
    assert table['headers'] == ['joint', 'x', 'y', 'score'] and len(table['data']) == 14
    file = Path(download['value'] if isinstance(download, dict) else download)
    assert file.name == 'figure.json'
    assert len(json.loads(file.read_text())['people']) == 1


def test_stage_and_joint_change_the_beliefs_alone(client, opened):
    def pictures(stage, joint, name='/by_stage'):
        return [np.asarray(Image.open(one)) for one in client.predict(stage, joint, api_name=name)]

    first, last = pictures(1, 'all joints'), pictures(3, 'all joints')
    assert all(np.abs(one - other.astype(int)).max() > 50 for one, other in zip(first, last))
    ankle = pictures(3, 'left ankle', '/by_joint')
    assert np.abs(ankle[0] - last[0].astype(int)).max() > 50
    np.testing.assert_array_equal(ankle[1], last[1])


def test_a_box_and_the_whole_image_are_other_people(client, opened):
    person, note, *_ = client.predict('64, 32, 448, 508', MODEL, api_name='/by_box')
    assert person is None and 'Shown is the box 64,32,448,508' in note
    box, note, *_ = client.predict('whole image', MODEL, api_name='/by_person')
    assert box == '' and 'Shown is the whole image as one person' in note
    note, *_ = client.predict('cpm_movenet_3s', '1', '', api_name='/by_model')
    assert 'Shown is person 1' in note
    note, people = client.predict(MODEL, None, '1,2', api_name='/by_model')[:2]
    assert 'a box is four numbers' in note and people is None


def test_what_is_no_image_is_told_and_the_pictures_go(client, tmp_path):
    from gradio_client import handle_file

    (tmp_path / 'text.png').write_text('no image')
    found = client.predict(handle_file(tmp_path / 'text.png'), MODEL, api_name='/by_image')
    radio, _, note, people, *older, _, _ = found
    assert radio['choices'] == [] and 'class="note error"' in note
    assert 'text.png cannot be read as an image' in note
    assert people is None and older == [None] * 10
    assert client.predict(2, 'all joints', api_name='/by_stage') == (None, None)
    note, *_ = client.predict(MODEL, None, '', api_name='/by_model')
    assert 'Give an image' in note


def test_nobody_else_is_asked_and_nothing_is_loaded_from_elsewhere(served, opened):
    import urllib.request

    address, folder, asked = served
    hosts = {name[0] for name in asked if isinstance(name, tuple)}
    assert hosts <= {'127.0.0.1', '::1'}
    page = urllib.request.urlopen(address).read().decode()
    assert 'fonts.googleapis' not in page
    config = json.loads(urllib.request.urlopen(f'{address}/config').read())
    assert config['analytics_enabled'] is False and config['run_history'] is False
    assert any(folder.rglob('figure.png'))
    # Gradio writes some beside classes that are derived from its own
    assert not list(Path(page_module.__file__).parent.glob('*.pyi'))


@pytest.fixture
def browser():
    """Chromium, of the system or of Playwright."""
    pytest.importorskip('playwright', reason='needs playwright and Chromium')
    from playwright.sync_api import Error, sync_playwright

    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    with sync_playwright() as playwright:
        try:
            found = playwright.chromium.launch(executable_path=path, args=['--no-sandbox'])
        except Error as error:
            pytest.skip(f'no Chromium to be had: {str(error).splitlines()[0]}')
        yield found
        found.close()


@pytest.mark.slow
@pytest.mark.parametrize('width', [1280, 390])
def test_in_a_browser_the_slider_changes_the_beliefs_and_no_request_leaves(
    width, browser, served, figure
):
    address, outside, errors = served[0], [], []

    def only_here(route):
        if route.request.url.startswith((f'{address}/', 'data:', 'blob:')):
            return route.continue_()
        outside.append(route.request.url)
        return route.abort()

    page = browser.new_page(viewport={'width': width, 'height': 844})
    page.set_default_timeout(120_000)
    page.route('**/*', only_here)
    page.on('pageerror', lambda error: errors.append(str(error)))
    page.goto(address)
    says = 'text => document.querySelector(".note")?.innerText.includes(text)'
    page.wait_for_function(says, arg='waving.png')  # the drawn person that it begins with

    page.locator('input[type=file]').first.set_input_files(figure)
    page.wait_for_function(says, arg='figure.png')
    pictures = page.locator('#beliefs img')
    pictures.wait_for()
    time.sleep(1)  # the pictures of the stage follow those of the person
    before = pictures.evaluate('image => image.src')
    page.locator('input[type=range]').focus()
    page.keyboard.press('ArrowRight')
    changed = 'old => document.querySelector("#beliefs img")?.src !== old'
    page.wait_for_function(changed, arg=before)
    assert page.evaluate('document.documentElement.scrollWidth') == width
    assert (outside, errors) == ([], [])
    page.close()
