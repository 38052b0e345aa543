"""Is malformed input refused in a sentence, before anything is written? Tries it on every command of the command line.

    python .ci/malformed.py                    # everything
    python .ci/malformed.py --only train-cam   # the cases that have this text in their command line or in what is wrong
    python .ci/malformed.py --dest table.csv   # where the table goes; --jobs 2 halves the time, --list tries none, --times: the slowest

Commands, groups of commands (`run S1`, `kaggle get`) and options are taken from `hpa_cellcls.cli` and from the signatures of the
functions behind it, so a new command or option is tried without a change here; only a new required argument has to be given a value in
`given`. What is wrong for an option follows from its declaration: `Literal[...]`, `Annotated[kind, checks...]` where a check may have
`least`, `most`, `above` and `below` (a range) or `kind` and `checks` (values separated by commas). Where nothing is declared it follows
from the kind of the default and from the option's comment (one with 0 in it allows 0, one with empty, nothing or none allows nothing).

Options: a wrong kind, out of range, empty, an unknown choice, names that are paths, outputs below a file; required arguments left out,
empty or missing; unknown options and options given twice; options that do not go with the model, in `lines`.
Files: each command is run once as it should be; the kernel (inotify) tells which files it opens, and one of each kind is then truncated,
emptied, replaced by something else (noise, a web page, a picture, a sound file of the same format with other content), by a directory, or
made unreadable. Commands are tried on new outputs and, as they were typed to build the workspace, on finished ones.
Folders: each folder into which the command writes is made read-only; the disk (a tmpfs) is full, or nearly.

A case is good if it ends with exit status 2 and one line on stderr that names the option or file (a list of what there is may follow
an empty line), without a traceback or the name of an exception, and, for options, with nothing written. With a damaged file it may also
be exit status 1 with the field named, or 0 if the file was remade, or if nobody could tell (`unknowable`). What cannot be tried here
(another system than Linux, no right to mount) is skipped and said so. No call leaves the machine, and waits (`time.sleep`) are cut short.

The exit status is 1 when any case is bad. `kaggle get`, `publish`, `wheels`, `weights`, `watch`, `demo` and `bench accuracy` need the
network or minutes, so only their options are tried."""
import argparse, csv, ctypes, errno, inspect, io, json, os, re, resource, shutil, signal, struct, sys, tempfile, time, traceback, typing
from collections import Counter
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path

repository = Path(__file__).resolve().parent.parent
place = Path(tempfile.mkdtemp(prefix='malformed-'))
closed = 'http://127.0.0.1:9'
os.environ |= {k: str(place) for k in ('HOME', 'XDG_CACHE_HOME', 'TMPDIR')} | dict(KAGGLE_USERNAME='nobody', KAGGLE_KEY='0'*32)
os.environ |= dict(OMP_NUM_THREADS='1', CUDA_VISIBLE_DEVICES='', MPLBACKEND='agg', COLUMNS='200')
os.environ |= {k: closed for p in ('http', 'https', 'all') for k in (f'{p}_proxy', f'{p}_proxy'.upper())}
for k in ('no_proxy', 'NO_PROXY', 'IN_TEST', 'WORLD_SIZE'): os.environ.pop(k, None)
sys.path.insert(0, str(repository))

# Values of required arguments, by name; a dict for one command goes before.
given = dict(ws='ws', source='ws', folder='ws/data', model='single', predictions='single', dest='new',
             path='submission.csv', truth='ws/data/truth/solution.csv', submission='submission.csv', table='atlas.csv',
             notebook='03_train_single.ipynb', kernel='zebra/quagga', to='csv')
# Options that make a run small, so that one whose bad value is accepted soon ends.
tiny = dict(epochs=1, more=1, try_epochs=1, steps=2, size=64, side=64, batch=16, n_jobs=1, threads=1, timeout=1, tries=1, repeats=1, n=1,
            folds='0', views='identity')
# What single commands need besides.
own = {
    'synth': dict(n_fields=2, size=128), 'index': dict(ws='new', folds=2), 'segment': dict(ws='plain'), 'cut': dict(ws='masks'),
    'pseudolabel': dict(models='single', name='new'), 'ensemble': dict(predictions='single,cam', name='new'),
    'train-cam': dict(name='new', batch=4, scales='1'), 'predict': dict(name='new', views=None), 'submit': dict(dest='new.csv'),
    'report': dict(predictions='single', dest='new/index.html'),
    'review': dict(predictions='single', simulate='ws/data/truth/cells.csv', answers=2),
    'export': dict(dest='new.csv'), 'put': dict(dest='memory://results'), 'bench': dict(what='speed', only='cutting', size=.1),
    'kaggle publish': dict(folder='ws/models/single'), 'kaggle wheels': dict(ws='ws'), 'kaggle weights': dict(archs='resnet18'),
    'kaggle push': dict(dest='new', dry=True),
    'run starter': dict(dest='new', fields=2, test=2, size=256, init=''),
    'run S1': dict(ws='plain', name='new'), 'run S2': dict(ws='plain', name='new', sizes='64', lr=.01, decays='0'),
    'run S3': dict(ws='plain', name='new', archs='small', losses='bce', rates='.001', batches='4', init='', readout='image'),
    'run S4': dict(ws='plain', name='new', batch=4), 'run best': dict(ws='plain', name='new')}
own |= {k: dict(name='new') for k in ('train', 'train-full', 'refine', 'train-fields')}
# An option that counts only together with others; those of `predict` need the kind of model that their comment begins with.
networks, elsewhere, found = dict(segmenter='dpn_unet'), dict(source='pictures', model='ws/models/single'), dict(model='fields,again')
models_of = {'fields': dict(model='fields', views='identity'), 'class maps': dict(model='cam')}
along = {
    ('segment', 'weights'): networks, ('segment', 'scale_factor'): networks, ('predict', 'weights'): networks,
    ('predict', 'scale_factor'): networks, ('predict', 'order'): elsewhere, ('predict', 'ws'): elsewhere,
    ('predict', 'model_weights'): found, ('index', 'order'): dict(folder='pictures'), ('ensemble', 'truth'): dict(weights='found'),
    ('ensemble', 'field_weight'): dict(field_predictions='fields'), ('ensemble', 'field_how'): dict(field_predictions='fields'),
    ('bench', 'systems'): dict(what='accuracy'), ('export', 'embeddings'): dict(to='cytomining')}
along |= {('bench', k): dict(what='real') for k in ('data', 'models')}
along |= {('bench', k): dict(what='accuracy', systems='copy') for k in ('regimes', 'seeds', 'budget', 'device')}
along |= {(s, 'sample'): dict(dest='new.csv') for s in ('run S2', 'run S3', 'run S4')}
along |= {('predict', 'sample'): dict(model='fields', views='identity', dest='new.csv')}
along |= {('predict', k): elsewhere for k in ('channels', 'pattern', 'project', 'pixel_size')}
# Whole lines that are wrong, and the word that the sentence must have.
lines = '''
predict ws single --name=new --readout=crop # readout
predict ws single --name=new --mapping=pooled # mapping
predict ws single --name=new --views=9 # views
predict ws single --name=new --views=identity # views
predict ws fields --name=new --border=.5 # border
predict ws fields --name=new --no-field-context # field_context
predict ws fields --name=new --mapping=pooled # mapping
predict ws fields --name=new --views=9 # views
predict ws fields --name=new --views=zebra # views
predict ws fields --name=new --model-weights=1,2 # model_weights
predict ws cam --name=new --tiles=2 # tiles
predict ws cam --name=new --area # area
predict ws cam --name=new --views=4 # views
predict ws cam --name=new --reduce=max # reduce
predict ws cam --name=new --batch=4 # batch
predict ws single,fields --name=new # kinds
predict ws cam,single --name=new # kinds
predict ws cam,cam --name=new # model
predict ws single --name=new --order=red,green,blue,yellow # order
predict ws single --name=new --ws=new # ws
predict ws single --name=new --pixel-size=.1 # pixel_size
predict ws single --name=new --channels=w1=blue # channels
index pictures --ws=new --order=red --project=max # order
index theirs --ws=new --channels=w9=red # w9
index theirs --ws=new --channels=Cy3=red --masks=pictures # pictures
predict ws single --name=new --diameter=9 --segmenter=dpn_unet # diameter
predict ws single --name=new --weights=pictures # weights
segment plain --weights=pictures # weights
segment plain --segmenter=dpn_unet --diameter=9 # diameter
evaluate ws fields # fields
evaluate ws cam # cam
evaluate ws again # again
evaluate ws single --fold=7 # fold
pseudolabel ws --models=fields --name=new # fields
pseudolabel ws --models=cam --name=new # cam
pseudolabel ws --models=again --name=new # again
pseudolabel ws --models=copied --name=new # copied
pseudolabel ws --models=best --rule=thresholds --name=new # best
refine ws --first=fields --name=new # fields
train ws --name=new --init=fields --epochs=1 # fields
train ws --name=new --epochs=1 --config=absent.yaml # absent
train ws --name=new --epochs=1 --config=pictures # pictures
train ws --name=new --epochs=1 --config=submission.csv # submission
train ws --name=new --fold=0,7 --epochs=1 # fold
train ws --name=new --fold=0,1 --epochs=1 # fold
train ws --name=new --labels=pseudo --refine-labels=.5 --epochs=1 # refine_labels
train-fields ws --name=new --init=single --size=64 --epochs=1 # single
train-fields ws --name=new --fold=0,7 --size=64 --epochs=1 # fold
train-fields ws --name=new --fold=0,1 --size=64 --epochs=1 # fold
train-cam ws --name=new --fold=0,1 --size=64 --epochs=1 # fold
train-cam ws --name=new --size=72 --epochs=1 # size
train-cam ws --name=new --init=single --size=64 --epochs=1 --scales=1 # single
run S4 plain --name=new --field-models=single --size=64 --epochs=1 # single
run S4 plain --name=new --field-models=ws/models/single --size=64 --epochs=1 # field_models
run S3 plain --name=new --archs=small --init= --model-weights=1,2 --folds=0 --size=64 --epochs=1 # model_weights
run S4 plain --name=new --init=ws/models/single --size=64 --epochs=1 # single
run S1 plain --name=new --init=ws/models/fields --epochs=1 # fields
run best plain --name=new --init=ws/models/cam --epochs=1 # cam
run S2 plain --name=new --folds=0,7 --size=64 --sizes=64 --epochs=1 # folds
run S3 plain --name=new --folds=0,7 --archs=small --init= --size=64 --epochs=1 # folds
run best plain --name=new --fold=7 --epochs=1 # fold
run S1 plain --name=new --fold=7 --epochs=1 # fold
run S4 plain --name=new --fold=7 --size=64 --epochs=1 # fold
export ws single zebra # to
export ws single geojson --embeddings # embeddings
export ws single cytomining --embeddings # embeddings
export ws single geojson --dest=pictures # dest
ensemble ws single,cam --name=new --weights=1 # weights
ensemble ws single,cam --name=new --field-predictions=single # single
'''.strip().splitlines()
# What is typed when the command is run as it should be, for its files; None where it cannot be run here.
whole = {'download': dict(dry_run=True)}
whole |= dict.fromkeys(('demo', 'run starter', 'kaggle get', 'kaggle publish', 'kaggle wheels', 'kaggle weights', 'kaggle watch'))
# Text in which any word is right.
free = {'dest', 'json', 'name', 'title', 'address', 'entries', 'ws', 'who'}
# What is written, so it need not be there; `made` are workspaces, and patterns and ids that only the network can tell.
outputs, made = {'dest', 'json'}, {('index', 'ws'), ('predict', 'ws'), ('kaggle publish', 'ws'), ('kaggle wheels', 'ws'),
                                   ('kaggle watch', 'only'), ('kaggle get', 'ids')}
# Further wrong values, by the name of the option, where it is text.
further = dict(
    stop_after=('1.2.3h', '-1h', 'nan'), loss=('focal:gamma=x', 'focal:zebra=1'), losses=('bce;zebra',), rates=('nan',), decays=('0,nan',),
    batches=('0',), seeds=('0,zebra',), classes=('99',), order=('red,green', 'red,red,green,blue'),
    channels=('red,zebra', 'red+', 'a=zebra', 'a=red,a=blue'), pattern=('(', '(?P<id>.+)', '(?P<id>.)(?P<channel>.)(?P<zebra>.)'),
    project=('0', 'min', '-1', '1.5'),
    scales=('1,0', '1,nan'), views=('identity,zebra', '9'), thresholds=('nan', '-1'), weights=('1,zebra', 'nan'),
    model_weights=('1,zebra', 'nan'), weight=('nan', '2'), cam_weight=('nan', '2'), init=(' ', 'zebra.pth'), arch=('../x',),
    folders=('train,zebra',), options=('epochs',), datasets=('zebra/',), kernels=('zebra/',))
# How the workspace is made; each line is tried again later, with its files damaged.
builds = [l.split() for l in '''
synth ws/data --n-fields=8 --size=256 --n-jobs=1
index ws/data --ws=ws --folds=2 --n-jobs=1
segment ws --n-jobs=1
cut ws --side=64 --n-jobs=1
train ws --epochs=1
train ws --name=copied --labels=copied --epochs=1 --fold=
train ws --name=halted --epochs=2 --stop-after=0.01s
pseudolabel ws
refine ws --steps=2
train-fields ws --size=64 --epochs=1 --n-jobs=1
train-fields ws --name=again --channels=red,green,blue,yellow --size=64 --epochs=1 --n-jobs=1
train-cam ws --scales=1 --size=64 --epochs=1 --n-jobs=1
predict ws single --n-jobs=1
predict ws fields --n-jobs=1
predict ws fields --name=cells --readout=field --n-jobs=1
predict ws cam --n-jobs=1
ensemble ws single,cam
submit ws single
evaluate ws single
report ws --predictions=single --n-jobs=1
export ws single csv --n-jobs=1
export ws single geojson --n-jobs=1
'''.strip().splitlines()]
# More ways to call commands, which read more kinds of files.
others = [l.split() for l in '''
index pictures --ws=new --labels=ws/data/train.csv --folds=2 --n-jobs=1
index stacks --ws=new --order=red,green,blue,yellow --folds=2 --n-jobs=1
index theirs --ws=new --channels=Cy3=red --masks=labels --folds=2 --n-jobs=1
download genes.tsv --dry-run
train ws --name=new --labels=pseudo --init=single --epochs=1
predict pictures ws/models/best --ws=new --n-jobs=1
predict ws fields --name=new --readout=none --sample=sample_submission.csv --dest=new.csv
predict ws fields,again --name=new --readout=crop --model-weights=found --n-jobs=1
ensemble ws single,cam --name=new --weights=found --truth=ws/data/truth/cells.csv --field-predictions=fields
evaluate ws single --truth=ws/data/truth/cells.csv
submit ws single --dest=new.csv --sample=sample_submission.csv
validate submission.csv --sample=sample_submission.csv
report ws --predictions=single --truth=true.csv --dest=new/index.html --n-jobs=1
report ws --predictions=single --scores=scores.json --dest=new/index.html --n-jobs=1
'''.strip().splitlines()]
# Seconds of processor time; three times as many on the clock, for what sleeps.
seconds_of = dict(option=10, file=30)

# ---------------------------------------------------------------- commands and their options

@dataclass
class Leaf:
    "A command, or a member of a group of commands."
    words: tuple # as it is typed
    function: callable # what it calls
    def __post_init__(self):
        from hpa_cellcls.options import comments_of
        self.name, self.parameters = ' '.join(self.words), inspect.signature(self.function).parameters
        self.comment = comments_of(self.function)
        self.declared = {k: declaration(p.annotation, p.default) for k, p in self.parameters.items()}
        self.required = [k for k, p in self.parameters.items() if p.default is p.empty]

def declaration(annotation, default=inspect.Parameter.empty):
    "Kind, choices and checks of a parameter."
    if typing.get_origin(annotation) is typing.Annotated:
        kind, choices, checks = declaration(annotation.__origin__, default)
        return kind, choices, (*checks, *annotation.__metadata__)
    if typing.get_origin(annotation) is typing.Literal: return type(typing.get_args(annotation)[0]), typing.get_args(annotation), ()
    if annotation in (int, float, bool, str): return annotation, (), ()
    some = [a for a in typing.get_args(annotation) if a is not type(None)]
    if some: return declaration(some[0], default)
    return type(default) if type(default) in (int, float, bool) else str, (), ()

def leaves(cli):
    "Every command that can be typed, and every member of a group."
    places = {(name,): place for name, place in cli.commands.items()}
    for group, (_, members) in cli.groups.items(): places |= {(group, name): place for name, place in members.items()}
    for words, (module, function) in places.items(): yield Leaf(words, getattr(import_module(f'hpa_cellcls.{module}'), function))

def typed(leaf, change=None, without=()):
    "A command line that is right but for `change`."
    values = {}
    for k, p in leaf.parameters.items():
        if k in leaf.required: values[k] = given.get(k)
        elif k in tiny and not isinstance(p.default, str) and isinstance(tiny[k], int) == (leaf.declared[k][0] is int): values[k] = tiny[k]
        elif k in tiny and leaf.declared[k][0] is str and isinstance(tiny[k], str): values[k] = tiny[k]
    values |= {k: v for k, v in own.get(leaf.name, {}).items() if k in leaf.parameters} | (change or {})
    lacks = [k for k in leaf.required if values[k] is None]
    if lacks: sys.exit(f'{leaf.name}: give its required argument {lacks[0]!r} a value in `given` or `own`.')
    options = {k: v for k, v in values.items() if k not in leaf.required and v is not None}
    options = [f'--{k.replace("_", "-")}' + ('' if v is True else f'={v}') for k, v in options.items()]
    return [*leaf.words, *(str(values[k]) for k in leaf.required if k not in without), *options]

# ---------------------------------------------------------------- cases

@dataclass
class Case:
    "One malformed input."
    command: str # as in the summary
    wrong: str # what is malformed
    args: list # what is typed
    names: tuple # the sentence has one of these words
    kind: str='option' # option or file
    damage: tuple=() # file and how, folder, or space that is left

def outside(check, kind, default):
    "Numbers that a range does not allow."
    step = 1 if kind is int else .5
    bounds = {k: getattr(check, k, None) for k in ('least', 'above', 'most', 'below')}
    wrong = [bounds['least'] - step] if bounds['least'] is not None else []
    if bounds['least'] not in (None, 0, 1): wrong.append(0)
    if bounds['above'] is not None: wrong += [bounds['above'], bounds['above'] - 1]
    if bounds['most'] is not None: wrong += [bounds['most'] + step, 10**9]
    if bounds['below'] is not None: wrong += [bounds['below'], 10**9]
    allowed = lambda v: ((bounds['least'] is None or v >= bounds['least']) and (bounds['above'] is None or v > bounds['above'])
                         and (bounds['most'] is None or v <= bounds['most']) and (bounds['below'] is None or v < bounds['below']))
    return [kind(v) for v in dict.fromkeys(wrong) if v != default and not allowed(v)]

def wrong_numbers(kind, checks, default, comment):
    "Text that is no allowed number."
    yield from ('x', '')
    yield from ('1.5',) if kind is int else ('nan', 'inf')
    ranges = [c for c in checks if any(getattr(c, k, None) is not None for k in ('least', 'most', 'above', 'below'))]
    for c in ranges: yield from (f'{v:g}' if kind is float else str(v) for v in outside(c, kind, default))
    if not checks:
        yield '-1'
        if kind is int and default != 0 and not re.search(r'\b0\b', comment): yield '0'

def wrong_texts(leaf, k, checks, default):
    "Text that is no allowed text."
    marks = [str(getattr(c, '__name__', '')) for d in checks for c in (d, *getattr(d, 'checks', ()))]
    is_name, comment = any('name' in m for m in marks) or not checks and k == 'name' and leaf.words[0] != 'kaggle', leaf.comment[k]
    if is_name: yield from ('../../x', 'a/b', '.', '..')
    if k not in free and (leaf.name, k) not in made: yield 'no-such-thing' if is_name else 'zebra'
    allowed = re.search(r'\b(empty|nothing|none)\b', comment) or any(getattr(c, 'some', True) is False for c in checks)
    if default not in ('', None) and not allowed: yield ''
    lists = [c for c in checks if getattr(c, 'kind', None) in (int, float)]
    if lists or not checks and re.fullmatch(r'-?[\d.]+(,[\d.]+)*', str(default or '')): yield from ('1,zebra', '-1')
    for c in lists:
        yield '1,,2'
        for inner in c.checks: yield from (str(v) for v in outside(inner, c.kind, default))
    if k in outputs or (leaf.name, k) in made and k == 'ws': yield 'submission.csv/below/it'
    yield from further.get(k, ())

def wrong_values(leaf, k):
    "Values that an option must refuse."
    (kind, choices, checks), default = leaf.declared[k], leaf.parameters[k].default
    if kind is bool: return ['zebra']
    if choices: return ['zebra', *['']*('' not in choices and default != '')]
    if kind in (int, float): return [*dict.fromkeys(wrong_numbers(kind, checks, default, leaf.comment[k]))]
    return [v for v in dict.fromkeys(wrong_texts(leaf, k, checks, default)) if v != default]

def option_cases(leaf):
    "What can be typed wrong for a command."
    name, numbers = leaf.name, [k for k in leaf.parameters if k not in leaf.required and leaf.declared[k][0] in (int, float)]
    for k in leaf.required:
        yield Case(name, f'{k} left out', typed(leaf, without=(k,)), (*leaf.required,))
        for v in ['', 'no/such/place'][:1 if k in outputs or (name, k) in made else 2]:
            yield Case(name, f'{k} {v or "empty"}', typed(leaf, {k: v}), (k, *[v]*bool(v)))
        if k in outputs: yield Case(name, f'{k} below a file', typed(leaf, {k: 'submission.csv/below/it'}), (k, 'submission.csv'))
    for k in leaf.parameters:
        if k in leaf.required: continue
        for v in wrong_values(leaf, k):
            kind = re.split('[:,]', leaf.comment[k])[0] if name == 'predict' else ''
            extra = along.get((name, k)) or models_of.get(kind, {})
            text = leaf.declared[k][0] is str and len(v) > 2
            yield Case(name, f'{k} {v or "empty"}', typed(leaf, extra | {k: v}), (k, *[v, v.split('/')[0]]*text))
    yield Case(name, 'an unknown option', [*typed(leaf), '--zebra=1'], ('--zebra',))
    yield Case(name, 'one argument too many', [*typed(leaf), 'quagga'], ('quagga', 'twice'))
    if twice := next((k for k in numbers if k in tiny), next(iter(numbers), None)):
        o = f'--{twice.replace("_", "-")}'
        yield Case(name, f'{twice} twice', [*typed(leaf, {twice: 1}), f'{o}=2'], (twice,))

def cases_of_lines():
    "Options and models that do not go together."
    for line in lines:
        args, _, word = line.partition(' # ')
        args = args.split()
        name = ' '.join(args[:2]) if args[0] == 'run' else args[0]
        yield Case(name, f'{word} does not go with the rest', args, (word,))

def cases_of_names(found):
    "What can be typed wrong instead of a command."
    yield Case('(no command)', 'an unknown command', ['zebra'], ('zebra',))
    yield Case('(no command)', 'a misspelt command', ['trian', 'ws'], ('trian', 'train'))
    yield Case('(no command)', 'an empty command', [''], ('command',))
    for group in dict.fromkeys(l.words[0] for l in found if len(l.words) > 1):
        yield Case(group, 'no member', [group], (group,))
        yield Case(group, 'an unknown member', [group, 'zebra'], ('zebra',))
        yield Case(group, 'an empty member', [group, ''], (group,))

# ---------------------------------------------------------------- damage to files

def png(side=10):
    "A sound picture."
    from PIL import Image
    buffer = io.BytesIO()
    Image.new('L', (side, side), 7).save(buffer, 'png')
    return buffer.getvalue()

def stranger(suffix):
    "A sound file of the same format that holds something else."
    import numpy as np, pandas as pd, pyarrow as pa, safetensors.numpy, tifffile, torch
    b, table = io.BytesIO(), pd.DataFrame(dict(zebra=[1, 2]))
    if suffix in ('.csv', '.tsv'): return b'zebra,quagga\n1,2\n3,4\n'.replace(b',', b',' if suffix == '.csv' else b'\t')
    if suffix in ('.json', '.ipynb'): return b'{"zebra": 1}\n'
    if suffix == '.jsonl': return b'{"zebra": 1}\n'
    if suffix == '.png': return png()
    if suffix == '.tif': tifffile.imwrite(b, np.zeros((10, 10), np.uint16))
    elif suffix == '.parquet': table.to_parquet(b)
    elif suffix == '.npz': np.savez(b, zebra=np.zeros(3))
    elif suffix == '.safetensors': return safetensors.numpy.save(dict(zebra=np.zeros(3, np.float32)))
    elif suffix == '.pt': torch.save(dict(zebra=1), b)
    elif suffix == '.arrow':
        with pa.ipc.new_file(b, pa.Table.from_pandas(table).schema) as w: w.write_table(pa.Table.from_pandas(table))
    return b.getvalue()

def cut_off(data, suffix):
    "The first half; of a table, up to the first letters of a row."
    if suffix not in ('.csv', '.tsv') or data.count(b'\n') < 2: return data[:len(data)//2]
    lines = data.splitlines(keepends=True)
    at = max(1, len(lines)//2)
    return b''.join(lines[:at]) + lines[at][:2]

page = b'<!DOCTYPE html>\n<html><head><title>503</title></head><body>Service, unavailable</body></html>\n'
texts = ('.csv', '.tsv', '.json', '.jsonl', '.ipynb')
hows = ('truncated', 'empty', 'a web page', 'noise', 'of other content', 'a directory', 'unreadable')

def spoil(path, how):
    "Damage a file in one way."
    data, suffix = path.read_bytes(), path.suffix
    if how == 'unreadable': return path.chmod(0)
    if how == 'a directory':
        path.unlink()
        return path.mkdir()
    noise = png() if suffix in texts else bytes((i*i*7 + i*31 + i//256) % 251 for i in range(3000))
    instead = {'truncated': cut_off(data, suffix), 'empty': b'', 'a web page': page, 'noise': noise, 'of other content': stranger(suffix)}
    path.write_bytes(instead[how])

def kind_of(path, home):
    "What files of one kind have in common: a record, a journal, a picture of its folder, or the name."
    path = Path(path)
    if path.name.endswith('.done.jsonl'): return 'journal'
    if path.suffix == '.json' and (home/path).with_suffix('.done.jsonl').exists(): return 'record'
    many = path.suffix in ('.png', '.jpg', '.tif', '.npz', '.parquet') and path.name not in ('history.png', 'training_predictions.parquet')
    if many: return f'{path.parent.name}{path.suffix}'
    return re.sub(r'\d+', '0', path.name)

def file_cases(command, args, reads, writes, known, home, thorough):
    "One file of each kind, damaged in every way if it is the first of the kind, else in some ways, by turns."
    for path in reads:
        kind = kind_of(path, home)
        if command in known.setdefault(kind, []): continue
        known[kind].append(command)
        turn = len(known[kind])
        ways = hows if thorough or turn == 1 else [h for i, h in enumerate(hows) if (i - 3*turn) % 7 < 3]
        stem = re.sub(r'_(red|green|blue|yellow)$', '', Path(path).name.split('.')[0])
        for how in ways:
            named = (Path(path).name, *[stem]*bool(re.search(r'\d{5}', stem)))
            yield Case(command, f'{path} is {how}', args, named, 'file', (path, how))
    for folder, names in writes.items():
        yield Case(command, f'{folder}/ is read-only', args, (folder.strip('.'), *names), 'file', (folder, 'read-only'))
    if writes:
        for left in (0, 2**16): yield Case(command, f'{left} bytes are left on the disk', args, ('space', 'full'), 'file', ('', left))

# ---------------------------------------------------------------- running

libc = ctypes.CDLL(None, use_errno=True)

def obey():
    "In a child of root: let permissions count for it, too."
    if os.geteuid(): return
    head, caps = (ctypes.c_uint32*2)(0x20080522, 0), (ctypes.c_uint32*6)()
    libc.capget(head, caps)
    for i in range(3): caps[i] &= ~0b110
    if libc.capset(head, caps): raise OSError(ctypes.get_errno(), 'capset')

def full_disk(home, left):
    "In a child: `home` on a disk of its own with so many bytes left."
    user, private, uid = 0x10000000 if os.geteuid() else 0, 0x4000 | 0x40000, (os.getuid(), os.getgid())
    if libc.unshare(0x20000 | user): raise OSError(ctypes.get_errno(), 'unshare')
    if user:
        Path('/proc/self/setgroups').write_text('deny')
        for what, i in zip(('uid', 'gid'), uid): Path(f'/proc/self/{what}_map').write_text(f'0 {i} 1')
    libc.mount(b'none', b'/', None, private, None)
    aside = home.with_name('template')
    if libc.mount(b'tmpfs', os.fsencode(home), b'tmpfs', 0, b'size=512m'): raise OSError(ctypes.get_errno(), 'mount')
    shutil.copytree(aside, home, dirs_exist_ok=True)
    os.chdir(home)
    disk = os.statvfs(home)
    with open(home/'filler', 'wb') as f: os.posix_fallocate(f.fileno(), 0, disk.f_bavail*disk.f_frsize - left)

def offline(event, args):
    "An audit hook: no call leaves the machine."
    if event != 'socket.connect' or not isinstance(args[1], tuple) or args[1][0] in ('127.0.0.1', '::1', 'localhost'): return
    raise OSError(errno.ENETUNREACH, 'no network here')

def child(args, home, files, within, limit):
    "Be the command line, and end with its exit status; after so many seconds of processor time the kernel ends it."
    os.setsid()
    resource.setrlimit(resource.RLIMIT_CPU, (limit + 1, limit + 10))
    for to, file in enumerate((os.open(os.devnull, os.O_RDONLY), *files)): os.dup2(file, to)
    sys.stdout, sys.stderr = (open(i, 'w', encoding='utf-8', errors='replace', closefd=False) for i in (1, 2))
    try:
        os.chdir(home)
        os.environ |= dict(HOME=str(home.with_name('user')), TMPDIR=str(home.with_name('user')))
        tempfile.tempdir, status, wait = None, 70, time.sleep
        time.sleep = lambda seconds: wait(min(seconds, .02))
        sys.addaudithook(offline)
        if within: within()
        from hpa_cellcls import cli
        status = cli.main(args) or 0
    except SystemExit as e: status = e.code if isinstance(e.code, int) else bool(e.code)
    except BaseException: traceback.print_exc()
    if isinstance(within, partial): print(*(f'left behind {p.name}' for p in home.rglob('.*.tmp')), sep='\n', file=sys.stderr, end='')
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)

def call(args, home, limit=600, within=None):
    "Exit status (negative for a signal, None if it took too long), stdout and stderr of a command line."
    files, start = [os.memfd_create(n) for n in ('out', 'err')], time.monotonic()
    pid = os.fork()
    if not pid: child(args, home, files, within, limit)
    ended, status = 0, None
    while not ended and time.monotonic() < start + 3*limit:
        ended, code = os.waitpid(pid, os.WNOHANG)
        if not ended: time.sleep(.003)
    if ended: status = os.waitstatus_to_exitcode(code)
    if status == -signal.SIGXCPU: status = None
    try: os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError: pass
    if not ended: os.waitpid(pid, 0)
    said = []
    for f in files:
        with open(f, 'rb') as stream:
            stream.seek(0)
            said.append(stream.read().decode(errors='replace').replace(str(home), '.'))
    return status, *said

class Sandbox:
    "A folder in which a command is tried, and which is restored afterwards."
    def __init__(self, folder, template=None):
        self.home, self.template = folder/'home', folder/'template'
        self.root = len(str(self.home)) + 1
        for d in (folder, folder/'user'): d.mkdir(exist_ok=True)
        if template: shutil.copytree(template, self.template)
        if template: self.fill()
        else: self.home.mkdir()

    def fill(self):
        shutil.copytree(self.template, self.home)
        self.before = self.look()

    def keep(self):
        "What there is now is what a case starts from."
        shutil.copytree(self.home, self.template)
        self.before = self.look()

    def look(self):
        "Name -> kind and permissions, size and time of all that is there."
        out, todo = {}, [self.home]
        while todo:
            for e in os.scandir(todo.pop()):
                s, is_dir = e.stat(follow_symlinks=False), e.is_dir(follow_symlinks=False)
                out[e.path[self.root:]] = (s.st_mode, *[s.st_size, s.st_mtime_ns]*(not is_dir))
                if is_dir: todo.append(Path(e.path))
        return out | {'.': (self.home.stat().st_mode,)}

    def changed(self, before=None):
        before, now = before or self.before, self.look()
        return sorted(k for k in before.keys() | now.keys() if before.get(k) != now.get(k))

    def restore(self):
        for k in self.changed():
            path, was = self.home/k, self.template/k
            if path.is_dir() and not path.is_symlink() and not was.is_dir(): shutil.rmtree(path)
            elif not path.is_dir(): path.unlink(missing_ok=True)
            if was.is_dir(): path.mkdir(exist_ok=True)
            if was.is_dir(): path.chmod(was.stat().st_mode & 0o7777)
            elif was.exists(): shutil.copy2(was, path)
        if left := self.changed(): raise SystemExit(f'{left}: could not be restored')

def opened(home, work):
    "The files that were opened while `work` was done, and what it returns."
    fd = libc.inotify_init1(os.O_NONBLOCK)
    if fd < 0: raise OSError(ctypes.get_errno(), 'inotify')
    folders = {libc.inotify_add_watch(fd, os.fsencode(d), 0x20): Path(d).relative_to(home) for d, *_ in os.walk(home)}
    result, found = work(), set()
    while True:
        try: data = os.read(fd, 2**20)
        except BlockingIOError: break
        at = 0
        while at < len(data):
            wd, mask, _, size = struct.unpack_from('iIII', data, at)
            name = os.fsdecode(data[at + 16:at + 16 + size].rstrip(b'\0'))
            if name and not mask & 0x40000000 and not name.endswith('.lock'): found.add((folders[wd]/name).as_posix())
            at += 16 + size
    os.close(fd)
    return sorted(found), result

# ---------------------------------------------------------------- judging

def has_word(text, words):
    "Is one of the words in the text? Of an option, with - or _."
    return any(re.search(rf'(?<![\w]){re.escape(w)}(?!\w)'.replace('_', '[-_]').replace(r'\-', '[-_]'), text, re.I) for w in words if w)

def unknowable(case):
    """May a damage pass without a word? Where a text table was cut off nobody can tell; a journal's damaged lines do not count; a disk
    may be just large enough."""
    path, how = case.damage or ('', '')
    if isinstance(how, int): return how > 0
    if case.command == 'index' and how == 'a directory': return True # a folder of images may have folders in it
    if path.endswith('.done.jsonl'): return case.command != 'check' or how in ('empty', 'truncated')
    if case.command == 'put' and not re.search('/masks/|/part-|geojson/s', path): return True # copies what is there, if no record tells
    if case.command == 'predict' and path.startswith('ws/predictions/'): return True # parts of another name, taken if they are whole
    return how == 'truncated' and path.endswith(('.csv', '.tsv')) and Path(path).name not in ('trained_on.csv', 'judged.csv')

def judged(case, status, out, err, changed, mended):
    "What is bad about how a case ended; empty if nothing is."
    lines, bad = [l for l in err.lstrip().split('\n\n')[0].splitlines() if l.strip()], []
    if status is None: bad.append(f'still working after {seconds_of[case.kind]} s')
    elif status < 0: bad.append(f'killed by signal {-status}')
    elif status == 0 and not (case.kind == 'file' and (mended or unknowable(case) or has_word(out, case.names))): bad.append('accepted')
    elif status not in (0, 2) and not (status == 1 and case.kind == 'file'): bad.append(f'status {status}')
    if re.search(r'^Traceback', out + err, re.M): bad.append('traceback')
    if found := re.search(r'\b[A-Z]\w*(Error|Exception|Warning)\b', out + err):
        if 'traceback' not in bad: bad.append(f'shows {found[0]}')
    if status == 2:
        if len(lines) != 1: bad.append(f'{len(lines)} lines instead of a sentence')
        elif len(lines[0]) > 600: bad.append('a sentence of more than 600 characters')
        if re.search(r'\.\w{8}\.tmp\b', err): bad.append('shows a temporary name')
        if lines and not has_word(lines[-1], case.names): bad.append(f'does not name {next(filter(None, case.names))}')
    if status == 1 and case.kind == 'file' and not unknowable(case) and not has_word(out + err, case.names):
        bad.append(f'does not name {case.names[0]}')
    if case.kind == 'option' and changed: bad.append(f'wrote {changed[0]}' + f' and {len(changed) - 1} more'*(len(changed) > 1))
    if any(re.search(r'/\.[^/]*\.tmp$', f'/{c}') for c in changed) or 'left behind' in err: bad.append('left a temporary file')
    return '; '.join(bad)

def tried(case, box):
    "Run a case: exit status, what came out, what is bad."
    within, before = None, None
    if case.damage:
        path, how = case.damage
        if path:
            before_damage = box.home/path
            if how == 'read-only': before_damage.chmod(0o555)
            else: spoil(before_damage, how)
            if how in ('read-only', 'unreadable'): within = obey
        else: within = partial(full_disk, box.home, how)
        before = box.look()
    status, out, err = call(case.args, box.home, seconds_of[case.kind], within)
    changed = box.changed(before)
    mended = bool(case.damage) and case.damage[0] in changed and case.damage[1] != 'read-only'
    bad = judged(case, status, out, err, changed, mended)
    box.restore()
    return status, ' '.join((err if err.strip() else out).split())[-500:], bad

# ---------------------------------------------------------------- the whole

def pictures(home):
    "Fields in other formats: JPEG, TIFF, TIFF with several channels, OME-TIFF; and label images."
    import cv2, numpy as np, tifffile
    for d in ('pictures', 'stacks', 'theirs', 'labels'): (home/d).mkdir()
    for i in range(4):
        files = {c: home/f'ws/data/train/s0_{i:05d}_{c}.png' for c in ('red', 'green', 'blue', 'yellow')}
        planes = {c: cv2.imread(str(f), cv2.IMREAD_GRAYSCALE) for c, f in files.items()}
        for c, x in planes.items(): cv2.imwrite(str(home/f'pictures/s0_{i:05d}_{c}.{"tif" if i % 2 else "jpg"}'), x)
        tifffile.imwrite(home/f'stacks/s0_{i:05d}.tif', np.stack([*planes.values()]), photometric='minisblack')
        about = dict(axes='CYX', Channel=dict(Name=['Cy3', 'GFP', 'DAPI', 'Calreticulin']), PhysicalSizeX=.2)
        tifffile.imwrite(home/f'theirs/s0_{i:05d}.ome.tif', np.stack([*planes.values()]), metadata=about)
        tifffile.imwrite(home/f'labels/s0_{i:05d}_cells.tif', cv2.connectedComponents((planes['blue'] > 60).astype('u1'))[1].astype('u2'))

def build(box):
    "One tiny workspace, and copies of it in earlier states."
    home = box.home
    for args in builds:
        status, out, err = call(args, home)
        if status: sys.exit(f'{" ".join(args)}: the workspace cannot be made; exit status {status}\n{out}{err}')
        if args[0] == 'index': shutil.copytree(home/'ws', home/'plain')
        if args[0] == 'segment': shutil.copytree(home/'ws', home/'masks')
    pictures(home)
    scores = dict(mAP=.5, AP=dict(Cytosol=.5), n_gt=dict(Cytosol=3), curves=dict(Cytosol=[[0, 1], [1, .5]]))
    (home/'scores.json').write_text(json.dumps(scores))
    rows = list(csv.reader(open(home/'submission.csv', newline='')))
    with open(home/'sample_submission.csv', 'w', newline='') as f:
        csv.writer(f).writerows([rows[0], *([*r[:3], '0 1 eNoLCAgIMAEABJkBdQ=='] for r in rows[1:])])
    (home/'true.csv').write_text((home/'ws/data/truth/cells.csv').read_text().replace('ID,cell', 'id,number'))
    address = 'http://images.proteinatlas.org/{0}/{0}_A1_{0}_'
    rows = [f'{address.format(i)},{l},HeLa,False\n' for i, l in enumerate(('Nucleoplasm', 'Cytosol', 'Mitochondria'))]
    (home/'atlas.csv').write_text('Image,Label,Cellline,in_trainset\n' + ''.join(rows))
    (home/'genes.tsv').write_text('Gene\tMain location\nENSG00000000003\tCytosol\nENSG00000000457\tNucleoplasm\n')
    shutil.copy2(repository/'nbs'/'03_train_single.ipynb', home)
    box.keep()

def cases_of_files(found, box, only, notes, thorough):
    "The cases for files, from one right run of each command line."
    lines = [(l.name, typed(l, whole.get(l.name, {}))) for l in found if whole.get(l.name, {}) is not None]
    lines += [(next((l.name for l in found if args[:len(l.words)] == [*l.words]), args[0]), args) for args in [*builds, *others]]
    known = {}
    for name, args in [l for l in lines if only in shown(l[1])] or lines:
        before = {k for k, v in box.before.items() if len(v) > 1}
        try: reads, (status, out, err) = opened(box.home, lambda: call(args, box.home))
        except (OSError, AttributeError) as e: return notes.append(f'damaged files: {e}')
        changed = box.changed()
        writes = {}
        for c in changed:
            grows = c.endswith('.done.jsonl') and (box.template/c).exists() # which a read-only folder allows
            if c == '.' or c.endswith('.lock') or grows: continue
            folder = next(p for p in Path(c).parents if (box.template/p).is_dir())
            writes.setdefault(folder.as_posix(), []).append(Path(c).relative_to(folder).parts[0])
        box.restore()
        if status: yield Case(name, 'nothing: the command itself fails', args, ('(nothing)',), 'file')
        else: yield from file_cases(name, args, [r for r in reads if r in before], writes, known, box.template, thorough)

def possible(box, notes):
    "Which ways of damage can be tried here."
    def attempt(within, check):
        pid = os.fork()
        if not pid:
            try:
                within()
                os._exit(0 if check() else 1)
            except BaseException: os._exit(1)
        return os.waitpid(pid, 0)[1] == 0
    locked = place/'locked'
    locked.write_text('')
    locked.chmod(0)
    unreadable = attempt(obey, lambda: not os.access(locked, os.R_OK, effective_ids=True))
    full = attempt(partial(full_disk, box.home, 0), lambda: True)
    if not unreadable: notes.append('unreadable files and read-only folders: this user may read and write everything')
    if not full: notes.append('a full disk: no right to mount a small one')
    return lambda c: not c.damage or (full if not c.damage[0] else unreadable or c.damage[1] not in ('unreadable', 'read-only'))

def share(cases, n, k, template, show):
    "Every n-th case from the k-th on, in a folder of its own."
    box, out = Sandbox(place/f'slot{k}', template), {}
    for i in range(k, len(cases), n):
        start = time.monotonic()
        out[i] = (*tried(cases[i], box), round(time.monotonic() - start, 2))
        if show and (i//n) % 50 == 49: print(f'  {i + 1} of {len(cases)}', file=sys.stderr, flush=True)
    return out

def all_tried(cases, jobs, template):
    "How every case ended, in order; in so many processes."
    pipes = []
    for k in range(jobs):
        r, w = os.pipe()
        pid = os.fork()
        if not pid:
            try:
                with open(w, 'w') as f: json.dump(share(cases, jobs, k, template, k == 0), f)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        os.close(w)
        pipes.append((pid, r))
    found = {}
    for pid, r in pipes:
        with open(r) as f: text = f.read()
        if os.waitpid(pid, 0)[1]: sys.exit('a process of the trial itself failed')
        found |= {int(i): v for i, v in json.loads(text).items()}
    return [found[i] for i in range(len(cases))]

def shown(args): return ' '.join(a if re.fullmatch(r'[\w./=,:+@-]+', a) else f"'{a}'" for a in ['hpa_cellcls', *args])

def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--only', default='', help='a word of the command line or of what is wrong')
    parser.add_argument('--dest', help='the table as CSV')
    parser.add_argument('--jobs', type=int, default=1, help='processes')
    parser.add_argument('--list', action='store_true', help='show the cases, try none')
    parser.add_argument('--all', action='store_true', help='damage every kind of file in every way for every command')
    parser.add_argument('--times', action='store_true', help='say which cases took longest')
    given_args = parser.parse_args()
    from hpa_cellcls import cli
    import cv2
    cv2.setNumThreads(1)
    found, notes, start = [*leaves(cli)], [], time.monotonic()
    cases = [*cases_of_names(found), *(c for l in found for c in option_cases(l)), *cases_of_lines()]
    box = Sandbox(place/'build')
    build(box)
    print(f'The workspace is made ({time.monotonic() - start:.0f} s).', file=sys.stderr)
    cases += cases_of_files(found, box, given_args.only, notes, given_args.all)
    can = possible(box, notes)
    cases = [c for c in cases if can(c) and given_args.only in f'{shown(c.args)} {c.wrong}']
    if given_args.list: return print(*(f'{shown(c.args)}   # {c.wrong}' for c in cases), sep='\n')
    print(f'{len(cases)} cases ({time.monotonic() - start:.0f} s).', file=sys.stderr)
    ends = all_tried(cases, given_args.jobs, box.template)
    told(cases, ends, notes, given_args)
    print(f'{time.monotonic() - start:.0f} s', file=sys.stderr)
    return any(bad for _, _, bad, _ in ends)

def told(cases, ends, notes, given_args):
    "Print the summary, write the table."
    if given_args.dest:
        with open(given_args.dest, 'w', newline='', encoding='utf-8') as f:
            out = csv.writer(f, lineterminator='\n')
            out.writerow(['command', 'kind', 'wrong', 'line', 'status', 'bad', 'said'])
            for c, (status, said, bad, _) in zip(cases, ends): out.writerow([c.command, c.kind, c.wrong, shown(c.args), status, bad, said])
    total, good = Counter(c.command for c in cases), Counter(c.command for c, e in zip(cases, ends) if not e[2])
    for name in total:
        print(f'{name:24} {total[name]:5} cases {good[name]:5} good')
        for c, (status, said, bad, _) in zip(cases, ends):
            if c.command == name and bad: print(f'    {bad}\n        {c.wrong}: {shown(c.args)}\n        {status}: {said[-240:]}')
    for n in notes: print(f'skipped: {n}')
    print(f'{len(cases)} malformed inputs, {sum(good.values())} good, {len(cases) - sum(good.values())} bad')
    if given_args.times:
        for c, e in sorted(zip(cases, ends), key=lambda x: -x[1][3])[:30]: print(f'{e[3]:7.2f} s {shown(c.args)}   # {c.wrong}')

if __name__ == '__main__':
    owner = os.getpid()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try: sys.exit(main())
    finally:
        if os.getpid() == owner: shutil.rmtree(place, ignore_errors=True)
