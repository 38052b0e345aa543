"Packaging: hands what settings.ini says to setuptools."
from configparser import ConfigParser
from pathlib import Path
from setuptools import setup

here = Path(__file__).parent
config = ConfigParser(delimiters=['='], interpolation=None)
config.read(here/'settings.ini', encoding='utf-8')
cfg = config['DEFAULT']
def lines(key): return cfg[key].split('\n')[1:]
package = cfg['lib_name']

setup(
    name=package, version=cfg['version'], description=cfg['description'], keywords=cfg['keywords'].split(', '),
    author=cfg['author'], license=cfg['license'], python_requires=f">={cfg['min_python']}", packages=[package],
    package_data={package: ['templates/*', 'tables/*', 'weights/starter/*']}, include_package_data=False,
    long_description=(here/'README.md').read_text(encoding='utf-8'), long_description_content_type='text/markdown',
    install_requires=lines('requirements'),
    extras_require={extra: lines(f'{extra}_requirements') for extra in (
        'cluster', 'dev', 'docs', 'export', 'fast', 'gs', 'hpacellseg', 'kaggle', 'many', 'onnx', 'pretrained', 'readers', 'remote',
        'spatialdata', 'umap')},
    entry_points={'console_scripts': lines('console_scripts'), 'nbdev': [f'{package}={package}._modidx:d']},
)
