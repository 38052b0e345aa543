'use strict';

// --- what the pages of the report and of the review share

const SVG = 'http://www.w3.org/2000/svg';

function $(query, root = document) {
  return root.querySelector(query);
}

function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

function percent(thousandths) {
  return `${Math.round(thousandths / 10)} %`;
}

function counted(n, word) {
  return `${n.toLocaleString('en')} ${word}${n === 1 ? '' : 's'}`;
}

