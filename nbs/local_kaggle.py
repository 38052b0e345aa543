"""A Kaggle on this machine, for lessons: a server that answers Kaggle's own client, and an imitation of the image that runs kernels.

    home = TemporaryHome()                      # nobody is signed in, and nothing is left behind
    kaggle = LocalKaggle().start()              # from now on Kaggle's client talks to this server
    image = KaggleImage(home).start()           # a Python without this library
    image.run('kernel.ipynb', home.path/'k1')   # k1 plays /kaggle: it has the folders input and working

Run as a script, this file is the process of `KaggleImage` that starts kernels.
"""
import json, multiprocessing, os, re, shutil, socket, subprocess, sys, tempfile, threading, traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import distribution
from pathlib import Path
from zipfile import ZipFile

class TemporaryHome:
    "A temporary folder as home, in an environment without a token for Kaggle; `close` puts everything back."
    def __init__(self):
        self.environment = dict(os.environ)
        self.path = Path(tempfile.mkdtemp())
        tempfile.tempdir = str(self.path)
        for key in self.environment:
            if key.startswith('KAGGLE_'): del os.environ[key]
        os.environ.update(HOME=str(self.path), NO_PROXY='127.0.0.1', no_proxy='127.0.0.1', IN_TEST='1')

    def close(self):
        os.environ.clear()
        os.environ.update(self.environment)
        tempfile.tempdir = None
        shutil.rmtree(self.path)

def repack_wheel(folder: Path, # where the wheel is written
                 name: str, # of an installed package that has Python files only
                ):
    "A wheel of what is installed, for a pip that may not use the internet."
    installed = distribution(name)
    folder.mkdir(exist_ok=True)
    with ZipFile(folder/f'{name.replace("-", "_")}-{installed.version}-py3-none-any.whl', 'w') as wheel:
        for file in installed.files:
            if file.suffix != '.pyc' and file.name not in ('INSTALLER', 'REQUESTED', 'direct_url.json'): wheel.write(file.locate(), file)

# The server. Kaggle's client calls POST /v1/<Service>/<Method>; files come and go by plain GET and PUT.

class LocalKaggle(ThreadingHTTPServer):
    "Kaggle on this machine. Lessons read what it was asked and what it has, and set what goes wrong, in these attributes."
    def __init__(self):
        super().__init__(('127.0.0.1', 0), _Handler)
        self.address = f'http://127.0.0.1:{self.server_port}'
        self.log = [] # (method, what was asked), in the order of the calls
        self.competition = {} # file name -> its bytes
        self.datasets = {} # user/name -> file name -> its bytes
        self.kernels = {} # user/name -> what was pushed
        self.pages = {} # path -> bytes that a GET of it returns
        self.uploads = {} # token of an upload -> file name
        self.status = [dict(status='COMPLETE')] # answers to questions about a kernel, one after another; the last one stays
        self.outputs = {} # file name -> path of the page with that output of a kernel
        self.kernel_log = 'all is well'
        self.push_answer = {} # what is added to the answer to a push
        self.refused = {} # method, or name of an uploaded file -> the HTTP status that refuses it
        self.lost = set() # names of files that are taken and never arrive

    def start(self):
        "Serve, and send Kaggle's client here."
        from kagglesdk import kaggle_env
        kaggle_env._env_to_endpoint[kaggle_env.KaggleEnv.PROD] = self.address
        threading.Thread(target=self.serve_forever, args=(.05,), daemon=True).start()
        return self

    def arrived(self, files):
        "name -> bytes of those uploads that were not lost."
        names = {f['token']: self.uploads[f['token']] for f in files}
        return {name: self.pages[f'/blob/{token}'] for token, name in names.items() if f'/blob/{token}' in self.pages}

    def attach(self, kernel, folder):
        "Put what a pushed kernel reads into `folder/NAME/input`; earlier kernels ran in the same folder. Returns `folder/NAME`."
        asked = self.kernels[kernel]
        root = folder/kernel.split('/')[1]
        files = {}
        for name in asked.get('competitionDataSources', []): files[f'competitions/{name}'] = self.competition
        for name in asked.get('datasetDataSources', []): files[f'datasets/{name}'] = self.datasets[name]
        for place, contents in files.items():
            for name, data in contents.items(): _write(root/'input'/place/name, data)
        for name in asked.get('kernelDataSources', []):
            shutil.copytree(folder/name.split('/')[1]/'working', root/'input'/'notebooks'/name, symlinks=True)
        return root

    def run(self, kernel, folder, image):
        "What Kaggle does with a pushed kernel: attach its sources, run it without internet, keep its outputs."
        root = self.attach(kernel, folder)
        _write(root/'kernel.ipynb', self.kernels[kernel]['text'].encode())
        image.run(root/'kernel.ipynb', root)
        files = [p for p in (root/'working').rglob('*') if p.is_file() and not p.is_symlink()]
        names = {p.relative_to(root/'working').as_posix(): p for p in files}
        self.outputs = {name: f'/{kernel}/{name}' for name in names}
        self.pages |= {f'/{kernel}/{name}': p.read_bytes() for name, p in names.items()}

def _write(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)

def _page(items, asked, size):
    "Some of a list, from where the client is, and the token with which it asks for more."
    start = int(asked.get('pageToken') or 0)
    more = dict(nextPageToken=str(start + size)) if start + size < len(items) else {}
    return items[start:start + size], more

class _Handler(BaseHTTPRequestHandler):
    "Answers one request. The methods with names in capitals are Kaggle's."
    protocol_version = 'HTTP/1.1'
    def log_message(self, *args): pass
    def body(self): return self.rfile.read(int(self.headers.get('Content-Length', 0)))

    def send(self, data, status=200, kind='application/octet-stream', **headers):
        self.send_response(status)
        headers |= dict(Content_Type=kind, Content_Length=len(data))
        for key, value in headers.items(): self.send_header(key.replace('_', '-'), str(value))
        self.end_headers()
        self.wfile.write(data)

    def answer(self, content, status=200): self.send(json.dumps(content).encode(), status, 'application/json')

    def do_GET(self):
        data = self.server.pages.get(self.path)
        if data is None: self.send(b'<!DOCTYPE html><html>404</html>', 404, 'text/html')
        else: self.send(data)

    def do_PUT(self):
        data = self.body()
        token = self.path.rsplit('/', 1)[1]
        name = self.server.uploads[token]
        page = f'/blob/{token}'
        if self.headers.get('Content-Range', '').startswith('bytes */'): # an upload that is resumed asks first what has arrived
            return self.send(b'', 200 if page in self.server.pages else 308)
        if name not in self.server.lost and name not in self.server.refused: self.server.pages[page] = data
        self.send(b'', self.server.refused.get(name, 200))

    def do_POST(self):
        method = self.path.rsplit('/', 1)[1]
        asked = json.loads(self.body() or b'{}')
        self.server.log.append((method, asked))
        status = self.server.refused.get(method)
        if status: self.answer(dict(code=status, message='refused'), status)
        else: getattr(self, method)(asked)

    def ListDataFiles(self, asked):
        names, more = _page(list(self.server.competition), asked, 7)
        self.answer(dict(files=[dict(name=k, totalBytes=len(self.server.competition[k])) for k in names], **more))

    def DownloadDataFile(self, asked):
        path = f'/data/{asked["fileName"]}'
        self.server.pages.setdefault(path, self.server.competition[asked['fileName']])
        self.send(b'', 302, Location=self.server.address + path)

    def StartBlobUpload(self, asked):
        token = f'b{len(self.server.uploads)}'
        self.server.uploads[token] = asked['name']
        self.answer(dict(token=token, createUrl=f'{self.server.address}/upload/{token}'))

    def GetDatasetStatus(self, asked):
        if f'{asked["ownerSlug"]}/{asked["datasetSlug"]}' in self.server.datasets: self.answer(dict(status='READY'))
        else: self.answer(dict(code=404, message='not found'), 404)

    def CreateDataset(self, asked):
        self.server.datasets[f'{asked["ownerSlug"]}/{asked["slug"]}'] = self.server.arrived(asked['files'])
        self.answer(dict(status='ok', ref=asked['slug']))

    def CreateDatasetVersion(self, asked):
        self.server.datasets[f'{asked["ownerSlug"]}/{asked["datasetSlug"]}'] = self.server.arrived(asked['body']['files'])
        self.answer(dict(status='ok'))

    def ListDatasetFiles(self, asked):
        files = self.server.datasets[f'{asked["ownerSlug"]}/{asked["datasetSlug"]}']
        names, more = _page(list(files), asked, 2)
        self.answer(dict(datasetFiles=[dict(name=k, totalBytes=len(files[k])) for k in names], **more))

    def SaveKernel(self, asked):
        slug = asked['slug']
        self.server.kernels[slug] = asked
        self.answer(dict(ref=slug, url=f'https://www.kaggle.com/code/{slug}', versionNumber=1, **self.server.push_answer))

    def GetKernelSessionStatus(self, asked):
        states = self.server.status
        self.answer(states.pop(0) if len(states) > 1 else states[0])

    def ListKernelSessionOutput(self, asked):
        files = [dict(fileName=name, url=self.server.address + path) for name, path in self.server.outputs.items()]
        self.answer(dict(files=files, log=self.server.kernel_log))

# The image. Importing torch and fastai takes longer than most kernels do, so one process imports them, and a fork of it runs each kernel.

class KaggleImage:
    "A Python with what Kaggle's image has: what is installed for `python`, without this library and what else comes as wheels."
    apart = '__editable__|hpa_cellcls|iterstrat|iterative_stratification'

    def __init__(self,
                 home: TemporaryHome, # the virtual environment is made in it
                 python: str=os.environ.get('HPA_CELLCLS_IMAGE', sys.executable), # whose packages it has
                ):
        self.home = home.environment.get('HOME', '')
        self.folder = home.path/'image'
        self.python = self.folder/'bin'/'python'
        self.log = self.folder/'log.txt'
        subprocess.run([python, '-m', 'venv', '--without-pip', self.folder], check=True)
        packages = self.folder/'packages'
        packages.mkdir()
        for path in Path(self.ask('import sysconfig; print(sysconfig.get_path("purelib"))', python)).iterdir():
            if not re.match(self.apart, path.name): (packages/path.name).symlink_to(path)
        (next(self.folder.glob('lib/python*/site-packages'))/'image.pth').write_text(str(packages))
        self.process = None

    def ask(self, code, python=None):
        "What code prints there."
        options = dict(cwd=self.folder, env=self.environment(), capture_output=True, text=True, check=True)
        return subprocess.run([python or self.python, '-c', code], **options).stdout.strip()

    def environment(self):
        "Without what would lead to this library or to an index of packages; the home is that of before `TemporaryHome`."
        kept = {k: v for k, v in os.environ.items() if k not in ('PYTHONPATH', 'PIP_FIND_LINKS', 'VIRTUAL_ENV')}
        return kept | dict(HOME=self.home, OMP_NUM_THREADS='1', MPLBACKEND='agg', PIP_NO_INDEX='1')

    def start(self):
        "The process that runs kernels."
        command = [self.python, '-W', 'ignore', '-P', __file__]
        self.process = subprocess.Popen(command, cwd=self.folder, env=self.environment(), text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=open(self.log, 'w'))
        return self

    def run(self,
            notebook: Path, # the kernel
            root: Path, # its /kaggle, with the folders input and working
           ) -> str: # its variable `out`
        "Run a kernel in a process of its own without internet, and check that it used this library from its wheel."
        print(json.dumps([str(notebook), str(root)]), file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        assert line, self.log.read_text()[-3000:]
        answer = json.loads(line)
        assert 'error' not in answer, answer['error'][-3000:]
        for file in answer['files']: assert Path(file).is_relative_to(self.folder/'lib'), file
        return answer['out']

    def stop(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()

def _closed(*args, **kwargs): raise OSError('this kernel has no internet')

def _run_kernel(notebook, root, sender):
    "In the fork: run the cells of code one after another, and send what became of them."
    from execnb.shell import CaptureShell
    os.environ['HPA_CELLCLS_KAGGLE'] = root
    try:
        shell = CaptureShell()
        for cell in json.loads(Path(notebook).read_text(encoding='utf-8'))['cells']:
            if cell['cell_type'] == 'code': shell.run(cell['source'])
            if shell.exc: raise shell.exc
        import hpa_cellcls, iterstrat
        sender.send(dict(files=[hpa_cellcls.__file__, iterstrat.__file__], out=repr(shell.user_ns.get('out'))))
    except Exception: sender.send(dict(error=traceback.format_exc()))

def _serve():
    "Each line of the input names a notebook and its folder; a line of the output says what became of it."
    answers = os.fdopen(os.dup(1), 'w')
    os.dup2(2, 1) # what kernels print goes into the log
    socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = _closed
    import cv2, execnb.shell, fastai.vision.all, matplotlib.pyplot, pandas, pyarrow, skimage.segmentation, sklearn.metrics, timm
    cv2.setNumThreads(1)
    context = multiprocessing.get_context('fork')
    for line in sys.stdin:
        receiver, sender = context.Pipe(duplex=False)
        child = context.Process(target=_run_kernel, args=(*json.loads(line), sender))
        child.start()
        sender.close()
        try: answer = receiver.recv()
        except EOFError: answer = dict(error=f'the process of {line} died')
        child.join()
        print(json.dumps(answer), file=answers, flush=True)

if __name__ == '__main__': _serve()
