"""Can everybody read the website? `python docs/check.py`, after `python docs/build.py site`; names of pages after it limit point 3.

1. Every link to a page, a place on a page, or a file leads somewhere, also those to files of this repository; every address
   elsewhere is in links.txt, which somebody has looked at. `python docs/check.py online` asks for each of these.
2. Every picture has a text for those who do not see it; headings are in order, with one title a page.
3. Contrast, names of controls, order of focus and the rest that axe-core finds (WCAG 2.1, A and AA), in the light and the dark.
   This needs Chromium and the package axe-core-python; where one is missing, a line says so.
"""
import re, sys
from html.parser import HTMLParser
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from urllib.parse import unquote, urlsplit
from nbdev.config import get_config

docs = Path(__file__).resolve().parent
html = docs/'_build'/'html'
repo = get_config(docs.parent).git_url
sys.path.insert(0, str(docs.parent/'nbs'))
from chromium import Window, chromium

looks = dict(light=['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa'], dark=['color-contrast'])
with_code = 'index', 'losses', 'starter' # code has the same colours everywhere, and is looked at on these pages
counted = 'r => r.violations.map(v => [v.id, v.nodes.length, v.nodes[0].html])'

class Page(HTMLParser):
    "Places, links, pictures and headings of a page."
    def __init__(self, text):
        super().__init__()
        self.places, self.links, self.pictures, self.headings = set(), [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        about = dict(attributes)
        self.places |= {about[k] for k in ('id', 'name') if about.get(k)}
        self.links += [about[k] for k in ('href', 'src') if about.get(k)]
        if tag == 'img': self.pictures.append(about)
        if re.fullmatch('h[1-6]', tag): self.headings.append(int(tag[1]))

def lost_links(pages):
    "Links to nothing."
    for path, page in pages.items():
        for link in {*page.links}:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc: continue
            target = (path.parent/unquote(parts.path)).resolve() if parts.path else path
            if not target.exists(): yield f'{path.name}: {link} leads to no file'
            elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].places | {'top'}:
                yield f'{path.name}: {link} leads to no place on that page'

def unknown_addresses(pages):
    "Links to elsewhere that are not in the list, and to files that this repository does not have."
    listed, used = {*(docs/'links.txt').read_text(encoding='utf-8').split()}, set()
    for path, page in pages.items():
        for address in {link.split('#')[0] for link in page.links if link.startswith('http')}:
            used.add(address)
            file = address.partition(f'{repo}/blob/main/')[2]
            if file and not (docs.parent/file).exists(): yield f'{path.name}: {address} is no file of the repository'
            if not file and address not in listed: yield f'{path.name}: {address} is not in docs/links.txt; look at it, and add it'
    yield from (f'docs/links.txt: no page links to {address}; remove it' for address in sorted(listed - used))

def ask():
    "Which of the listed addresses answer."
    import requests
    for address in (docs/'links.txt').read_text(encoding='utf-8').split():
        try: status = requests.get(address, timeout=30, stream=True, headers={'User-Agent': 'Mozilla/5.0'}).status_code
        except requests.RequestException as e: status = type(e).__name__
        print(status, address, flush=True)

def without_words(pages):
    "Pictures without a text, and headings out of order."
    for path, page in pages.items():
        n = sum(not picture.get('alt', '').strip() for picture in page.pictures)
        if n: yield f'{path.name}: {n} pictures have no text'
        if page.headings.count(1) != 1 and path.stem != 'search': yield f'{path.name}: has {page.headings.count(1)} titles'
        steps = zip(page.headings, page.headings[1:])
        yield from (f'{path.name}: a heading of level {b} follows one of level {a}' for a, b in steps if b > a + 1)

def unreadable(pages):
    "What axe-core finds in a browser."
    missing = [what for what, there in (('Chromium', chromium), ('axe-core-python', find_spec('axe_core_python'))) if not there]
    if missing: return print(f'contrast and controls are not checked: {" and ".join(missing)} not installed')
    script = (Path(find_spec('axe_core_python').origin).parent/'axe.min.js').read_text(encoding='utf-8')
    window = Window(docs/'nothing', ready='true')
    for path in (p for p in pages if p.stem in (sys.argv[1:] or [p.stem])):
        where = 'document' if path.stem in with_code else "{exclude: [['.highlight']]}"
        for light, rules in looks.items():
            window('Emulation.setEmulatedMedia', features=[dict(name='prefers-color-scheme', value=light)])
            window('Page.navigate', url=path.as_uri())
            window.wait(f'location.href == "{path.as_uri()}" && document.readyState == "complete"')
            window.js(script + '; 1')
            found = window.js(f'axe.run({where}, {{runOnly: {rules}, resultTypes: ["violations"]}}).then({counted})')
            yield from (f'{path.name}, {light}: {rule}, {n} times: {first[:120]}' for rule, n, first in found)
    window.close()

if __name__ == '__main__':
    if sys.argv[1:] == ['online']: sys.exit(ask())
    pages = {path: Page(path.read_text(encoding='utf-8')) for path in sorted(html.glob('*.html'))}
    if not pages: sys.exit('docs/_build/html has no pages; run `python docs/build.py site` before.')
    complaints = 0
    for complaint in chain(lost_links(pages), unknown_addresses(pages), without_words(pages), unreadable(pages)):
        complaints += 1
        print(complaint, flush=True)
    print(f'{len(pages)} pages, {complaints} complaints')
    sys.exit(bool(complaints))
