"""The site of the guides: `python -m sphinx -W --keep-going -b html docs build/docs`, from the checkout's root."""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parent / "_ext")]

project = "posestream"
author = "the authors of posestream"
project_copyright = author
extensions = ["myst_parser", "sphinx_copybutton", "generated_reference", "pages_from_outside"]
exclude_patterns = ["_ext"]
templates_path: list[str] = []

myst_heading_anchors = 3
highlight_language = "none"
nitpicky = True
smartquotes_action = "q"  # dashes belong to options
linkcheck_timeout = 20
linkcheck_retries = 2

html_theme = "furo"
html_title = "posestream"
html_static_path = ["_static"]
html_css_files = ["tables.css"]
html_show_copyright = False
html_show_sphinx = False
html_copy_source = False
html_theme_options = {"navigation_with_keys": True}
copybutton_selector = "div.highlight-bash pre, div.highlight-python pre, div.highlight-json pre"
copybutton_prompt_text = ">>> "
copybutton_only_copy_prompt_lines = True
