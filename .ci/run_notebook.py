"""Runs one notebook of the folder it is called in; `.ci/oldest` calls it, in an environment whose fastcore is older than nbdev 3 allows."""
import inspect, sys, time, traceback
import fastcore.test
from execnb.nbio import read_nb
from execnb.shell import CaptureShell

def test_fail(f, msg='', contains='', exc=Exception, args=None, kwargs=None):
    "What fastcore 2 has under this name; that of 1.7 does not know `exc`."
    try: f(*(args or []), **(kwargs or {}))
    except exc as e: assert contains in str(e), f'{contains!r} is not in {str(e)!r}'
    else: raise AssertionError(f'expected {exc.__name__}, but nothing was raised. {msg}')

if 'exc' not in inspect.signature(fastcore.test.test_fail).parameters: fastcore.test.test_fail = test_fail
start, name = time.time(), sys.argv[1]
try: CaptureShell().run_all(read_nb(name), exc_stop=True)
except BaseException:
    traceback.print_exc()
    sys.exit(f'FAILED {name}')
print(f'passed {name} in {time.time() - start:.0f} s', flush=True)
