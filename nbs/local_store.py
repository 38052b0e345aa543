"""Object storage and a web server on this machine, for lessons.

    with LocalS3('plates') as store:           # moto's S3, which the standard variables lead to, also in other processes
        store.put(folder, 's3://plates/one')
        index('s3://plates/one', ws)
        store.asked                            # what it was asked: method, and path in the store
    with LocalWeb(folder) as web: web.url      # a plain web server, without ranges and ETags
"""
import functools, logging, os, threading, urllib.request
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

class LocalS3(logging.Handler):
    "An S3 on the loopback interface; `close` puts the environment back."
    def __init__(self, *buckets):
        super().__init__()
        self.buckets, self.asked = buckets, []

    def emit(self, record):
        words = record.getMessage().split('"')[1].split()
        self.asked.append((words[0].split('m')[-1], words[1]))

    def __enter__(self):
        import fsspec
        from moto.server import ThreadedMotoServer
        self.log = logging.getLogger('werkzeug')
        self.log.handlers, self.log.propagate = [self], False
        self.log.setLevel(logging.INFO)
        self.server = ThreadedMotoServer(ip_address='127.0.0.1', port=0, verbose=False)
        self.server.start()
        host, port = self.server.get_host_and_port()
        self.before = dict(os.environ)
        os.environ.update(AWS_ENDPOINT_URL=f'http://{host}:{port}', AWS_ACCESS_KEY_ID='lesson', AWS_SECRET_ACCESS_KEY='lesson',
                          AWS_DEFAULT_REGION='us-east-1', AWS_EC2_METADATA_DISABLED='true', NO_PROXY='127.0.0.1')
        fsspec.get_filesystem_class('s3').clear_instance_cache()
        self.fs = fsspec.filesystem('s3', use_listings_cache=False)
        for bucket in self.buckets: self.fs.mkdir(bucket)
        return self

    def put(self, folder, url):
        "Copy a folder into a bucket."
        for file in (p for p in sorted(Path(folder).rglob('*')) if p.is_file()):
            self.fs.put_file(str(file), f'{url}/{file.relative_to(folder).as_posix()}')

    def refuse(self, keys):
        "Refuse all keys from now on, or none."
        url, free = f'{os.environ["AWS_ENDPOINT_URL"]}/moto-api/reset-auth', b'0' if keys else b'inf' # requests that need no rights
        urllib.request.urlopen(urllib.request.Request(url, free, {'Content-Type': 'text/plain'})).close()

    def __exit__(self, *error):
        self.server.stop()
        self.log.handlers = []
        os.environ.clear()
        os.environ.update(self.before)

class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args): pass

class LocalWeb:
    "A web server on the loopback interface."
    def __init__(self, folder):
        self.server = ThreadingHTTPServer(('127.0.0.1', 0), functools.partial(_Quiet, directory=folder))
        self.url = f'http://127.0.0.1:{self.server.server_port}'

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, args=(.05,), daemon=True).start()
        return self

    def __exit__(self, *error):
        self.server.shutdown()
        self.server.server_close()
