"""Dask clusters on this machine, for lessons: a scheduler and workers, each a process of its own, that can be killed.

    with LocalCluster(workers=2) as cluster:
        segment(ws, cluster=cluster.address)
        cluster.workers[0].kill()

`Hosts` is the same on several hosts, whose links can be cut:

    with Hosts(workers=2) as cluster:
        cluster.run('hpa_cellcls', 'segment', ws, '--cluster', cluster.address)
        cluster.unplug(2)
"""
import os, shutil, socket, subprocess, sys, tempfile, time
from pathlib import Path

class LocalCluster:
    "A scheduler and workers on the loopback interface."
    ip = '127.0.0.1'
    def __init__(self, workers=2, env=None):
        with socket.socket() as s:
            s.bind(('127.0.0.1', 0))
            self.port = s.getsockname()[1]
        self.address = f'tcp://{self.ip}:{self.port}'
        self.folder = Path(tempfile.mkdtemp())
        self.started, self.workers, self.n = [], [], workers
        self.env = os.environ | dict(OMP_NUM_THREADS='1', PYTHONPATH=str(Path('..').resolve()), IN_TEST='1') | (env or {})

    def host(self):
        "Words that run a command where the next process shall be, and its address."
        return [], self.ip

    def start(self, module, *args, python=(sys.executable,), **env):
        "A process of dask's; what it says goes to a file."
        before, ip = self.host()
        command = [*before, *python, '-W', 'ignore', '-m', f'distributed.cli.{module}', *map(str, args), '--host', ip, '--no-dashboard']
        with open(self.folder/f'{module}{len(self.started)}.log', 'w') as log:
            self.started.append(subprocess.Popen(command, env=self.env | env, cwd=self.folder, stdout=log, stderr=log))
        return self.started[-1]

    def start_scheduler(self):
        "A scheduler, at the same address as one before, which ends when it has had nothing to do for five minutes."
        self.scheduler = self.start('dask_scheduler', '--port', self.port, '--no-show', '--idle-timeout', '5m')

    def start_worker(self, **how):
        "A worker with one thread, which ends when it has been without a scheduler for a minute."
        options = ['--nthreads', 1, '--no-nanny', '--death-timeout', 60, '--local-directory', self.folder]
        self.workers.append(self.start('dask_worker', self.address, *options, **how))
        return self.workers[-1]

    def __enter__(self):
        try:
            self.start_scheduler()
            for _ in range(self.n): self.start_worker()
            return self
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *_):
        for process in self.started: process.kill()
        for process in self.started: process.wait()

class Hosts(LocalCluster):
    """The same with a host for each process: network namespaces on one switch, 10.83.0.1 for the scheduler, then one after another.

    They need no root, where a user may have namespaces; all see the disk of this machine. A namespace ends with its last process:
    the one that holds it ends when this process does, and those of dask when they have been idle for some minutes.
    """
    ip = '10.83.0.1'
    def __init__(self, workers=2, env=None):
        super().__init__(workers, env)
        self.holders = []
        self.switch = self._namespace('unshare', '--user', '--map-root-user', '--net')
        self._sh('ip link add switch type bridge && ip link set switch up')

    def _namespace(self, *words):
        "A process in a new namespace, which ends when this one does."
        holder = subprocess.Popen([*words, 'sh', '-c', 'echo ready && exec cat'], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                  stderr=subprocess.DEVNULL)
        self.holders.append(holder)
        if holder.stdout.readline() != b'ready\n': raise OSError('namespaces are not allowed')
        return holder.pid

    def _inside(self, *spaces, pid=None):
        return ['nsenter', '--target', str(pid or self.switch), '--user', '--preserve-credentials', *spaces]

    def _sh(self, script):
        "Run commands in the switch's namespace."
        subprocess.run([*self._inside('--net'), 'sh', '-c', script], check=True, capture_output=True)

    def host(self):
        n = len(self.holders)
        pid = self._namespace(*self._inside(), 'unshare', '--net')
        inside = self._inside('--net', pid=pid)
        self._sh(f'ip link add port{n} type veth peer name eth0 netns {pid} && ip link set port{n} master switch up')
        subprocess.run([*inside, 'sh', '-c', f'ip link set lo up && ip address add 10.83.0.{n}/24 dev eth0 && ip link set eth0 up'],
                       check=True, capture_output=True)
        return inside, f'10.83.0.{n}'

    def run(self, *command):
        "Start a command on a host of its own; what it says can be read."
        self.started.append(subprocess.Popen([*self.host()[0], *map(str, command)], env=self.env, stdout=subprocess.PIPE,
                                             stderr=subprocess.STDOUT, text=True))
        return self.started[-1]

    def unplug(self, n):
        "Take the link of the n-th host down: nobody hears of it again, and nobody is told."
        self._sh(f'ip link set port{n} down')

    def __exit__(self, *given):
        super().__exit__(*given)
        for holder in self.holders: holder.communicate()

def hosts_allowed():
    "May this user have hosts?"
    if sys.platform != 'linux' or not all(map(shutil.which, ('ip', 'nsenter', 'unshare'))): return False
    try:
        with Hosts(workers=0): return True
    except (OSError, subprocess.CalledProcessError): return False
