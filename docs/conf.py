"The site: furo on the pages that build.py made of the notebooks."
import importlib.metadata
from nbdev.config import get_config

_config = get_config('..')
project = _config.title
author = copyright = 'the hpa_cellcls developers'
release = importlib.metadata.version('hpa_cellcls')
extensions = ['myst_nb']
nb_execution_mode = 'off'
nb_merge_streams = True
nb_code_prompt_show = 'The code'
nb_code_prompt_hide = 'The code'
myst_enable_extensions = ['alert', 'attrs_block', 'attrs_inline']
myst_heading_anchors = 3
source_suffix = {'.ipynb': 'myst-nb'}
html_theme = 'furo'
html_title = project
html_static_path = ['_static']
html_css_files = ['site.css']
html_show_sphinx = False
html_theme_options = dict(navigation_with_keys=True, top_of_page_buttons=[],
    footer_icons=[dict(name='GitHub', url=_config.git_url, html='GitHub', **{'class': ''})])
