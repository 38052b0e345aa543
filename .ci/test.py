"""Runs the notebooks as tests, as many at a time as there are cores, each in a process of its own.

    .venv/bin/python .ci/test.py                    all of them
    .venv/bin/python .ci/test.py 00_data 12_kaggle  some

The long ones are at the end of the alphabet, so there it begins. A notebook fails if a cell does, or if its process takes more than 2 GB.
The last lines: which checks could not be made on this machine, and how many notebooks passed.
"""
import os, sys
from pathlib import Path
root = Path(__file__).resolve().parent.parent
os.environ |= {f'{k}_NUM_THREADS': '1' for k in ('OMP', 'MKL', 'OPENBLAS', 'NUMEXPR')} # read when NumPy is imported
os.environ['LOKY_MAX_CPU_COUNT'] = '1' # notebooks share the cores already, so a stage takes one unless a lesson asks for more
os.environ |= dict(IN_TEST='1', HF_HUB_OFFLINE='1', HF_HOME=str(root/'.ci/work/none')) # no network, and nothing that was fetched before
import atexit, gc, inspect, resource, shutil, tempfile, time, warnings
from multiprocessing import get_context
from multiprocessing.connection import wait
with warnings.catch_warnings(action='ignore'): # imported here once, not once a notebook
    import cv2, fastai.vision.all, fastcore.test, matplotlib.pyplot, pandas, pyarrow, skimage.segmentation, sklearn.metrics, timm, torch
    from nbdev.test import test_nb

most = 2.0 # GB that the process of one notebook may take

def test_fail(f, msg='', contains='', exc=Exception, args=None, kwargs=None):
    "What fastcore 2 has under this name; that of 1.7, the oldest, does not know `exc`."
    try: f(*(args or []), **(kwargs or {}))
    except exc as e: assert contains in str(e), f'{contains!r} is not in {str(e)!r}'
    else: raise AssertionError(f'expected {exc.__name__}, but nothing was raised. {msg}')

if 'exc' not in inspect.signature(fastcore.test.test_fail).parameters: fastcore.test.test_fail = test_fail

def run(name, folder, out):
    "One notebook, in a process of its own; what it leaves in `folder` goes away with that."
    os.environ['TMPDIR'] = tempfile.tempdir = folder
    start = time.time()
    passed, _ = test_nb(root/'nbs'/f'{name}.ipynb', basepath=root)
    gigabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss/(2**30 if sys.platform == 'darwin' else 2**20)
    if gigabytes > most: print(f'{name} took {gigabytes:.1f} GB, more than {most:g}', file=sys.stderr, flush=True)
    skipped = getattr(sys.modules.get('lessons'), 'skipped', [])
    out.send((passed and gigabytes <= most, time.time() - start, gigabytes, skipped))
    atexit._run_exitfuncs() # multiprocessing ends its processes without

def begin(name, folder, context):
    "A process that runs a notebook: where its result will come from -> the rest."
    result, out = context.Pipe(duplex=False)
    folder.mkdir()
    process = context.Process(target=run, args=(name, str(folder), out))
    process.start()
    out.close()
    return result, (name, folder, process)

def end(result, name, folder, process):
    "The result of a process that is done, or died."
    try: passed, seconds, gigabytes, skipped = result.recv()
    except EOFError: passed, seconds, gigabytes, skipped = False, 0, 0, []
    process.join(20) # what it started may need a moment to end
    if process.is_alive(): process.kill()
    shutil.rmtree(folder, ignore_errors=True)
    print(f'{"passed" if passed else "FAILED"} {name} in {seconds:.0f} s, {gigabytes:.1f} GB', flush=True)
    return passed, [f'{name}: {check} ({why})' for check, why in skipped]

def quick_disk():
    "Memory, where there is a disk of it with room and for programs too; else `None`, for the usual place of temporary files."
    disk = Path('/dev/shm')
    return disk if disk.is_dir() and shutil.disk_usage(disk).free > 4*2**30 and not os.statvfs(disk).f_flag & os.ST_NOEXEC else None

def tested(todo, folder):
    "Run notebooks, the last first: whether each passed, and what was skipped."
    context, running, passed, skipped = get_context('fork'), {}, [], []
    while todo or running:
        while todo and len(running) < min(os.cpu_count(), 8): running |= [begin(todo[-1], folder/todo.pop(), context)]
        for result in wait(list(running)):
            ok, more = end(result, *running.pop(result))
            passed.append(ok)
            skipped += more
    return passed, skipped

def main(names):
    there = sorted(p.stem for p in (root/'nbs').glob('*.ipynb'))
    if unknown := {*names} - {*there}: sys.exit(f'{", ".join(unknown)}: no such notebook in nbs/')
    gc.freeze() # what was imported is not looked at again and stays shared
    folder = Path(tempfile.mkdtemp(dir=quick_disk()))
    try: passed, skipped = tested(sorted({*names}) or there, folder)
    finally: shutil.rmtree(folder, ignore_errors=True)
    print(f'\nnot checked on this machine: {len(skipped)}', *sorted(skipped), sep='\n- ')
    print(f'{sum(passed)} passed, {len(passed) - sum(passed)} failed')
    sys.exit(not all(passed))

if __name__ == '__main__': main([Path(a).stem for a in sys.argv[1:]])
