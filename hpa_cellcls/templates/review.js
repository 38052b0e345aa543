'use strict';

// --- what is known, what is shown, what is kept in the browser

const data = JSON.parse(document.getElementById('data').textContent);
const letters = 'abcdefghijklmnopqrs';
const stains = {
  red: ['Microtubules', [1, 0, 0]],
  green: ['Protein', [0, 1, 0]],
  blue: ['Nucleus', [0, 0, 1]],
  yellow: ['Reticulum', [0.5, 0.5, 0]],
};
const values = [[0, 'No'], [0.2, '.2'], [0.7, '.7'], [0.9, '.9'], [1, 'Yes']];
const state = { question: null, several: false, chosen: new Map(), busy: true };
const view = { off: [], gain: 1.5, outline: true, field: false };
const pictures = new Map();

function remember(store, key, value) {
  try {
    store.setItem(`hpa_cellcls ${key}`, JSON.stringify(value));
  } catch {
    // a browser that keeps nothing only forgets settings
  }
}

function recall(store, key) {
  try {
    return JSON.parse(store.getItem(`hpa_cellcls ${key}`));
  } catch {
    return null;
  }
}

// --- the server

function makeKey() {
  return [...crypto.getRandomValues(new Uint32Array(3))].map((n) => n.toString(16).padStart(8, '0')).join('');
}

function setup() {
  return { who: $('#who').value.trim(), order: $('#order').value, only: $('#only').value };
}

async function ask(path, body) {
  const how = body && { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) };
  const reply = await fetch(path, how || {});
  return reply.json();
}

// Ask until the server answers; an answer of a person stays in the browser until the server has it.
async function insist(path, body) {
  setBusy(true);
  remember(sessionStorage, 'waiting', body ? { path, body } : null);
  for (;;) {
    try {
      const reply = await ask(path, body);
      remember(sessionStorage, 'waiting', null);
      trouble('');
      return reply;
    } catch {
      trouble(`${body ? 'Not saved yet: the' : 'The'} server does not answer. This page tries again until it is back on the same port.`);
      await new Promise((done) => { setTimeout(done, 700); });
    }
  }
}

async function send(path, body) {
  const reply = await insist(path, { ...body, ...setup(), key: makeKey() });
  await showReply(reply);
}

async function showNext() {
  await showReply(await insist(`next?${new URLSearchParams(setup())}`));
}

async function start() {
  const waiting = recall(sessionStorage, 'waiting');
  if (waiting) {
    await showReply(await insist(waiting.path, waiting.body));
  } else {
    await showNext();
  }
}

// --- a question

function trouble(text) {
  $('#trouble').textContent = text;
  $('#trouble').hidden = !text;
}

function setBusy(busy) {
  state.busy = busy;
  for (const button of document.querySelectorAll('#ask button')) {
    button.disabled = busy || (!state.question && button.id !== 'undo');
  }
}

async function showReply(reply) {
  if (reply.progress) {
    showProgress(reply.progress);
  }
  $('#note').textContent = [reply.note, reply.error].filter(Boolean).join(' ');
  if ('question' in reply) {
    await showQuestion(reply.question);
  }
  setBusy(false);
}

function showProgress(progress) {
  const parts = [
    `${counted(progress.answered, 'cell')} of ${progress.all.toLocaleString('en')} answered, ${progress.mine} by you`,
    `${progress.lot} drawn by lot so far`,
  ];
  if (progress.left_out.length) {
    parts.push(`${counted(progress.left_out.length, 'field')} left out (${progress.left_out[0]})`);
  }
  $('#progress').textContent = `${parts.join('; ')}.`;
}

async function showQuestion(question) {
  state.question = question;
  state.chosen = new Map();
  state.several = Boolean(question) && question.about < 0;
  view.field = false;
  if (question) {
    await readPlanes(question.picture);
    describe(question);
  } else {
    $('#question').textContent = 'Nothing is left to ask.';
    $('#blind').hidden = true;
    for (const id of ['why', 'labels', 'place', 'says']) {
      document.getElementById(id).replaceChildren();
    }
  }
  showSeveral();
  draw();
  if ($('#ask').contains(document.activeElement)) {
    $('#question').focus({ preventScroll: true });
  }
}

function describe(question) {
  $('#why').textContent = question.why;
  $('#hints').hidden = question.blind;
  $('#blind').hidden = !question.blind;
  $('#labels').textContent = question.labels.map((k) => data.classes[k]).join(', ') || 'not known';
  $('#place').textContent = `Cell ${question.number} of ${question.id}. ${question.said.join(' ')}`;
  const order = question.p.map((_, k) => k).sort((a, b) => question.p[b] - question.p[a]);
  const shown = order.filter((k, i) => i < 4 || k === question.about).slice(0, 5);
  $('#says').replaceChildren(...shown.flatMap((k) => [
    make('dt', { textContent: data.classes[k] }),
    bar(question.p[k]),
    make('dd', { textContent: percent(question.p[k]) }),
  ]));
}

function bar(thousandths) {
  const filled = make('i');
  filled.style.width = `${thousandths / 10}%`;
  return make('span', {}, filled);
}

// --- answers

function answer(more) {
  if (state.busy || !state.question) {
    return;
  }
  const { id, number, mark, about } = state.question;
  send('answer', { id, number, mark, about: about < 0 ? null : about, ...more });
}

function answerValue(value) {
  if (!state.several) {
    answer({ answer: 'labels', values: { [state.question.about]: value } });
  }
}

function saveSeveral() {
  if (!state.several) {
    return;
  }
  if (!state.chosen.size) {
    $('#note').textContent = 'Choose what the cell shows, or Negative.';
    return;
  }
  answer({ answer: 'labels', complete: true, values: Object.fromEntries(state.chosen) });
}

function undo() {
  if (!state.busy) {
    send('undo', {});
  }
}

// Off, yes, nearly, probably, hardly, off.
function choose(k) {
  if (state.busy || !state.several) {
    return;
  }
  const next = { undefined: 1, 1: 0.9, 0.9: 0.7, 0.7: 0.2 }[state.chosen.get(k)];
  if (next) {
    state.chosen.set(k, next);
  } else {
    state.chosen.delete(k);
  }
  showSeveral();
}

function toggleSeveral() {
  if (state.question && state.question.about >= 0) {
    state.several = !state.several;
    showSeveral();
  }
}

function showSeveral() {
  const { question, several, chosen } = state;
  if (question) {
    $('#question').textContent = several ? 'What does this cell show?' : `Does this cell show ${data.classes[question.about]}?`;
  }
  $('#values').hidden = several || !question;
  $('#several').hidden = !several;
  $('#send').hidden = !several;
  $('#more').hidden = Boolean(question) && question.about < 0;
  $('#more').setAttribute('aria-pressed', several);
  for (const [k, button] of [...$('#several').children].entries()) {
    const value = chosen.get(k);
    button.setAttribute('aria-pressed', value !== undefined);
    button.classList.toggle('likely', Boolean(question) && question.labels.includes(k));
    $('b', button).textContent = value === undefined || value === 1 ? '' : `${value}`.slice(1);
  }
}

// --- pictures: planes of grey, one for each stain, are put together here

async function readPlanes(picture) {
  picture.planes = {};
  for (const [stain, text] of Object.entries(picture.stains)) {
    const image = new Image();
    image.src = `data:image/webp;base64,${text}`;
    await image.decode();
    const canvas = make('canvas', { width: image.naturalWidth, height: image.naturalHeight });
    const context = canvas.getContext('2d', { willReadFrequently: true });
    context.drawImage(image, 0, 0);
    picture.planes[stain] = context.getImageData(0, 0, canvas.width, canvas.height);
  }
}

function paint(picture) {
  const canvas = $('#picture');
  const planes = Object.entries(picture.planes);
  const [, first] = planes[0];
  canvas.width = first.width;
  canvas.height = first.height;
  const out = new ImageData(first.width, first.height);
  const shown = planes.filter(([stain]) => !view.off.includes(stain));
  for (const [stain, plane] of shown) {
    const colour = shown.length === 1 ? [1, 1, 1] : stains[stain][1];
    for (let i = 0; i < out.data.length; i += 4) {
      const level = plane.data[i] * view.gain;
      out.data[i] += level * colour[0];
      out.data[i + 1] += level * colour[1];
      out.data[i + 2] += level * colour[2];
    }
  }
  for (let i = 3; i < out.data.length; i += 4) {
    out.data[i] = 255;
  }
  canvas.getContext('2d', { willReadFrequently: true }).putImageData(out, 0, 0);
  $('#stage').style.setProperty('--ratio', first.width / first.height);
}

function draw() {
  const { question } = state;
  const picture = question && ((view.field && pictures.get(question.id)) || question.picture);
  $('#lines').replaceChildren();
  if (picture) {
    paint(picture);
    drawLines(question, picture);
  } else {
    $('#picture').width = 1;
  }
  for (const button of $('#stains').children) {
    button.hidden = Boolean(picture) && !(button.dataset.stain in picture.planes);
    button.setAttribute('aria-pressed', !view.off.includes(button.dataset.stain));
  }
  $('#outline').setAttribute('aria-pressed', view.outline);
  $('#around').setAttribute('aria-pressed', view.field);
  $('#around').disabled = !question || !question.has_field;
}

function drawLines(question, picture) {
  if (!view.outline || !picture.window) {
    return;
  }
  $('#lines').setAttribute('viewBox', picture.window.join(' '));
  for (const [number, path] of question.outlines) {
    const line = document.createElementNS(SVG, 'path');
    line.setAttribute('d', path);
    line.classList.toggle('now', number === question.number);
    $('#lines').append(line);
  }
}

function toggleStain(stain) {
  view.off = view.off.includes(stain) ? view.off.filter((other) => other !== stain) : [...view.off, stain];
  redraw();
}

function redraw() {
  remember(localStorage, 'view', { off: view.off, gain: view.gain, outline: view.outline });
  draw();
}

async function toggleField() {
  const { question } = state;
  if (!question || !question.has_field) {
    return;
  }
  view.field = !view.field;
  if (view.field && !pictures.has(question.id)) {
    const reply = await ask(`field?${new URLSearchParams({ id: question.id })}`).catch(() => ({}));
    if (reply.picture) {
      await readPlanes(reply.picture);
      pictures.set(question.id, reply.picture);
    }
    if (pictures.size > 8) {
      pictures.delete(pictures.keys().next().value);
    }
  }
  draw();
}

function toggleFull() {
  const full = document.body.classList.toggle('full');
  $('#full').setAttribute('aria-pressed', full);
}

// --- buttons and keys

function fillButtons() {
  values.forEach(([value, name], i) => {
    const key = make('kbd', { textContent: { 0: 'n 1', 4: 'y 5' }[i] || i + 1 });
    $('#values').append(make('button', { type: 'button', onclick: () => answerValue(value) }, name, key));
  });
  data.classes.forEach((name, k) => {
    const button = make('button', { type: 'button', onclick: () => choose(k) }, make('kbd', { textContent: letters[k] }), name, make('b'));
    $('#several').append(button);
  });
  Object.entries(stains).forEach(([stain, [name]], i) => {
    const dot = make('i', { className: stain });
    const button = make('button', { type: 'button', onclick: () => toggleStain(stain) }, dot, name, make('kbd', { textContent: i + 6 }));
    button.dataset.stain = stain;
    $('#stains').append(button);
  });
}

function setGain(gain) {
  view.gain = Math.min(6, Math.max(0.3, gain));
  $('#gain').value = view.gain;
  redraw();
}

const keys = {
  w: () => answer({ answer: 'no whole cell' }),
  u: () => answer({ answer: 'not sure' }),
  z: undo,
  v: toggleField,
  t: toggleFull,
  x: () => { view.outline = !view.outline; redraw(); },
  Enter: saveSeveral,
  '+': () => setGain(view.gain * 1.25),
  '-': () => setGain(view.gain / 1.25),
};
const keysOfOne = { y: () => answerValue(1), n: () => answerValue(0), l: toggleSeveral };

function pressed(event) {
  const typing = event.target.matches('input[type="text"], select');
  if (typing || event.ctrlKey || event.metaKey || event.altKey || event.repeat) {
    return;
  }
  const k = letters.indexOf(event.key);
  const digit = '123456789'.indexOf(event.key);
  const action = keys[event.key] || (!state.several && keysOfOne[event.key]);
  if (event.key === 'Enter' && event.target.matches('button:not(#several button)')) {
    return;
  }
  if (event.key === 'Escape' && document.body.classList.contains('full')) {
    toggleFull();
  } else if (event.key === 'Escape' && state.several) {
    toggleSeveral();
  } else if (state.several && k >= 0) {
    choose(k);
  } else if (digit >= 5) {
    toggleStain(Object.keys(stains)[digit - 5]);
  } else if (digit >= 0 && state.question) {
    answerValue(values[digit][0]);
  } else if (action) {
    action();
  } else {
    return;
  }
  event.preventDefault();
}

function begin() {
  fillButtons();
  Object.assign(view, recall(localStorage, 'view'));
  $('#gain').value = view.gain;
  $('#who').value = recall(localStorage, 'who') || data.who;
  $('#order').value = data.order;
  $('#only').value = data.only;
  for (const [id, action] of Object.entries({ cut: keys.w, unsure: keys.u, more: toggleSeveral, undo, save: saveSeveral })) {
    document.getElementById(id).onclick = action;
  }
  for (const [id, action] of Object.entries({ outline: keys.x, around: toggleField, full: toggleFull })) {
    document.getElementById(id).onclick = action;
  }
  $('#gain').oninput = () => setGain(Number($('#gain').value));
  $('#setup').onsubmit = (event) => event.preventDefault();
  $('#setup').onchange = () => {
    remember(localStorage, 'who', $('#who').value.trim());
    if (!state.busy) {
      showNext();
    }
  };
  document.addEventListener('keydown', pressed);
  start();
}

begin();
