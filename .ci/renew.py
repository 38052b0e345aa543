"""Renews constraints.txt, and says what changed: `.venv/bin/python .ci/renew.py`, on Linux x86_64 with the environment of CONTRIBUTING.md.

Pip resolves settings.ini with all extras, to the newest versions, for each Python below; the second takes what the first chose.
Where that is impossible it chooses for itself, and versions that differ get a marker. Nothing is installed.
"""
import json, subprocess, sys, tempfile
from configparser import ConfigParser
from pathlib import Path
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

root = Path(__file__).resolve().parent.parent
pythons = '3.11', '3.12'
apart = 'hpacellseg', 'spatialdata', 'umap' # on no index; large and without pandas 3; large: nothing needs them
caps = ['torch<=2.14.1', 'torchvision<=0.29.1'] # later ones are not yet on every mirror; raise both together, as they belong together
caps += ['anndata<=0.12.6'] # later ones forbid pandas 3
caps += ['python-dateutil<3'] # botocore, behind s3fs, forbids later ones

def required():
    "What settings.ini asks for, all extras but those."
    config = ConfigParser(delimiters=['='], interpolation=None)
    config.read(root/'settings.ini', encoding='utf-8')
    keys = [k for k in config['DEFAULT'] if k.endswith('requirements') and not k.startswith(apart)]
    return sorted({line for k in keys for line in config['DEFAULT'][k].split('\n')[1:]})

def resolve(python, wanted, chosen):
    "What pip would install: name -> metadata; None if the versions chosen before cannot serve."
    with tempfile.TemporaryDirectory() as tmp:
        report, limits = Path(tmp)/'report.json', Path(tmp)/'limits.txt'
        limits.write_text('\n'.join(caps + [f'{k}=={v}' for k, v in chosen.items()]), encoding='utf-8')
        options = '-q', '--dry-run', '--ignore-installed', '--only-binary=:all:', '--python-version', python, '--target', tmp
        command = [sys.executable, '-m', 'pip', 'install', *options, '--report', report, '-c', limits, *wanted]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode and not chosen: sys.exit(done.stderr)
        if done.returncode: return None
        return {canonicalize_name(i['metadata']['name']): i['metadata'] for i in json.loads(report.read_text(encoding='utf-8'))['install']}

def forgotten(python, wanted, found):
    "Requirements that hold for this Python only: pip asks the one it runs in."
    env = default_environment() | dict(python_version=python, python_full_version=f'{python}.0')
    queue, seen, out = [(Requirement(w), {''}) for w in wanted], set(), []
    while queue:
        r, asked = queue.pop()
        if r.marker and not any(r.marker.evaluate(env | dict(extra=e)) for e in asked): continue
        name, extras = canonicalize_name(r.name), frozenset({'', *r.extras})
        if name not in found: out.append(str(r).split(';')[0].strip())
        elif (name, extras) not in seen:
            seen.add((name, extras))
            queue += [(Requirement(line), extras) for line in found[name].get('requires_dist', [])]
    return out

def closed(python, chosen):
    "name -> version of everything that this Python needs."
    wanted = required()
    while True:
        found = resolve(python, wanted, chosen)
        if found is None: return closed(python, {})
        more = forgotten(python, wanted, found)
        if not more: return {k: m['version'] for k, m in found.items()}
        wanted += more

def lines(versions):
    "A line for each package, with a marker where the Pythons differ."
    first, second = (versions[p] for p in pythons)
    for name in sorted({*first, *second}):
        old, new = first.get(name, second.get(name)), second.get(name, first.get(name))
        if old == new: yield f'{name}=={old}'
        else: yield from (f'{name}=={old} ; python_version < "{pythons[1]}"', f'{name}=={new} ; python_version >= "{pythons[1]}"')

def pinned(text):
    "Name, with its marker if it has one -> version."
    pairs = (line.split(';') for line in text.splitlines() if line and not line.startswith('#'))
    return {' ;'.join([p[0].split('==')[0], *p[1:]]): p[0].split('==')[1].strip() for p in pairs}

def main():
    file, versions = root/'constraints.txt', {}
    for p in pythons: versions[p] = closed(p, versions.get(pythons[0], {}))
    before = pinned(file.read_text(encoding='utf-8')) if file.exists() else {}
    head = [f'# Every version that README\'s commands install, for Python {" and ".join(pythons)} on Linux x86_64; '
            f'all extras but {", ".join(apart)}.',
            '# `.venv/bin/python .ci/renew.py` makes this file anew; nobody edits it.']
    file.write_text('\n'.join([*head, *lines(versions)]) + '\n', encoding='utf-8')
    after = pinned(file.read_text(encoding='utf-8'))
    changed = [k for k in sorted({*before, *after}) if before.get(k) != after.get(k)]
    for k in changed: print(f'{k}: {before.get(k, "new")} -> {after.get(k, "gone")}')
    print(f'{len(after)} versions, {len(changed)} changed')

if __name__ == '__main__': main()
