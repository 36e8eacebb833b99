"""Puts configs, tools and the model index into the wheel as ``cpm_plugin/.mim``, where mim looks
for them. Everything else is in setup.cfg."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithMim(build_py):
    def run(self) -> None:
        super().run()
        # setuptools before 64, which mim installs, has no editable_mode
        if getattr(self, 'editable_mode', False):
            return  # they are beside the package
        target = Path(self.build_lib) / 'cpm_plugin' / '.mim'
        shutil.rmtree(target, ignore_errors=True)
        left_out = shutil.ignore_patterns('__pycache__', 'dev')  # tools/dev is for a clone
        for folder in ('configs', 'tools'):
            shutil.copytree(folder, target / folder, ignore=left_out)
        shutil.copy('model-index.yml', target)


setup(cmdclass={'build_py': BuildWithMim})
