"""Notebooks -> website, and nbs/index.ipynb -> README.md.

    python docs/build.py readme     writes README.md (and the pictures it shows, in docs/images)
    python docs/build.py site       writes docs/_build/html; a warning is an error

Nothing is executed: pages show the outputs that are saved in the notebooks. An exported cell becomes the
documentation of what it defines (signature, explanation, table of parameters, link to the source), its code folded.
"""
import argparse, ast, base64, inspect, json, re, shutil, subprocess, sys, tomllib
from configparser import ConfigParser
from fnmatch import fnmatch
from html import unescape
from importlib import import_module
from io import BytesIO
from pathlib import Path
from fastcore.docments import docments
from nbdev.config import get_config
from PIL import Image

docs = Path(__file__).resolve().parent
root = docs.parent
sys.path.insert(0, str(root))
from hpa_cellcls import cli
from hpa_cellcls.options import allowed, comments_of, declared, parser_of
nbs, pages, images = root/'nbs', docs/'_build'/'pages', docs/'images'
repo = get_config(root).git_url

def notebooks(): return sorted(p for p in nbs.glob('*.ipynb') if p.stem != 'index')
def page(path): return re.sub(r'^[A-Z]?\d+[a-z]?_', '', path.stem)
def source(cell): return ''.join(cell['source'])
def directives(code):
    lines = [line[2:].split() for line in code.splitlines() if line.startswith('#|')]
    return {words[0]: words[1:] for words in lines if words}
def bare(code): return '\n'.join(line for line in code.splitlines() if not line.startswith(('#|', '%'))).strip()
def markdown(text): return dict(cell_type='markdown', metadata={}, source=text)
def code_cell(code, outputs=(), *tags, alt='', **image):
    about = dict(mystnb=dict(image=dict(alt=alt, **image))) if alt else {}
    return dict(cell_type='code', metadata=dict(tags=list(tags)) | about, source=code, outputs=list(outputs), execution_count=None)
def module_of(nb): return next((d['default_exp'][0] for d in map(directives, map(source, nb['cells'])) if 'default_exp' in d), None)

# Links: `name` in prose leads to where the name is explained, a command to its options, a notebook's name to its page.

def defined(code):
    "Public functions and classes of a cell, patched methods as Class.method."
    for node in ast.parse(bare(code)).body:
        if not isinstance(node, (ast.FunctionDef, ast.ClassDef)) or node.name.startswith('_'): continue
        patched = any(ast.unparse(d).split('(')[0] == 'patch' for d in node.decorator_list)
        yield f'{node.args.args[0].annotation.id}.{node.name}' if patched else node.name

def private(code):
    "Does a cell set nothing that readers should know by name?"
    targets = [t.id for n in ast.parse(bare(code)).body if isinstance(n, ast.Assign) for t in n.targets if isinstance(t, ast.Name)]
    return all(t.startswith('_') for t in targets)

def anchor(module, name): return f'{module}-{"class-"*name[0].isupper()}{name}'.replace('.', '-').replace('_', '-').lower()

def symbols():
    "name -> (module, name) for everything exported; a name that two modules export leads nowhere."
    out = {}
    for path in notebooks():
        nb = json.loads(path.read_text(encoding='utf-8'))
        names = [n for c in nb['cells'] if 'export' in directives(source(c)) for n in defined(source(c))]
        for n in names: out[n] = None if n in out else (module_of(nb), n)
    return {n: v for n,v in out.items() if v}

typed = {*cli.commands, *(f'run {name}' for name in cli.systems), *(f'kaggle {name}' for name in cli.kaggle)}
def command_anchor(name): return f'command-{name.replace(" ", "-").lower()}'

def linked(text, known):
    "Prose with its links made; code blocks stay as they are."
    def link(m): return f'[`{m[1]}`](#{anchor(*known[m[1]])})' if m[1] in known else m[0]
    def link_command(m):
        words = m[1].split()
        names = [name for name in (' '.join(words[:2]), words[0]) if name in typed]
        return f'[{m[0]}](#{command_anchor(names[0])})' if names else m[0]
    parts = re.split(r'(```.*?```)', text, flags=re.S)
    for i in range(0, len(parts), 2):
        parts[i] = re.sub(r'(?<!\[)`([A-Za-z_][\w.]*)`(?!\])', link, parts[i])
        parts[i] = re.sub(r'(?<!\[)`hpa_cellcls (\w[^`]*)`(?!\])', link_command, parts[i])
        parts[i] = re.sub(r'\]\((\w+)\.ipynb(#[\w-]+)?\)', lambda m: f']({page(Path(m[1]))}.ipynb{m[2] or ""})', parts[i])
    return ''.join(parts)

# The glossary: the first use of each of its words on a page leads there.

glossary = nbs/'R1_glossary.ipynb'
fixed = r'(```.*?```|^#.*?$|^\([\w-]+\)=$|`[^`]*`|!?\[[^\]]*\]\([^)]*\)|<[^>]*>|https?://\S+)' # parts of prose that stay as they are

def terms():
    "Place on the page -> pattern that finds the word, also its plural and its short forms."
    headings = re.findall(r'^### (.+)$', '\n'.join(source(c) for c in json.loads(glossary.read_text(encoding='utf-8'))['cells']), re.M)
    out = {}
    for heading in headings:
        words = [w if w[1:].islower() else f'(?-i:{w})' for w in re.split(r' ?[(),] ?', heading) if w]
        out[re.sub(r'[^\w -]', '', heading).lower().replace(' ', '-')] = re.compile(rf'\b(?:{"|".join(words)})s?\b', re.I)
    return out

def explained_words(text, missing):
    "Link the first use of words in `missing`, which becomes shorter; longer words go first, so that parts of them stay."
    parts = re.split(fixed, text, flags=re.S | re.M)
    for place in sorted(missing, key=len, reverse=True):
        for i in range(0, len(parts), 2):
            found = missing[place].search(parts[i])
            if not found: continue
            link = f'[{found[0]}](glossary.ipynb#{place}){{.term}}'
            parts[i:i + 1] = [parts[i][:found.start()], link, parts[i][found.end():]]
            del missing[place]
            break
    return ''.join(parts)

# What is shown of a cell's outputs.

def alternative(code, prose):
    "What a picture shows, for those who do not see it: the cell's `#| fig-alt:`, or the sentence that leads to it."
    given = directives(code).get('fig-alt:')
    if given: return ' '.join(given)
    plain = re.sub(r'\[([^\]]*)\]\([^)]*\)', r'\1', re.sub(r'[`*]', '', prose))
    heading = (re.findall(r'^#+ (.+)', plain, re.M) or [''])[-1]
    paragraphs = [' '.join(p.split()) for p in plain.split('\n\n') if not p.startswith(('#', '|', '```', '>'))]
    sentence = re.split(r'(?<=[.:?]) ', paragraphs[-1])[0] if paragraphs else ''
    return sentence if len(sentence) > 40 else ': '.join(filter(None, (heading, sentence)))

def with_heading(text, before):
    "Prose, after the heading that it stands under."
    return text if re.search('^#', text, re.M) else '\n\n'.join(re.findall('^#.*', before, re.M)[-1:] + [text])

def written(output):
    "Prose that a cell has displayed; else an empty text."
    return ''.join(output.get('data', {}).get('text/markdown', ''))

# What an exported cell becomes.

def shown_type(anno):
    "A type, and what is allowed of it."
    if anno is inspect.Parameter.empty: return ''
    kind = declared(anno)[0]
    if kind is not None and kind is not anno: return f'`{kind.__name__}`' + f': {cell_text(allowed(anno))}'*bool(allowed(anno))
    name = getattr(anno, '__name__', str(anno)) if isinstance(anno, type) else str(anno)
    return f'`{name.replace("pathlib._local.", "").replace("pathlib.", "")}`'.replace('|', '\\|')

def cell_text(text): return str(text or '').replace('|', '\\|').replace('\n', ' ')

def parameters(function):
    "Table of parameters, from the comments beside them."
    try: comments = comments_of(function)
    except ValueError: return '' # an exception without an `__init__` of its own
    info = docments(function, full=True, eval_str=True)
    rows = []
    for name, p in inspect.signature(function).parameters.items():
        if name == 'self': continue
        default = '' if p.default is inspect.Parameter.empty else f'`{p.default!r}`'.replace('|', '\\|')
        rows.append(f'| `{name}` | {shown_type(p.annotation)} | {default} | {cell_text(comments[name])} |')
    back = info.get('return')
    if back is not None and back.anno not in (inspect.Parameter.empty, None):
        rows.append(f'| **returns** | {shown_type(back.anno)} | | {cell_text(back.docment)} |')
    return '\n'.join(['| | type | default | |', '|---|---|---|---|', *rows]) if rows else ''

def signature(name, thing):
    "How it is called; annotations are left to the table."
    try: sig = inspect.signature(thing)
    except ValueError: return name
    shown = [p.replace(annotation=inspect.Parameter.empty) for p in sig.parameters.values() if p.name != 'self']
    text = ', '.join(map(str, shown))
    if len(name) + len(text) > 95: text = '\n    ' + ',\n    '.join(map(str, shown)) + '\n'
    return f'{"class " if inspect.isclass(thing) else ""}{name}({text})'

def explained(module, name, known):
    "Heading, signature, explanation, parameters and source link of one name."
    mod = import_module(f'hpa_cellcls.{module}')
    thing = mod
    for part in name.split('.'): thing = getattr(thing, part)
    if isinstance(thing, property): thing = thing.fget
    line = inspect.getsourcelines(thing)[1]
    call = thing.__init__ if inspect.isclass(thing) and '__init__' in vars(thing) and not hasattr(thing, '__dataclass_fields__') else thing
    link = f'[source]({repo}/blob/main/hpa_cellcls/{module}.py#L{line})'
    return '\n\n'.join([f'({anchor(module, name)})=\n### {name}', f'```python\n{signature(name, thing)}\n```',
                        f'{linked(inspect.getdoc(thing) or "", known)} {link}', parameters(call)])

def converted(path, known):
    "The page of a notebook."
    nb = json.loads(re.sub(r'/\w+(?:/\w+)*/tmp[a-z0-9_]{8}/', '', path.read_text(encoding='utf-8'))) # temporary folders say nothing
    module, out, prose = module_of(nb), [], ''
    missing = {} if path == glossary else terms()
    for cell in nb['cells']:
        text = source(cell)
        if cell['cell_type'] == 'markdown':
            prose = with_heading(text, prose)
            out.append(markdown(explained_words(linked(text, known), missing)))
            continue
        d = directives(text)
        if 'hide' in d or 'default_exp' in d: continue
        if {'export', 'exporti'} & {*d}:
            names, kinds = [*defined(text)], {type(node) for node in ast.parse(bare(text)).body}
            out += [markdown(explained(module, name, known)) for name in names]
            tags = ['hide-input'] if names or private(text) else []
            if kinds - {ast.Import, ast.ImportFrom}: out.append(code_cell(bare(text), (), *tags))
        else:
            shown = [o for o in cell['outputs'] if not written(o)]
            out.append(code_cell(bare(text), shown, *(['remove-input'] if 'echo:' in d else []), alt=alternative(text, prose)))
            out += [markdown(linked(written(o), known)) for o in cell['outputs'] if written(o)]
    return notebook(with_picture([c for c in out if c['source']]))

def pictures(cell): return [o for o in cell.get('outputs', ()) if any(k.startswith('image/') for k in o.get('data', {}))]

def widest_within(cells):
    "The widest picture inside of outputs that are HTML, as an output of its own, and its text; the first of several."
    shown = [''.join(o.get('data', {}).get('text/html', ())) for cell in cells for o in cell.get('outputs', ())]
    found = re.findall(r'<img src="data:(image/[a-z]+);base64,([^"]+)" alt="([^"]*)"', ''.join(shown))
    if not found: return None, ''
    kind, data, alt = max(found, key=lambda picture: Image.open(BytesIO(base64.b64decode(picture[1]))).width)
    return dict(output_type='display_data', metadata={}, data={kind: data}), unescape(alt)

def with_picture(cells):
    "The first picture of a page stands, smaller, under its title, too, unless it is near already; without one, the widest inside of HTML."
    at = next((i for i, cell in enumerate(cells) if pictures(cell)), None)
    if at is None: picture, alt = widest_within(cells)
    else:
        before = cells[:at]
        if all(cell['cell_type'] == 'markdown' for cell in before) and sum(len(cell['source']) for cell in before) < 1200: return cells
        picture, alt = pictures(cells[at])[0], cells[at]['metadata']['mystnb']['image']['alt']
    if not picture: return cells
    return [cells[0], code_cell('...', [picture], 'remove-input', alt=alt, classes='first'), *cells[1:]]

def notebook(cells):
    return dict(cells=cells, nbformat=4, nbformat_minor=4, metadata=dict(
        kernelspec=dict(name='python3', language='python', display_name='Python 3'), language_info=dict(name='python')))

# Groups, and the page of commands.

def groups():
    "Name of a group -> what it is for, its notebooks in order; every notebook is in one group."
    listed = tomllib.loads((docs/'pages.toml').read_text(encoding='utf-8'))
    out, there, placed = {}, notebooks(), []
    for group, entry in listed.items():
        found = [[p for p in there if fnmatch(p.stem, pattern)] for pattern in entry['notebooks']]
        lost = [name for name, paths in zip(entry['notebooks'], found) if not paths and '*' not in name]
        if lost: sys.exit(f'docs/pages.toml: {group} names {", ".join(lost)}, which nbs does not have; take it out.')
        out[group] = entry['about'], sum(found, [])
        placed += out[group][1]
    for path in there:
        if placed.count(path) != 1: sys.exit(f'docs/pages.toml: {path.stem} is in {placed.count(path)} groups; name it in one.')
    return out

def number(path): return path.stem.split('_')[0]
def title(path): return re.match(r'# (.+)', source(json.loads(path.read_text(encoding='utf-8'))['cells'][0]))[1]

def left_column():
    "A hidden table of contents for each group; pages made here stand first among their kind."
    for group, (_, paths) in groups().items():
        entries = ['Commands <commands>']*(group == 'Reference') + [f'{number(p)} {title(p)} <{page(p)}>' for p in paths]
        yield '\n'.join(['```{toctree}', ':hidden:', f':caption: {group}', '', *entries, '```'])

def purpose(path):
    "What a reader can do after a page, from its second line."
    text = source(json.loads(path.read_text(encoding='utf-8'))['cells'][0])
    found = re.search(r'^> After this page you (.+?)[.]?$', text, re.M)
    if not found: sys.exit(f'nbs/{path.name}: the first cell says no "> After this page you ..."; add it.')
    return found[1].replace('|', '\\|')

def tables():
    "All pages, group by group, for the end of the first page and of README."
    parts = ['## All pages']
    for group, (about, paths) in groups().items():
        rows = [f'| [{number(p)} {title(p)}]({p.name}) | {purpose(p)} |' for p in paths]
        parts += [f'### {group}', about, '\n'.join(['| page | after it you |', '|---|---|', *rows])]
    return '\n\n'.join(parts)

def option_row(action):
    "A line of the table of options."
    names = action.option_strings or [action.metavar]
    value = f' {action.metavar}' if action.option_strings and action.metavar else ''
    spellings = ', '.join(f'`{name}{value}`' for name in names)
    text = cell_text((action.help or '').replace('%%', '%')).replace('*', '\\*')
    return f'| {spellings} | {text} |'

def command_section(name, place):
    "A command as its parser has it: how it is called, and every option."
    module, function = place
    parser = parser_of(getattr(import_module(f'hpa_cellcls.{module}'), function), f'hpa_cellcls {name}')
    rows = [option_row(a) for a in parser._actions if a.help != argparse.SUPPRESS and a.dest != 'help']
    return '\n\n'.join([f'({command_anchor(name)})=\n### {name}', parser.description, f'```sh\n{parser.usage}\n```',
                        '\n'.join(['| option | |', '|---|---|', *rows])])

def commands_page():
    "All commands with all options."
    head = ['# Commands', '> After this page you know every command and every option.',
            'This page is made from the parsers of the commands, so it says what `hpa_cellcls COMMAND --help` prints. '
            'How a command ends, and what its exit status means, is told in [Command line](cli.ipynb).']
    members = {'Systems': {f'run {k}': v for k, v in cli.systems.items()}} | cli.sections
    members |= {'Kaggle': {f'kaggle {k}': v for k, v in cli.kaggle.items()}}
    for section, known in members.items(): head += [f'## {section}', *(command_section(*pair) for pair in known.items())]
    return '\n\n'.join(head)

def site():
    "Convert every notebook, then let Sphinx build; the first warning stops it."
    shutil.rmtree(docs/'_build', ignore_errors=True)
    pages.mkdir(parents=True)
    known = symbols()
    for path in [nbs/'index.ipynb', *notebooks()]:
        (pages/f'{page(path)}.ipynb').write_text(json.dumps(converted(path, known)), encoding='utf-8')
    head, rest = commands_page().split('\n\n## ', 1)
    order = next(filter(pictures, json.loads((pages/'cli.ipynb').read_text(encoding='utf-8'))['cells'])) # in which commands are used
    (pages/'commands.ipynb').write_text(json.dumps(notebook([markdown(head), order, markdown(f'## {rest}')])), encoding='utf-8')
    index = json.loads((pages/'index.ipynb').read_text(encoding='utf-8'))
    index['cells'] += [markdown(linked(tables(), {})), *map(markdown, left_column())]
    (pages/'index.ipynb').write_text(json.dumps(index), encoding='utf-8')
    subprocess.run([sys.executable, '-m', 'sphinx', '-q', '-W', '--keep-going', '-c', docs, pages, docs/'_build'/'html'], check=True)
    files = {page(path): f'nbs/{path.name}' for path in [nbs/'index.ipynb', *notebooks()]} | dict(commands='hpa_cellcls/cli.py')
    for path in (docs/'_build'/'html').glob('*.html'): path.write_text(mended(path.read_text(encoding='utf-8'), files), encoding='utf-8')
    print(f'{len(notebooks()) + 2} pages in {(docs/"_build"/"html").relative_to(root)}')

def mended(text, files):
    """What the theme leaves out: a level for the headings of groups, a place in the order of keys for what scrolls sideways,
    and where the notebook of a page is."""
    text = re.sub(rf'{repo}/blob//(\w+)\.ipynb\?plain=true', lambda m: f'{repo}/blob/main/{files[m[1]]}', text)
    text = text.replace('class="caption" role="heading"', 'class="caption" role="heading" aria-level="2"')
    text = text.replace('class="dataframe"', 'class="dataframe" tabindex="0"')
    def pre(m):
        plain = re.sub(r'<[^>]+>', '', m[1])
        return f'<pre{" tabindex=0"*(max(map(len, plain.splitlines()), default=0) > 36)}>{m[1]}</pre>'
    return re.sub(r'<pre>(.*?)</pre>', pre, text, flags=re.S)

# README

def badges():
    "What is true of the package, as small pictures."
    config = ConfigParser(delimiters=['='], interpolation=None)
    config.read(root/'settings.ini', encoding='utf-8')
    about = config['DEFAULT']
    facts = {f'Licence: {about["license"]}': (f'licence-{about["license"].replace("-", "--")}', 'LICENSE'),
             f'Python {about["min_python"]} or newer': (f'python-{about["min_python"]}+', 'settings.ini')}
    shown = [f'[![{k}](https://img.shields.io/badge/{badge}-blue)]({link})' for k, (badge, link) in facts.items()]
    if (root/'.github/workflows/test.yml').exists():
        shown.insert(0, f'[![Tests]({repo}/actions/workflows/test.yml/badge.svg)]({repo}/actions/workflows/test.yml)')
    return ' '.join(shown)

def for_readme(text): return re.sub(r'\]\((\w+\.ipynb)(#[\w-]+)?\)', r'](nbs/\1)', text)

def readme():
    "README.md from nbs/index.ipynb; saved pictures become files."
    nb = json.loads((nbs/'index.ipynb').read_text(encoding='utf-8'))
    shutil.rmtree(images, ignore_errors=True)
    parts, prose = [], ''
    for cell in nb['cells']:
        text = source(cell)
        if cell['cell_type'] == 'markdown':
            prose = with_heading(text, prose)
            parts.append(for_readme(text))
            if len(parts) == 1: parts.append(badges())
        else:
            d = directives(text)
            if not {'hide', 'echo:'} & {*d}: parts.append(f'```python\n{bare(text)}\n```')
            if 'hide' in d: continue
            parts += filter(None, (picture(o, len(parts), alternative(text, prose)) or for_readme(written(o)) for o in cell['outputs']))
    parts.append(for_readme(tables()))
    (root/'README.md').write_text('\n\n'.join(parts) + '\n', encoding='utf-8')

def picture(output, number, alt):
    "A saved picture as a file that README can show."
    kind = next((k for k in ('image/jpeg', 'image/png') if k in output.get('data', {})), None)
    if not kind: return None
    images.mkdir(exist_ok=True)
    file = images/f'readme_{number}.{kind.split("/")[1]}'
    file.write_bytes(base64.b64decode(''.join(output['data'][kind])))
    return f'![{alt}]({file.relative_to(root).as_posix()})'

if __name__ == '__main__':
    if sys.argv[1:] not in (['readme'], ['site']): sys.exit(__doc__)
    dict(readme=readme, site=site)[sys.argv[1]]()
