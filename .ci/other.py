"""Another generator of fields, for tests only. The estimate of the prevalence was developed on a draft of it, too.

    .venv/bin/python .ci/other.py --seeds 21                    copied labels, ours and the reference, with both kinds of shares
    .venv/bin/python .ci/other.py --seeds 21 --regimes atlas    one of them
    .venv/bin/python .ci/other.py --seeds 21 --drawings synth   the same measures on fields of the package's own generator

Cells are Voronoi cells with wavy borders, and all patterns are drawn in other ways than `hpa_cellcls.synth` draws them. With
`atlas`, the shares of cells that show a label differ between classes, as people see them in the atlas; with `medium`, a label is
shown by .90 of the cells if it stands alone, and by .63 beside others, for all classes. The table says how ours compares with a
network that learned from true labels, and how far the estimated prevalence is off.
"""
import argparse, json
from contextlib import nullcontext
from pathlib import Path
from unittest.mock import patch
import cv2, numpy as np, pandas as pd
from scipy import ndimage
from hpa_cellcls.accuracy import Split, accuracy, make_split
from hpa_cellcls.labels import classes, label_matrix, negative
from hpa_cellcls.label_noise import true_prevalence
from hpa_cellcls.submission import field_shares, probability_columns, read_predictions
from hpa_cellcls.synth import Field, draw_labels
from hpa_cellcls.validation import cell_truth

seen_by_people = (.80, .75, .66, .48, .89, .45, .67, .52, .74, .71, .59, .08, .25, .74, .81, .60, .79, .59)
spindle = classes.index('Mitotic spindle')

def blurred(x, sigma): return cv2.GaussianBlur(x.astype(np.float32), None, sigma)

def noise(rng, n, sigma):
    x = blurred(rng.standard_normal((n, n)), sigma)
    return x/x.std()

def shown(rng, labels, n, regime):
    "Which of `n` cells show which labels."
    shows = np.zeros((n, len(classes)), bool)
    for k in (k for k in labels if k != negative):
        alone, mean = len(labels) == 1, seen_by_people[k]
        if regime == 'medium': share = .9 if alone else rng.beta(2.2, 1.1)*.63/.667
        else:
            if alone: mean = min(.97, 1/(1 + (1 - mean)/mean*np.exp(-.6)))
            share = rng.beta(*np.multiply((mean, 1 - mean), 2.4 if alone else 1.1))
        shows[:, k] = rng.random(n) < (min(share, .2) if k == spindle and regime == 'medium' else share)
    shows[shows[:, spindle]] = np.arange(len(classes)) == spindle
    return shows

def dots(rng, region, n, size):
    out = np.zeros(region.shape, np.float32)
    places = np.argwhere(region)
    for y, x in places[rng.integers(0, len(places), n)] if len(places) else ():
        cv2.circle(out, (int(x), int(y)), max(1, round(size*rng.uniform(.7, 1.3))), rng.uniform(.6, 1), -1)
    return blurred(out, .8)

def lines(rng, region, n, length, width, angle=None, bend=.25):
    out = np.zeros(region.shape, np.float32)
    places = np.argwhere(region)
    for y, x in places[rng.integers(0, len(places), n)] if len(places) else ():
        start = rng.uniform(0, 2*np.pi) if angle is None else angle + rng.normal(0, .15)
        way = start + np.cumsum(rng.normal(0, bend, length))
        points = np.cumsum(np.r_[[(x, y)], 4*np.c_[np.cos(way), np.sin(way)]], axis=0)
        cv2.polylines(out, [points.astype(np.int32)], False, rng.uniform(.5, 1), width, cv2.LINE_AA)
    return blurred(out, .7)*region

class Cell:
    "One cell in its window: places of its parts, and how each class looks there."
    def __init__(self, rng, mask, sheets, dividing):
        self.rng, self.mask, self.sheets = rng, mask, sheets
        y, x = np.indices(mask.shape, np.float32)
        centre = np.argwhere(mask).mean(0)
        self.angle, self.radius = rng.uniform(0, np.pi), rng.uniform(22, 30)*(.6 if dividing else 1)
        along, across = np.cos(self.angle), np.sin(self.angle)
        self.u, self.v = along*(x - centre[1]) + across*(y - centre[0]), along*(y - centre[0]) - across*(x - centre[1])
        long = 2.2 if dividing else rng.uniform(1, 1.3)
        self.depth = np.hypot(self.u/long, self.v*long)/self.radius + .05*sheets['wave']
        self.nucleus = mask & (self.depth < 1)
        self.cytoplasm = mask & ~self.nucleus
        self.edge, self.away = ndimage.distance_transform_edt(mask), ndimage.distance_transform_edt(~self.nucleus)
        side = rng.uniform(0, 2*np.pi)
        self.pole = np.hypot(x - centre[1] - (self.radius + 9)*np.cos(side), y - centre[0] - (self.radius + 9)*np.sin(side))

    def pattern(self, k):
        "The protein of class `k`."
        rng, mask, nucleus, cytoplasm, depth = self.rng, self.mask, self.nucleus, self.cytoplasm, self.depth
        centres = (np.hypot(self.u - 6, self.v - 4) < 7) | (np.hypot(self.u + 8, self.v + 3) < 6)
        poles = np.exp(-((abs(self.v) - self.radius*1.1)**2 + self.u**2)/20)
        drawings = [lambda: nucleus*(.75 + .15*self.sheets['fine']), lambda: np.exp(-((depth - 1)/.09)**2)*mask,
                    lambda: dots(rng, depth < .6, rng.integers(2, 5), 6), lambda: dots(rng, centres, rng.integers(5, 10), 1.2),
                    lambda: dots(rng, depth < .85, 26, 2.2), lambda: dots(rng, depth < .8, rng.integers(2, 7), 2.4),
                    lambda: .7*cytoplasm*self.sheets['er']*np.exp(-self.away/28), lambda: lines(rng, (self.pole < 14) & cytoplasm, 9, 5, 2),
                    lambda: lines(rng, cytoplasm & (self.away < 35), 22, 12, 2, bend=.5),
                    lambda: lines(rng, mask, 16, 18, 1, self.angle, .03) + .4*mask*(self.edge < 3), lambda: .8*mask*self.sheets['red'],
                    lambda: .8*np.exp(-(self.v/(.8*self.radius))**2 - (self.u/(1.2*self.radius))**2) + poles,
                    lambda: dots(rng, self.pole < 5, rng.integers(1, 3), 1.7), lambda: mask*np.exp(-(self.edge/3)**2),
                    lambda: lines(rng, cytoplasm & (self.away < 40), 60, 3, 2, bend=.6), lambda: mask*np.exp(-(self.pole/7)**2),
                    lambda: cytoplasm*(.55 + .07*self.sheets['grain']), lambda: dots(rng, cytoplasm, 45, 1.4)]
        return drawings[k]()

def outlines(rng, n):
    "Label image of the cells of a field."
    centres = []
    for place in rng.uniform(10, n - 10, (400, 2)):
        if all(np.hypot(*(place - c)) > 78 for c in centres): centres.append(place)
    y, x = np.indices((n, n), np.float32) + 9*np.stack([noise(rng, n, 22), noise(rng, n, 22)])
    near = np.full((n, n), 1, np.float32)
    cells = np.zeros((n, n), np.uint16)
    for k, (cy, cx) in enumerate(centres[:rng.integers(9, 18)], 1):
        angle, long = rng.uniform(0, np.pi), rng.uniform(1, 1.5)
        u, v = np.cos(angle)*(x - cx) + np.sin(angle)*(y - cy), np.cos(angle)*(y - cy) - np.sin(angle)*(x - cx)
        distance = np.hypot(u/long, v*long)/rng.uniform(60, 84)
        closer = distance < near
        cells[closer], near[closer] = k, distance[closer]
    return np.where(cv2.erode(cells, np.ones((3, 3))) == cells, cells, 0)

def other_field(seed, index, size=512, variability='atlas', **unused):
    "What `make_field` gives, drawn in another way."
    rng = np.random.default_rng([77, seed, index])
    labels = draw_labels(rng)
    cells = outlines(rng, size)
    shows = shown(rng, labels, int(cells.max()), variability)
    sheets = dict(red=np.clip(1 - 1.6*abs(noise(rng, size, 2.2)), 0, 1),
                  er=np.clip(.6 + .5*noise(rng, size, 1.4) + .3*noise(rng, size, 5), 0, 2), fine=noise(rng, size, 2),
                  grain=noise(rng, size, 3), wave=noise(rng, size, 22))
    image = {c: np.zeros((size, size), np.float32) for c in ('red', 'green', 'blue', 'yellow')}
    nuclei, kept, truth = np.zeros_like(cells), np.zeros_like(cells), []
    for k, box in enumerate(ndimage.find_objects(cells), 1):
        if box is None or (cells[box] == k).sum() < 500: continue
        window = tuple(slice(max(s.start - 12, 0), s.stop + 12) for s in box)
        cell = Cell(rng, cells[window] == k, {name: s[window] for name, s in sheets.items()}, shows[k - 1, spindle])
        if not cell.nucleus.any(): continue
        bright = rng.uniform(.5, 1, 4)
        image['blue'][window] += cell.nucleus*bright[0]*(.8 + .15*cell.sheets['grain'])*(1.4 if shows[k - 1, spindle] else 1)
        image['red'][window] += cell.mask*cell.sheets['red']*np.exp(-cell.away/60)*bright[1]
        image['yellow'][window] += cell.cytoplasm*cell.sheets['er']*np.exp(-cell.away/28)*bright[2]
        for o in np.flatnonzero(shows[k - 1]): image['green'][window] += rng.uniform(.5, 1)*cell.pattern(o)
        truth.append(tuple(np.flatnonzero(shows[k - 1]).tolist()) or (negative,))
        nuclei[window][cell.nucleus], kept[window][cell.mask] = len(truth), len(truth)
    return Field(f's{seed}_{index:05d}', {c: camera(rng, x) for c, x in image.items()}, nuclei, kept, truth, tuple(labels))

def camera(rng, x):
    "Blur, background, photons and read noise; 8 bits."
    x = .75*rng.uniform(.5, 1)*blurred(x, .8) + rng.uniform(.005, .03)
    photons = rng.uniform(60, 250)
    x = rng.poisson(x.clip(0, 4)*photons)/photons + rng.normal(0, .008, x.shape)
    return (255*x).clip(0, 255).astype(np.uint8)

def off(split):
    "Mean and largest error of the estimated prevalence, over classes with 30 cells and more."
    cells = split.cells.reset_index(drop=True)
    true, known = cell_truth(split.ws, cells, f'{split.home}/data/truth/cells.csv')
    candidates = label_matrix(cells.candidates)[known] > 0
    real = true_prevalence(true[known] > 0, candidates, cells.id.to_numpy()[known])
    ours = pd.DataFrame(json.loads(Path(split.ws, 'models/best/model.json').read_text())['about']['prevalence'])
    errors = []
    for kind, rows in (('single', candidates.sum(1) == 1), ('multi', candidates.sum(1) > 1)):
        counts = candidates[rows].sum(0)[:negative]
        errors.append((ours[kind] - real[kind])[:negative][counts >= 30].abs())
    return dict(mean=pd.concat(errors).mean(), largest=pd.concat(errors).max())

def shares_off(split):
    "Shares in the test fields with ten cells and more, over all classes, and how many intervals hold the truth."
    table, _ = read_predictions(Path(split.test_ws, 'predictions/best.parquet'))
    true, known = cell_truth(split.test_ws, table, f'{split.truth}/cells.csv')
    table, true = table[known], pd.DataFrame(true[known] > 0)
    table, true = (t[table.groupby('id').id.transform('size').to_numpy() >= 10] for t in (table, true))
    p = table[list(probability_columns)].to_numpy()
    estimated, real = (pd.DataFrame(np.asarray(x)).groupby(table.id.to_numpy()).mean() for x in (p, true))
    some = field_shares(table.id, p)
    some['true'] = [real.loc[id, k] for id, k in zip(some.id, some['class'])]
    inside = (some.low <= some.true + 1e-9) & (some.true <= some.high + 1e-9)
    a, b = estimated.to_numpy().ravel(), real.to_numpy().ravel()
    near = abs(a - b) < .5
    return dict(bias=(a - b).mean(), correlation=np.corrcoef(a, b)[0, 1], off_by_half=(~near).sum(),
                correlation_of_the_rest=np.corrcoef(a[near], b[near])[0, 1], intervals=len(some), hold=inside.mean())

def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--seeds', default='21')
    parser.add_argument('--regimes', default='atlas,medium')
    parser.add_argument('--systems', default='copy,best,oracle')
    parser.add_argument('--drawings', default='other', choices=('other', 'synth'))
    parser.add_argument('--budget', default='small')
    parser.add_argument('--dest', default='.ci/work/other')
    parser.add_argument('--n-jobs', type=int)
    a = parser.parse_args()
    home = f'{a.dest}/{a.drawings}'
    if a.drawings == 'other' and {*a.regimes.split(',')} - {'atlas', 'medium'}: parser.error('there are atlas and medium')
    splits = [Split(f'{home}/{a.budget}/{regime}-{seed}', regime, int(seed), a.budget)
              for seed in a.seeds.split(',') for regime in a.regimes.split(',')]
    with patch('hpa_cellcls.synth.make_field', other_field) if a.drawings == 'other' else nullcontext():
        for split in splits: make_split(split, 1)
    print(accuracy(a.systems, a.regimes, a.seeds, a.budget, home, n_jobs=a.n_jobs))
    if 'best' in a.systems.split(','):
        for what, measure in {'error of the prevalence': off, "shares of fields' cells": shares_off}.items():
            print(f'{what}:', pd.DataFrame({f'{s.regime}-{s.seed}': measure(s) for s in splits}).round(3).to_string(), sep='\n')

if __name__ == '__main__': main()
