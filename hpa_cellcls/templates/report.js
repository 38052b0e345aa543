// --- small helpers

function textOf(id) {
  return document.getElementById(id).textContent;
}

// --- data: columns by cell, in the order of the fields

const data = JSON.parse(textOf('data'));
const classCount = data.classes.length;
const probabilities = unpack(data.p);

// Base64 of little-endian 16-bit numbers: probabilities in thousandths, cell by cell.
function unpack(base64) {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) {
    bytes[i] = text.charCodeAt(i);
  }
  return new Uint16Array(bytes.buffer);
}

function probability(cell, k) {
  return probabilities[cell * classCount + k];
}

function cellsOf(field) {
  return Array.from({ length: field.n }, (_, i) => field.first + i);
}

function fieldOf(cell) {
  return data.fields.find((field) => cell >= field.first && cell < field.first + field.n);
}

function countShowing(field, k) {
  return cellsOf(field).filter((cell) => shows(cell, k)).length;
}

function meanProbability(field, k) {
  const sum = cellsOf(field).reduce((total, cell) => total + probability(cell, k), 0);
  return sum / (field.n || 1);
}

// --- filter: which cells are meant, which fields have any

const state = { kind: 'all', quality: 'all', threshold: 500, id: '', failed: false, order: 'table' };
let shown = data.fields;

// A cell shows a class from the threshold on; this holds everywhere on the page.
function shows(cell, k) {
  return probability(cell, k) >= state.threshold;
}

function showsAny(cell) {
  return data.classes.some((_, k) => shows(cell, k));
}

function isWrong(cell) {
  const truth = data.truth?.[cell];
  return Boolean(truth) && data.classes.some((_, k) => shows(cell, k) !== truth.includes(k));
}

const tests = {
  all: () => true,
  any: showsAny,
  none: (cell) => !showsAny(cell),
  wrong: isWrong,
};

// The rules of quality that a cell breaks, a bit for each; 0 for a good cell.
function flagsOf(cell) {
  return data.quality ? data.quality.cells[cell] : 0;
}

const qualities = {
  all: () => true,
  good: (cell) => !flagsOf(cell),
  flagged: (cell) => Boolean(flagsOf(cell)),
};

function hasQuality(cell) {
  const { quality } = state;
  return quality in qualities ? qualities[quality](cell) : Boolean(flagsOf(cell) & (1 << quality));
}

function isHit(cell) {
  return hasQuality(cell) && (state.kind in tests ? tests[state.kind](cell) : shows(cell, Number(state.kind)));
}

function isFiltered() {
  return state.kind !== 'all' || state.quality !== 'all';
}

function isShown(field) {
  const id = state.id.trim().toLowerCase();
  const named = field.id.toLowerCase().includes(id);
  return named && (!state.failed || field.failed) && (field.hits || !isFiltered());
}

function filterFields() {
  for (const field of data.fields) {
    field.hits = cellsOf(field).filter(isHit).length;
  }
  shown = data.fields.filter(isShown);
  if (state.order === 'most') {
    shown.sort((a, b) => b.hits - a.hits);
  }
  if (state.order === 'share') {
    shown.sort((a, b) => b.hits / (b.n || 1) - a.hits / (a.n || 1));
  }
  const hits = shown.reduce((sum, field) => sum + field.hits, 0);
  const fields = `${shown.length.toLocaleString('en')} of ${counted(data.fields.length, 'field')}`;
  $('#count').textContent = `${counted(hits, 'cell')} in ${fields}`;
  document.body.classList.toggle('filtered', isFiltered());
}

function countClasses() {
  const sums = new Array(classCount).fill(0);
  for (let i = 0; i < probabilities.length; i++) {
    if (probabilities[i] >= state.threshold) {
      sums[i % classCount]++;
    }
  }
  for (const option of $('#kind').options) {
    if (!(option.value in tests)) {
      option.textContent = `${data.classes[option.value]} (${sums[option.value].toLocaleString('en')})`;
    }
  }
  $('#percent').textContent = percent(state.threshold);
}

// --- pictures and outlines

// The browser lays the protein (key p...) and the other stains (key r...) over each other.
function paint(element, key) {
  element.style.setProperty('--protein', `url(data:image/webp;base64,${textOf(`p${key}`)})`);
  element.style.setProperty('--rest', `url(data:image/webp;base64,${textOf(`r${key}`)})`);
}

function clear(element) {
  element.style.removeProperty('--protein');
  element.style.removeProperty('--rest');
  element.replaceChildren();
}

function outlines(field) {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('viewBox', `0 0 ${field.w} ${field.h}`);
  for (const cell of cellsOf(field)) {
    const path = document.createElementNS(SVG, 'path');
    path.setAttribute('d', data.paths[cell]);
    path.dataset.cell = cell;
    path.classList.toggle('flagged', flagsOf(cell));
    svg.append(path);
  }
  return svg;
}

function markHits(root) {
  for (const path of root.querySelectorAll('path')) {
    path.classList.toggle('hit', isHit(Number(path.dataset.cell)));
  }
}

// --- cards: filled while they are near the window, empty otherwise

function caption(field) {
  if (!field.n) {
    return field.w ? 'no cells' : '';
  }
  const counts = data.classes.map((name, k) => ({ name, n: countShowing(field, k) })).filter((row) => row.n);
  counts.sort((a, b) => b.n - a.n);
  const first = counts.slice(0, 3).map((row) => `${row.name} ${row.n}`);
  const more = counts.length > 3 ? ` and ${counts.length - 3} more` : '';
  const flagged = cellsOf(field).filter(flagsOf).length;
  const cells = counted(field.n, 'cell') + (flagged ? `, ${flagged} flagged` : '');
  return `${cells}: ${first.join(', ') || 'none shows a label'}${more}`;
}

function fillCard(card) {
  const field = data.fields[card.dataset.field];
  const picture = $('.pic', card);
  if (field.w && !picture.firstChild) {
    paint(picture, field.at);
    picture.append(outlines(field));
  }
  markHits(card);
  $('p', card).textContent = caption(field);
}

const nearCards = new IntersectionObserver(
  (entries) => {
    for (const { target, isIntersecting } of entries) {
      target.near = isIntersecting;
      if (isIntersecting) {
        fillCard(target);
      } else if (data.fields[target.dataset.field].w) {
        clear($('.pic', target));
      }
    }
  },
  { rootMargin: '600px' },
);

function makeCard(field) {
  const picture = make('span', {
    className: field.w ? 'pic' : 'pic none',
    textContent: field.w ? '' : 'no picture',
  });
  if (field.w) {
    picture.style.aspectRatio = `${field.w}/${field.h}`;
  }
  const button = make('button', { className: 'open', type: 'button', ariaLabel: `Open field ${field.id}` }, picture);
  const name = make('h3', { textContent: field.id, title: field.id });
  const card = make('article', { className: 'card' }, button, name, make('p'));
  if (field.failed) {
    card.append(make('p', { className: 'why', textContent: `Failed in ${field.failed}` }));
  }
  card.dataset.field = field.at;
  nearCards.observe(card);
  return card;
}

const cards = data.fields.map(makeCard);

function arrangeCards() {
  const keep = new Set(shown);
  for (const field of data.fields) {
    cards[field.at].hidden = !keep.has(field);
  }
  $('#grid').append(...shown.map((field) => cards[field.at]));
  cards.filter((card) => card.near && !card.hidden).forEach(fillCard);
}

// --- a cell in words, in a box beside the pointer

function topClasses(cell) {
  const rows = data.classes.map((name, k) => ({ name, p: probability(cell, k) }));
  rows.sort((a, b) => b.p - a.p);
  return rows.filter((row, i) => i === 0 || (i < 5 && row.p >= 50));
}

function describe(cell) {
  const list = make('dl');
  for (const { name, p } of topClasses(cell)) {
    const bar = make('i');
    bar.style.width = `${p / 10}%`;
    list.append(make('dt', { textContent: name, title: name }), make('dd', {}, bar), make('dd', { textContent: percent(p) }));
  }
  const notes = [data.flags[cell] & 1 && 'cut off by the border', data.flags[cell] & 2 && 'small'].filter(Boolean);
  const title = make('b', { textContent: `Cell ${data.numbers[cell]}` });
  const out = make('div', { className: 'cell' }, title, notes.length ? ` (${notes.join(', ')})` : '', list);
  const reasons = data.quality ? data.quality.rules.filter((_, i) => flagsOf(cell) & (1 << i)) : [];
  if (reasons.length) {
    out.append(make('p', { className: 'why', textContent: `Flagged: ${reasons.map((rule) => rule.words).join(', ')}` }));
  }
  const truth = data.truth?.[cell];
  if (truth) {
    out.append(make('p', { textContent: `True: ${truth.map((k) => data.classes[k]).join(', ') || 'no label'}` }));
  }
  return out;
}

const tip = $('#tip');

function moveTip(event) {
  const path = event.pointerType !== 'touch' && event.target.closest?.('.card path, .dot');
  tip.hidden = !path;
  if (!path) {
    return;
  }
  if (tip.cell !== path.dataset.cell) {
    tip.replaceChildren(describe(Number(path.dataset.cell)));
    tip.cell = path.dataset.cell;
  }
  const x = Math.min(event.clientX + 16, innerWidth - tip.offsetWidth - 8);
  const y = Math.min(event.clientY + 16, innerHeight - tip.offsetHeight - 8);
  tip.style.transform = `translate(${Math.max(8, x)}px,${Math.max(8, y)}px)`;
}

function hideTip() {
  tip.hidden = true;
}

// --- the large view: a field, its cells, and its labels

const view = $('#view');
let open = { list: [], at: 0, cell: null };

function pickCell(cell) {
  open.cell = cell;
  for (const element of view.querySelectorAll('.now')) {
    element.classList.remove('now');
  }
  for (const button of $('#chips').children) {
    button.ariaPressed = String(Number(button.dataset.cell) === cell);
  }
  $(`#large path[data-cell="${cell}"]`)?.classList.add('now');
  const hint = make('p', { className: 'note', textContent: 'Point at a cell, or choose its number.' });
  $('#detail').replaceChildren(cell === null ? hint : describe(cell));
}

function makeChip(cell) {
  const number = data.numbers[cell];
  const marks = [isFiltered() && isHit(cell) && 'hit', flagsOf(cell) && 'flagged'].filter(Boolean);
  const button = make('button', {
    type: 'button',
    textContent: number,
    className: marks.join(' '),
    ariaLabel: `Cell ${number}${flagsOf(cell) ? ', flagged' : ''}`,
  });
  button.dataset.cell = cell;
  return button;
}

function labelRow({ name, n, mean, interval }) {
  const values = [n, percent(mean), interval ? interval.join(' to ') : ''];
  const cellsOfRow = values.map((value) => make('td', { textContent: value }));
  return make('tr', {}, make('th', { scope: 'row', textContent: name }), ...cellsOfRow);
}

const shareColumns = {
  Label: '',
  Cells: 'that show it',
  Share: 'of the cells that show it: mean of their probabilities',
  Interval: 'percent; of calibrated probabilities, nine in ten should hold the true share',
};

function labelTable(field) {
  if (!field.n) {
    return '';
  }
  const rows = data.classes.map((name, k) => ({
    name,
    n: countShowing(field, k),
    mean: meanProbability(field, k),
    interval: field.shares[k],
  }));
  const kept = rows.filter((row) => row.n || row.mean >= 50).sort((a, b) => b.mean - a.mean);
  const head = Object.entries(shareColumns).map(([textContent, title], i) =>
    make('th', { scope: 'col', textContent, title, style: i ? 'text-align:right' : '' }),
  );
  const body = kept.map(labelRow);
  return make('table', {}, make('thead', {}, make('tr', {}, ...head)), make('tbody', {}, ...body));
}

function showPicture(field) {
  const large = $('#large');
  large.className = field.w ? 'pic' : 'pic none';
  large.style.aspectRatio = field.w ? `${field.w}/${field.h}` : '';
  large.style.setProperty('--ratio', field.w ? field.w / field.h : 1);
  clear(large);
  if (field.w) {
    paint(large, field.at);
  }
  large.append(field.w ? outlines(field) : 'no picture');
  markHits(large);
}

function showField(cell = null) {
  const field = open.list[open.at];
  const notes = [field.labels && `Labels of the image: ${field.labels}`, field.failed && `Failed in ${field.failed}`];
  $('#name').textContent = field.id;
  $('#at').textContent = `${open.at + 1} of ${open.list.length}`;
  $('#given').textContent = notes.filter(Boolean).join('. ');
  showPicture(field);
  $('#chips').replaceChildren(...cellsOf(field).map(makeChip));
  $('#shares').replaceChildren(labelTable(field));
  pickCell(cell);
  if (!view.open) {
    view.showModal();
  }
}

function openField(field, cell = null) {
  const list = shown.includes(field) ? shown : data.fields;
  open = { list, at: list.indexOf(field), cell };
  hideTip();
  showField(cell);
}

function closeField() {
  view.close();
  if (!$('#fields').hidden) {
    $('.open', cards[open.list[open.at].at]).focus();
  }
}

function turnField(by) {
  open.at = (open.at + by + open.list.length) % open.list.length;
  showField();
}

function stepCell(by) {
  const { first, n } = open.list[open.at];
  if (n && open.cell === null) {
    pickCell(by > 0 ? first : first + n - 1);
  } else if (n) {
    pickCell(first + ((open.cell - first + by + n) % n));
  }
  $('#chips [aria-pressed="true"]')?.focus();
}

// --- contact sheets, filled as they come into view

// A crop is a window on the picture of its sheet, which has all crops of a class.
function makeCrop(sheet, cell, column, row) {
  const face = make('i');
  const x = sheet.columns > 1 ? (100 * column) / (sheet.columns - 1) : 0;
  const y = sheet.rows > 1 ? (100 * row) / (sheet.rows - 1) : 0;
  face.style.backgroundSize = `${100 * sheet.columns}% ${100 * sheet.rows}%`;
  face.style.backgroundPosition = `${x}% ${y}%`;
  const p = percent(probability(cell, sheet.k));
  const label = `Cell ${data.numbers[cell]} of ${fieldOf(cell).id}, ${p}${flagsOf(cell) ? ', flagged' : ''}`;
  const className = flagsOf(cell) ? 'crop flagged' : 'crop';
  const button = make('button', { className, type: 'button', ariaLabel: label }, face, p);
  button.dataset.cell = cell;
  return button;
}

function fillSheet(section) {
  const sheet = data.sheets[section.dataset.sheet];
  paint(section, `s${sheet.k}`);
  for (const [row, name] of ['Surest', 'Least sure'].entries()) {
    const crops = sheet.cells[row].map((cell, column) => makeCrop(sheet, cell, column, row));
    const title = make('span', { textContent: name });
    section.append(make('div', { className: 'row' }, title, make('div', { className: 'crops' }, ...crops)));
  }
}

const nearSheets = new IntersectionObserver(
  (entries) => {
    const empty = entries.filter((entry) => entry.isIntersecting && entry.target.childElementCount < 2);
    empty.forEach((entry) => fillSheet(entry.target));
  },
  { rootMargin: '600px' },
);

function makeSheet(sheet, i) {
  const section = make('section', { className: 'sheet' }, make('h2', { textContent: data.classes[sheet.k] }));
  section.dataset.sheet = i;
  nearSheets.observe(section);
  return section;
}

$('#sheets').append(...data.sheets.map(makeSheet));

// --- the table of labels by field, 40 rows at a time

let drawn = 0;

function matrixCell(field, name, k) {
  const n = countShowing(field, k);
  const mean = meanProbability(field, k);
  const value = $('#measure').value === 'share' ? (1000 * n) / (field.n || 1) : mean;
  const td = make('td', {
    textContent: Math.round(value / 10),
    title: `${name}: ${n} of ${counted(field.n, 'cell')}, mean ${percent(mean)}`,
    className: value < 5 ? 'nil' : '',
  });
  td.style.background = `color-mix(in srgb,var(--accent) ${Math.round(value * 0.045)}%,transparent)`;
  return td;
}

function matrixRow(field) {
  const link = make('button', { className: 'link', type: 'button', textContent: field.id, title: field.id });
  const row = make('tr', {}, make('th', { scope: 'row' }, link), make('td', { textContent: field.n }));
  row.dataset.field = field.at;
  row.append(...data.classes.map((name, k) => matrixCell(field, name, k)));
  return row;
}

const matrixEnd = new IntersectionObserver(
  (entries) => {
    if (entries.some((entry) => entry.isIntersecting)) {
      drawMoreRows();
    }
  },
  { rootMargin: '400px' },
);

function drawMoreRows() {
  const next = shown.slice(drawn, drawn + 40);
  $('#rows').append(...next.map(matrixRow));
  drawn += next.length;
  matrixEnd.unobserve($('#end'));
  if (drawn < shown.length) {
    matrixEnd.observe($('#end'));
  }
}

function drawMatrix() {
  drawn = 0;
  $('#rows').replaceChildren();
  matrixEnd.observe($('#end'));
}

// --- the map of the embeddings, a dot a cell

function bestClass(cell) {
  return data.classes.reduce((best, _, k) => (probability(cell, k) > probability(cell, best) ? k : best), 0);
}

function makeDot(cell) {
  const dot = document.createElementNS(SVG, 'circle');
  dot.setAttribute('cx', data.map.x[cell]);
  dot.setAttribute('cy', data.map.y[cell]);
  dot.setAttribute('r', data.map.r);
  dot.setAttribute('fill', data.map.colours[bestClass(cell)]);
  dot.setAttribute('class', 'dot');
  dot.dataset.cell = cell;
  return dot;
}

function makeKey(k) {
  const mark = make('i');
  mark.style.background = data.map.colours[k];
  return make('li', {}, mark, data.classes[k]);
}

// Drawn when it is first looked at; the filter dims the other cells.
function drawMap() {
  if (!$('#dots').firstChild) {
    const svg = document.createElementNS(SVG, 'svg');
    svg.setAttribute('viewBox', '-15 -15 1030 1030');
    svg.append(...data.numbers.map((_, cell) => makeDot(cell)));
    $('#dots').append(svg);
    const seen = new Set(data.numbers.map((_, cell) => bestClass(cell)));
    $('#key').append(...[...seen].sort((a, b) => a - b).map(makeKey));
  }
  for (const dot of $('#dots').querySelectorAll('.dot')) {
    dot.classList.toggle('hit', isHit(Number(dot.dataset.cell)));
  }
}

// --- parts of the page

const parts = [...document.querySelectorAll('main > section')].map((section) => section.id);

function showPart(name) {
  for (const section of document.querySelectorAll('main > section')) {
    section.hidden = section.id !== name;
  }
  for (const link of document.querySelectorAll('nav a')) {
    if (link.hash === `#show-${name}`) {
      link.ariaCurrent = 'page';
    } else {
      link.removeAttribute('aria-current');
    }
  }
  const filtered = ['fields', 'labels', 'map'].includes(name);
  $('#filter').hidden = !filtered && name !== 'sheets';
  $('#filter').classList.toggle('few', !filtered);
  $('#count').hidden = !filtered;
  if (name === 'labels') {
    drawMatrix();
  }
  if (name === 'map') {
    drawMap();
  }
}

function showPartOfAddress() {
  const name = location.hash.replace('#show-', '');
  showPart(parts.includes(name) ? name : 'fields');
  scrollTo(0, 0);
}

// --- events

let frame = 0;

function refresh() {
  countClasses();
  filterFields();
  arrangeCards();
  if (!$('#labels').hidden) {
    drawMatrix();
  }
  if (data.map && !$('#map').hidden) {
    drawMap();
  }
}

function readFilter() {
  state.kind = $('#kind').value;
  state.quality = $('#quality')?.value ?? 'all';
  state.threshold = Math.round(1000 * $('#least').value);
  state.id = $('#find').value;
  state.failed = $('#failedonly').checked;
  state.order = $('#order').value;
  cancelAnimationFrame(frame);
  frame = requestAnimationFrame(refresh);
}

function openCard(event) {
  const card = event.target.closest('.card');
  if (card && event.target.closest('.open')) {
    const { cell } = event.target.dataset;
    openField(data.fields[card.dataset.field], cell ? Number(cell) : null);
  }
}

function openCrop(event) {
  const crop = event.target.closest('.crop, .dot');
  if (crop) {
    const cell = Number(crop.dataset.cell);
    openField(fieldOf(cell), cell);
  }
}

function openRow(event) {
  if (event.target.closest('.link')) {
    openField(data.fields[event.target.closest('tr').dataset.field]);
  }
}

function pickPointed(event) {
  const element = event.target.closest('[data-cell]');
  if (element && Number(element.dataset.cell) !== open.cell) {
    pickCell(Number(element.dataset.cell));
  }
}

const actions = {
  ArrowLeft: () => turnField(-1),
  ArrowRight: () => turnField(1),
  ArrowUp: () => stepCell(-1),
  ArrowDown: () => stepCell(1),
  Escape: closeField,
};

function pressKey(event) {
  const action = actions[event.key];
  if (view.open && action && !event.altKey && !event.ctrlKey && !event.metaKey) {
    event.preventDefault();
    action();
  }
}

$('#filter').addEventListener('input', readFilter);
$('#filter').addEventListener('submit', (event) => event.preventDefault());
$('#measure').addEventListener('input', drawMatrix);
$('#stain').addEventListener('input', (event) => {
  document.body.classList.toggle('protein', event.target.value === 'protein');
});
$('#grid').addEventListener('click', openCard);
$('#sheets').addEventListener('click', openCrop);
$('#dots')?.addEventListener('click', openCrop);
$('#rows').addEventListener('click', openRow);
for (const type of ['pointermove', 'focusin', 'click']) {
  $('#large').addEventListener(type, pickPointed);
  $('#chips').addEventListener(type, pickPointed);
}
$('#before').addEventListener('click', () => turnField(-1));
$('#after').addEventListener('click', () => turnField(1));
$('#close').addEventListener('click', closeField);
view.addEventListener('click', (event) => {
  if (event.target === view) {
    closeField();
  }
});
document.addEventListener('pointermove', moveTip);
document.addEventListener('scroll', hideTip, { passive: true, capture: true });
document.addEventListener('keydown', pressKey);
addEventListener('hashchange', showPartOfAddress);

refresh();
showPartOfAddress();
