"""Is the house in order? Run by .ci/run, and by hand: `python .ci/house.py`.

1. No line of code is longer than 140 characters, in notebooks, library, templates and scripts.
2. No module imports a private name of another.
3. Imports lead only downwards: a module imports from floors below its own, and from what stands before it on its floor, as the
   table in CONTRIBUTING.md has them. Imports inside functions count.
4. CITATION.cff has the version of settings.ini.
5. No word is misspelt that codespell knows, and prose is British. Where codespell is not installed, a line says so.
6. No module or script uses a name that is defined nowhere. Where pyflakes is not installed, a line says so.
"""
import ast, json, re, subprocess, sys, tempfile
from importlib.util import find_spec
from pathlib import Path
root = Path(__file__).resolve().parent.parent
library, longest = root/'hpa_cellcls', 140
ours = 'docment', 'docments', 'wither' # words that are right: of fastcore, and in a name
american = 'center', 'centers', 'license', 'program' # in names of classes, and of files and software

def cells_of(path, kind):
    "Source of the cells of a kind, with their numbers."
    cells = json.loads(path.read_text(encoding='utf-8'))['cells']
    return [(i, ''.join(cell['source'])) for i, cell in enumerate(cells) if cell['cell_type'] == kind]

def code_cells(path): return cells_of(path, 'code')

def long_lines():
    "Lines that are too long."
    for path in sorted((root/'nbs').glob('*.ipynb')):
        for i, code in code_cells(path):
            yield from (f'{path.name}, cell {i}: {line.strip()[:60]} ...' for line in code.splitlines() if len(line) > longest)
    files = [*library.rglob('*.py'), *library.glob('templates/*')]
    for folder in ('.ci', 'nbs', 'docs'): files += (root/folder).glob('*.py')
    for path in sorted(f for f in files if f.name != '_modidx.py'):
        lines = path.read_text(encoding='utf-8').splitlines()
        yield from (f'{path.relative_to(root)}:{n}' for n, line in enumerate(lines, 1) if len(line) > longest)

def floors():
    "Notebooks in the order of the table: each may import those before it, unless they share a place."
    rows = re.findall(r'^\| [\w ]+ \| (`.*) \|$', (root/'CONTRIBUTING.md').read_text(encoding='utf-8'), re.M)
    return [name for row in rows for name in re.findall(r'`(\w+)`', row)]

def modules():
    "Notebook -> the module that it exports."
    out = {}
    for path in (root/'nbs').glob('*.ipynb'):
        names = [re.match(r'#\| default_exp (\w+)', code) for _, code in code_cells(path)]
        out |= {path.stem: match[1] for match in names if match}
    return out

def imports(module):
    "Modules of the library that a module imports, with the names it takes."
    for node in ast.walk(ast.parse((library/f'{module}.py').read_text(encoding='utf-8'))):
        if not isinstance(node, ast.ImportFrom) or not (node.level or (node.module or '').startswith('hpa_cellcls')): continue
        names = [alias.name for alias in node.names]
        other = (node.module or '').removeprefix('hpa_cellcls').strip('.').split('.')[0]
        if other: yield other, names
        else: yield from ((name, []) for name in names)

def wrong_imports():
    "Private names, and imports that lead upwards."
    known, order = modules(), floors()
    for name in sorted(known.keys() - {*order}): yield f'CONTRIBUTING.md: the table of floors lacks {name}'
    place = {known[name]: i for i, name in enumerate(order) if name in known}
    for module in place:
        for other, names in imports(module):
            private = [name for name in names if name.startswith('_') and not name.startswith('__')]
            yield from (f'{module} imports {name}, which is private to {other}' for name in private)
            if place.get(other, -1) >= place[module]: yield f'{module} imports {other}, which stands above it'

def wrong_version():
    "A citation of another version."
    versions = [re.search(pattern, (root/name).read_text(encoding='utf-8'), re.M)[1]
                for name, pattern in {'settings.ini': '^version = (.+)', 'CITATION.cff': '^version: (.+)'}.items()]
    if len({*versions}) > 1: yield f'CITATION.cff: has version {versions[1]}, and settings.ini {versions[0]}'

def texts():
    "What is written by hand: name -> text; of notebooks the prose and the code, without its long literals."
    out = {}
    for path in sorted((root/'nbs').glob('*.ipynb')):
        out[path.stem] = '\n'.join(text for _, text in cells_of(path, 'markdown'))
        out[f'{path.stem}, code'] = '\n'.join(re.sub("'''.*?'''", '', text, flags=re.S) for _, text in code_cells(path))
    files = [*root.glob('*.md'), *(root/'.github').rglob('*.md')]
    for folder in ('.ci', 'nbs', 'docs'): files += (root/folder).glob('*.py')
    return out | {path.name: path.read_text(encoding='utf-8') for path in files}

def misspelt():
    "Words that codespell would write otherwise, and American ones in prose."
    if not find_spec('codespell_lib'): return print('spelling is not checked: codespell is not installed')
    with tempfile.TemporaryDirectory() as folder:
        for name, text in texts().items(): (Path(folder)/name).write_text(text, encoding='utf-8')
        command = [sys.executable, '-m', 'codespell_lib', '--ignore-words-list', ','.join(ours), folder]
        said = subprocess.run(command, capture_output=True, text=True).stdout
    yield from said.replace(folder + '/', '').splitlines()
    import codespell_lib
    pairs = (Path(codespell_lib.__file__).parent/'data/dictionary_en-GB_to_en-US.txt').read_text(encoding='utf-8').splitlines()
    british = {pair.split('->')[1].split(',')[0]: pair.split('->')[0] for pair in pairs}
    for name, text in texts().items():
        if name.endswith(('code', '.py')): continue
        prose = re.sub(r'```.*?```|`[^`]*`|\]\([^)]*\)', '', text, flags=re.S)
        words = {w.lower() for w in re.findall('[A-Za-z]+', prose)} & british.keys() - {*american}
        yield from (f'{name}: {word} ==> {british[word]}' for word in sorted(words))

def unknown_names():
    "Names that pyflakes finds no definition of."
    if not find_spec('pyflakes'): return print('names are not checked: pyflakes is not installed')
    files = [*library.glob('*.py'), *(f for folder in ('.ci', 'nbs', 'docs') for f in (root/folder).glob('*.py'))]
    said = subprocess.run([sys.executable, '-m', 'pyflakes', *files], capture_output=True, text=True).stdout
    yield from (line.removeprefix(f'{root}/') for line in said.splitlines() if 'undefined name' in line and 'unable to detect' not in line)

if __name__ == '__main__':
    complaints = [*long_lines(), *wrong_imports(), *wrong_version(), *misspelt(), *unknown_names()]
    print(*complaints, sep='\n')
    print(f'{len(complaints)} complaints')
    sys.exit(bool(complaints))
