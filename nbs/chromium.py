"Drives a page in Chromium through its debugging pipe; Python's own library is enough for that."
import atexit, base64, json, os, select, shutil, signal, subprocess, tempfile, time
from pathlib import Path

chromium = shutil.which('chromium') or shutil.which('chromium-browser') or shutil.which('google-chrome')
keys = dict(Tab=9, Enter=13, Escape=27, End=35, Home=36, ArrowLeft=37, ArrowUp=38, ArrowRight=39, ArrowDown=40)
flags = ('--headless=new', '--no-sandbox', '--disable-gpu', '--hide-scrollbars', '--no-first-run', '--remote-debugging-pipe')

class Window:
    "A page in Chromium, without a window: real movements of the mouse, real clicks and keys."
    def __init__(self, path, width=1180, height=860, phone=False, ready='typeof cards == "object"'):
        their_in, self.out = os.pipe()
        self.into, their_out = os.pipe()
        self.profile = tempfile.mkdtemp()
        def connect():
            for one, two in ((their_in, 103), (their_out, 104), (103, 3), (104, 4)): os.dup2(one, two)
        self.process = subprocess.Popen([chromium, *flags, f'--user-data-dir={self.profile}', 'about:blank'], preexec_fn=connect,
                                        pass_fds=(3, 4, their_in, their_out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                        start_new_session=True)
        for fd in (their_in, their_out): os.close(fd)
        atexit.register(self.close)
        self.n = 0
        self.rest = b''
        self.session = None
        self.events = []
        self.open(path, width, height, phone, ready)

    def open(self, path, width, height, phone, ready):
        target = self('Target.createTarget', url='about:blank')['targetId']
        self.session = self('Target.attachToTarget', targetId=target, flatten=True)['sessionId']
        for domain in ('Page', 'Runtime', 'Network', 'Log'): self(f'{domain}.enable')
        self('Emulation.setDeviceMetricsOverride', width=width, height=height, deviceScaleFactor=1, mobile=phone)
        self('Page.navigate', url=Path(path).as_uri())
        self.wait(f'document.readyState == "complete" && {ready}')

    def __call__(self, method, **params):
        "Send a command and wait for its answer; events that arrive meanwhile are kept."
        self.n += 1
        message = dict(id=self.n, method=method, params=params)
        if self.session: message['sessionId'] = self.session
        os.write(self.out, json.dumps(message).encode() + b'\0')
        while True:
            answer = self._read()
            if answer.get('id') != self.n: self.events.append(answer)
            elif 'error' in answer: raise RuntimeError(answer['error']['message'])
            else: return answer['result']

    def _read(self):
        while b'\0' not in self.rest:
            if not select.select([self.into], [], [], 60)[0]: raise TimeoutError('Chromium does not answer')
            self.rest += os.read(self.into, 2**20) or b'{"id": -1}\0'
        line, _, self.rest = self.rest.partition(b'\0')
        return json.loads(line)

    def js(self, code):
        "Value of a JavaScript expression."
        out = self('Runtime.evaluate', expression=code, returnByValue=True, awaitPromise=True)
        if 'exceptionDetails' in out: raise RuntimeError(out['exceptionDetails']['exception'].get('description', code))
        return out['result'].get('value')

    def wait(self, code, seconds=20):
        "Wait until a JavaScript expression is true."
        end = time.time() + seconds
        while not self.js(code):
            if time.time() > end: raise TimeoutError(code)
            time.sleep(.02)
        return self

    def move(self, selector, type='mouseMoved', **kw):
        "Move the mouse to the middle of an element, or press a button there."
        code = ("(() => { const e = document.querySelector(" + json.dumps(selector) + "); e.scrollIntoView({block: 'nearest'});"
                "const b = e.getBoundingClientRect(); return [b.x + b.width/2, b.y + b.height/2]; })()")
        x, y = self.js(code)
        self('Input.dispatchMouseEvent', type=type, x=x, y=y, **kw)

    def click(self, selector):
        self.move(selector)
        for type in ('mousePressed', 'mouseReleased'): self.move(selector, type, button='left', clickCount=1)

    def key(self, *names):
        for name in names:
            for type in ('keyDown', 'keyUp'):
                text = dict(text='\r') if (name, type) == ('Enter', 'keyDown') else {}
                self('Input.dispatchKeyEvent', type=type, key=name, code=name, windowsVirtualKeyCode=keys[name], **text)

    def choose(self, id, value):
        "Set a form element, as if its user had."
        event = "e.dispatchEvent(new Event('input', {bubbles: true}));"
        self.js(f"(() => {{ const e = $('#{id}'); e.value = {json.dumps(value)}; {event} }})()")

    def type(self, text): self('Input.insertText', text=text)
    def photograph(self): return base64.b64decode(self('Page.captureScreenshot', format='png')['data'])

    def mistakes(self):
        "Exceptions of the script, errors and warnings in the console, and what the browser complains of."
        found = []
        for event in self.events:
            kind, params = event.get('method'), event.get('params')
            if kind == 'Runtime.exceptionThrown': found.append(params['exceptionDetails']['text'])
            if kind == 'Runtime.consoleAPICalled' and params['type'] in ('error', 'warning', 'assert'): found.append(str(params['args']))
            if kind == 'Log.entryAdded' and params['entry']['level'] in ('error', 'warning'): found.append(params['entry']['text'])
        return found

    def fetched(self):
        "Addresses that the browser has asked for."
        urls = [event['params']['request']['url'] for event in self.events if event.get('method') == 'Network.requestWillBeSent']
        return [url for url in urls if not url.startswith('data:')]

    def close(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        shutil.rmtree(self.profile, ignore_errors=True)
