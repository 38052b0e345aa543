"""Object storage, web server and hub on this machine, for lessons.

    with LocalS3('plates') as store:           # moto's S3, which the standard variables lead to, also in other processes
        store.put(folder, 's3://plates/one')
        index('s3://plates/one', ws)
        store.asked                            # what it was asked: method, and path in the store
    with LocalGS('plates') as store:           # the same for gs://: as much of Google's JSON API as gcsfs asks for
        store.put(folder, 'gs://plates/one')
    with LocalWeb(folder) as web: web.url      # a plain web server, without ranges and ETags
    with LocalHub(folder) as hub: hub.url      # as much of Hugging Face as a download asks for: OWNER/NAME/FILE below the folder
"""
import functools, hashlib, json, logging, os, re, threading, urllib.request
from base64 import b64encode
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

class LocalStore:
    "What both kinds of object storage have here."
    def put(self, folder, url):
        "Copy a folder into a bucket."
        for file in (p for p in sorted(Path(folder).rglob('*')) if p.is_file()):
            self.fs.put_file(str(file), f'{url}/{file.relative_to(folder).as_posix()}')

    def connect(self, kind, **environment):
        "Lead a library, also that of other processes, to the store."
        import fsspec
        self.before = dict(os.environ)
        os.environ.update(environment, NO_PROXY='127.0.0.1')
        fsspec.get_filesystem_class(kind).clear_instance_cache()
        self.fs = fsspec.filesystem(kind, use_listings_cache=False)

    def disconnect(self):
        os.environ.clear()
        os.environ.update(self.before)

class LocalS3(LocalStore, logging.Handler):
    "An S3 on the loopback interface; `close` puts the environment back."
    def __init__(self, *buckets):
        super().__init__()
        self.buckets, self.asked = buckets, []

    def emit(self, record):
        words = record.getMessage().split('"')[1].split()
        self.asked.append((words[0].split('m')[-1], words[1]))

    def __enter__(self):
        from moto.server import ThreadedMotoServer
        self.log = logging.getLogger('werkzeug')
        self.log.handlers, self.log.propagate = [self], False
        self.log.setLevel(logging.INFO)
        self.server = ThreadedMotoServer(ip_address='127.0.0.1', port=0, verbose=False)
        self.server.start()
        host, port = self.server.get_host_and_port()
        self.connect('s3', AWS_ENDPOINT_URL=f'http://{host}:{port}', AWS_ACCESS_KEY_ID='lesson', AWS_SECRET_ACCESS_KEY='lesson',
                     AWS_DEFAULT_REGION='us-east-1', AWS_EC2_METADATA_DISABLED='true')
        for bucket in self.buckets: self.fs.mkdir(bucket)
        return self

    def refuse(self, keys):
        "Refuse all keys from now on, or none."
        url, free = f'{os.environ["AWS_ENDPOINT_URL"]}/moto-api/reset-auth', b'0' if keys else b'inf' # requests that need no rights
        urllib.request.urlopen(urllib.request.Request(url, free, {'Content-Type': 'text/plain'})).close()

    def __exit__(self, *error):
        self.server.stop()
        self.log.handlers = []
        self.disconnect()

class _Requests(BaseHTTPRequestHandler):
    "Answers what gcsfs asks for: listings, objects, parts of them, uploads."
    protocol_version = 'HTTP/1.1'
    def log_message(self, *args): pass

    def do_GET(self):
        store, url = self.server.store, urlsplit(self.path)
        asked = dict(parse_qsl(url.query, keep_blank_values=True))
        body = self.rfile.read(int(self.headers.get('Content-Length') or 0))
        store.asked.append((self.command, self.path))
        bucket, _, name = re.fullmatch(r'.*?/b/([^/]+)(/o)?/?(.*)', url.path).groups()
        if store.refused: return self.answer(403, dict(error=dict(code=403, message='Forbidden')))
        if bucket not in store.objects: return self.answer(404, dict(error=dict(code=404, message='The specified bucket does not exist.')))
        objects, name = store.objects[bucket], unquote(name)
        if self.command in ('POST', 'PUT'): return self.upload(bucket, asked, body)
        if not name: return self.answer(200, store.listing(bucket, asked))
        if name not in objects: return self.answer(404, dict(error=dict(code=404, message=f'No such object: {bucket}/{name}')))
        if self.command == 'DELETE':
            del objects[name]
            return self.answer(204, b'')
        if asked.get('alt') != 'media': return self.answer(200, store.about(bucket, name))
        data = objects[name][0]
        part = re.fullmatch(r'bytes=(\d*)-(\d*)', self.headers.get('Range', ''))
        if not part: return self.answer(200, data)
        first, last = (int(v) if v else None for v in part.groups())
        if first is None: first, last = len(data) - last, None
        last = len(data) - 1 if last is None else min(last, len(data) - 1)
        return self.answer(206, data[first:last + 1], {'Content-Range': f'bytes {first}-{last}/{len(data)}'})
    do_POST = do_PUT = do_DELETE = do_GET

    def upload(self, bucket, asked, body):
        "Take an object whole, with what is said about it; or in parts, which are seen when the last has come."
        store = self.server.store
        if asked['uploadType'] == 'multipart':
            border = b'--' + self.headers['Content-Type'].partition('boundary=')[2].strip('"\'').encode()
            about, data = (re.split(rb'\r?\n\r?\n', part, maxsplit=1)[1] for part in body.split(border)[1:3])
            data = re.sub(rb'\r?\n\Z', b'', data)
        elif 'upload_id' not in asked:
            store.sessions.append([json.loads(body or b'{}'), b''])
            return self.answer(200, {}, dict(Location=f'{store.url}{self.path}&upload_id={len(store.sessions) - 1}'))
        else:
            session = store.sessions[int(asked['upload_id'])]
            session[1] += body
            if self.headers['Content-Range'].endswith('*'): return self.answer(308, b'', dict(Range=f'bytes=0-{len(session[1]) - 1}'))
            about, data = json.dumps(session[0]).encode(), session[1]
        about = json.loads(about)
        name = about.get('name') or asked['name']
        store.objects[bucket][name] = data, about.get('metadata', {})
        return self.answer(200, store.about(bucket, name))

    def answer(self, status, body, headers={}):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for k, v in (headers | {'Content-Length': str(len(data))}).items(): self.send_header(k, v)
        self.end_headers()
        self.wfile.write(data)

class _Server(ThreadingHTTPServer):
    def handle_error(self, *request): pass # who asked has gone

class LocalGS(LocalStore):
    "A Google Cloud Storage on the loopback interface."
    def __init__(self, *buckets):
        self.objects, self.asked, self.sessions, self.refused = {b: {} for b in buckets}, [], [], False

    def about(self, bucket, name):
        data, carried = self.objects[bucket][name]
        return dict(kind='storage#object', bucket=bucket, name=name, size=str(len(data)), metadata=carried, updated='2026-01-01T00:00:00Z',
                    timeCreated='2026-01-01T00:00:00Z', etag='e', md5Hash=b64encode(hashlib.md5(data).digest()).decode(), generation='1')

    def listing(self, bucket, asked):
        prefix = asked.get('prefix', '')
        names = sorted(n for n in self.objects[bucket] if n.startswith(prefix))
        def inside(n): return asked.get('delimiter') and '/' in n[len(prefix):]
        folders = dict.fromkeys(prefix + n[len(prefix):].partition('/')[0] + '/' for n in names if inside(n))
        return dict(items=[self.about(bucket, n) for n in names if not inside(n)], prefixes=[*folders])

    def refuse(self, yes): self.refused = yes

    def __enter__(self):
        self.server = _Server(('127.0.0.1', 0), _Requests)
        self.server.store, self.url = self, f'http://127.0.0.1:{self.server.server_port}'
        threading.Thread(target=self.server.serve_forever, args=(.05,), daemon=True).start()
        self.connect('gs', STORAGE_EMULATOR_HOST=self.url, GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT='false')
        return self

    def __exit__(self, *error):
        self.server.shutdown()
        self.server.server_close()
        self.disconnect()

class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args): pass

class LocalWeb:
    "A web server on the loopback interface."
    def __init__(self, folder, handler=_Quiet):
        self.server = ThreadingHTTPServer(('127.0.0.1', 0), functools.partial(handler, directory=folder))
        self.url = f'http://127.0.0.1:{self.server.server_port}'

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, args=(.05,), daemon=True).start()
        return self

    def __exit__(self, *error):
        self.server.shutdown()
        self.server.server_close()

class _Hub(_Quiet):
    def translate_path(self, path): return super().translate_path(path.replace('/resolve/main/', '/'))

    def end_headers(self):
        file = Path(self.translate_path(self.path))
        if file.is_file(): self.send_header('ETag', f'"{hashlib.sha256(file.read_bytes()).hexdigest()}"')
        self.send_header('X-Repo-Commit', '0'*40)
        super().end_headers()

    def do_GET(self):
        self.server.asked.append(self.path)
        super().do_GET()

class LocalHub(LocalWeb):
    "A hub of models on the loopback interface, for processes with HF_ENDPOINT; `asked` has the paths that were fetched."
    def __init__(self, folder):
        super().__init__(folder, _Hub)
        self.asked = self.server.asked = []
