"""Open a page in the browser: a pose, the beliefs of every stage, and what came before.

    python tools/app.py
    python tools/app.py --model cpm_slim_3s --port 8000

It prints an address; open it in a browser. Give the page an image: a file, one from the clipboard,
or one from a camera. It finds the people, and shows the pose of one, what each stage believes, what
older models of the body make of stage 1, and the keypoints, also as JSON.

It needs Gradio (pip install gradio), and nothing of OpenMMLab. It works offline, and asks no other
computer anything. Only this computer reaches the page, but for --host 0.0.0.0, with which everybody
in the network does. Ctrl-C ends it, and removes the images given.

Exit codes: 0 when ended; 2 for wrong arguments, an address that cannot be had, or without Gradio.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import tempfile

from cpm_plugin.apps.arguments import check_packaged, packaged_models
from cpm_plugin.apps.page_server import address_of, listen, serve

DEFAULT_MODEL = 'cpm_movenet_3s'


def main(argv: list[str] | None = None) -> int:
    """Run the program; return its exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        '--model',
        default=DEFAULT_MODEL,
        help=f'chosen at first, one of {", ".join(packaged_models())} (default: %(default)s)',
    )
    parser.add_argument(
        '--host', default='127.0.0.1', help='address to listen at (default: %(default)s)'
    )
    parser.add_argument(
        '--port', type=int, help='port to listen at (default: the first free one from 7860)'
    )
    args = parser.parse_args(argv)
    try:
        check_packaged(args.model)
        if args.port is not None and not 1 <= args.port <= 65535:
            raise ValueError(f'--port {args.port}: must be from 1 to 65535')
        if importlib.util.find_spec('gradio') is None:
            raise ValueError(
                'there is no gradio, which draws the page: pip install gradio; in a clone, '
                "pip install -e '.[app]'"
            )
        listening = listen(args.host, args.port)
    except ValueError as error:
        parser.error(str(error))
    print('starting ...', flush=True)
    with tempfile.TemporaryDirectory(prefix='cpm-app-') as folder:
        from cpm_plugin.apps.page import build_page, make_app

        app = make_app(build_page(args.model, folder))
        print(f'{address_of(listening)}    (Ctrl-C ends it)', flush=True)
        serve(app, listening)
    return 0


if __name__ == '__main__':
    sys.exit(main())
