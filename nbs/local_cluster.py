"""A dask cluster on this machine, for lessons: a scheduler and workers, each a process of its own, that can be killed.

    with LocalCluster(workers=2) as cluster:
        segment(ws, cluster=cluster.address)
        cluster.workers[0].kill()
"""
import os, socket, subprocess, sys, tempfile, time
from pathlib import Path

class LocalCluster:
    "A scheduler and workers on the loopback interface."
    def __init__(self, workers=2, env=None):
        with socket.socket() as s:
            s.bind(('127.0.0.1', 0))
            self.port = s.getsockname()[1]
        self.address = f'tcp://127.0.0.1:{self.port}'
        self.folder = Path(tempfile.mkdtemp())
        self.started, self.workers, self.n = [], [], workers
        self.env = os.environ | dict(OMP_NUM_THREADS='1', PYTHONPATH=str(Path('..').resolve()), IN_TEST='1') | (env or {})

    def start(self, module, *args, python=(sys.executable,), **env):
        "A process of dask's; what it says goes to a file."
        command = [*python, '-W', 'ignore', '-m', f'distributed.cli.{module}', *map(str, args), '--no-dashboard']
        with open(self.folder/f'{module}{len(self.started)}.log', 'w') as log:
            self.started.append(subprocess.Popen(command, env=self.env | env, cwd=self.folder, stdout=log, stderr=log))
        return self.started[-1]

    def start_scheduler(self):
        "A scheduler, at the same address as one before."
        self.scheduler = self.start('dask_scheduler', '--host', '127.0.0.1', '--port', self.port, '--no-show')

    def start_worker(self, **how):
        "A worker with one thread, which ends when it has been without a scheduler for a minute."
        options = ['--nthreads', 1, '--no-nanny', '--death-timeout', 60, '--host', '127.0.0.1', '--local-directory', self.folder]
        self.workers.append(self.start('dask_worker', self.address, *options, **how))
        return self.workers[-1]

    def __enter__(self):
        self.start_scheduler()
        for _ in range(self.n): self.start_worker()
        return self

    def __exit__(self, *_):
        for process in self.started: process.kill()
        for process in self.started: process.wait()
