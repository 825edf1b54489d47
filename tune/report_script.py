"""The script and style of a report: figures in the colours of the page, and a table that sorts and filters."""

STYLE = """
:root { color-scheme: light dark; --text: #1d2126; --quiet: #646c75; --paper: #fff; --grid: #e3e6ea; --best: #e8710a;
  --failed: #d62839; }
@media (prefers-color-scheme: dark) {
  :root { --text: #dfe3e8; --quiet: #98a1ab; --paper: #15181c; --grid: #30363d; } }
* { box-sizing: border-box; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 1.5rem auto; max-width: 80rem; padding: 0 1rem;
  color: var(--text); background: var(--paper); }
h1 { font-size: 1.5rem; margin: 0; overflow-wrap: anywhere; } h2 { font-size: 1.15rem; margin: 2rem 0 .25rem; }
p { margin: .25rem 0 .75rem; } .quiet { color: var(--quiet); overflow-wrap: anywhere; }
code, pre { font: .85rem/1.45 ui-monospace, monospace; } pre { white-space: pre-wrap; overflow-wrap: anywhere;
  border-left: 3px solid var(--grid); padding: .25rem .75rem; margin: .5rem 0; }
.scroll { overflow: auto; max-height: 80vh; border: 1px solid var(--grid); border-radius: 6px; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; min-width: 100%; }
th, td { padding: .25rem .7rem; border-bottom: 1px solid var(--grid); text-align: left; vertical-align: top; }
tr:last-child td { border-bottom: 0; } td.number, th.number { text-align: right; }
td.number, td.where { white-space: nowrap; }
th { position: sticky; top: 0; background: var(--paper); z-index: 1; font-size: .85rem; vertical-align: bottom;
  color: var(--quiet); }
th button { all: unset; cursor: pointer; } th button:focus-visible { outline: 2px solid var(--best); }
th[aria-sort] { color: var(--text); } th[aria-sort=ascending] button::after { content: " ↑"; }
th[aria-sort=descending] button::after { content: " ↓"; }
td { font-size: .9rem; } td small { display: block; width: 14rem; overflow-wrap: anywhere; color: var(--quiet); }
tr.best td:first-child { box-shadow: inset 4px 0 var(--best); } tr.failed td:first-child {
  box-shadow: inset 4px 0 var(--failed); }
.figure { width: 100%; } .wide { overflow-x: auto; } .slices { display: grid; gap: .5rem;
  grid-template-columns: repeat(auto-fill, minmax(min(22rem, 100%), 1fr)); }
tr[hidden] { display: none; }
"""

SCRIPT = """
'use strict';
const figures = JSON.parse(document.getElementById('figures').textContent);
const dark = matchMedia('(prefers-color-scheme: dark)');
const colour = name => getComputedStyle(document.documentElement).getPropertyValue('--' + name).trim();

function template() {
  const axis = {gridcolor: colour('grid'), linecolor: colour('grid'), zerolinecolor: colour('grid')};
  return {layout: {
    paper_bgcolor: colour('paper'), plot_bgcolor: colour('paper'), xaxis: axis, yaxis: axis,
    font: {color: colour('text'), family: 'system-ui, sans-serif', size: 12},
    hoverlabel: {bgcolor: colour('paper'), bordercolor: colour('quiet'), font: {color: colour('text')}, align: 'left'},
  }};
}

function draw() {
  for (const [id, figure] of Object.entries(figures)) {
    const layout = {...figure.layout, template: template()};
    Plotly.react(id, figure.data, layout, {
      responsive: true, displaylogo: false, displayModeBar: innerWidth < 640 ? false : 'hover',
      modeBarButtons: [['toImage', 'zoom2d', 'pan2d', 'resetScale2d']],  // plotly's own would offer an upload
    });
  }
}

function sortBy(header) {
  const table = header.closest('table'), body = table.tBodies[0], column = header.cellIndex;
  const ascending = header.getAttribute('aria-sort') !== 'ascending';
  for (const other of table.tHead.rows[0].cells) other.removeAttribute('aria-sort');
  header.setAttribute('aria-sort', ascending ? 'ascending' : 'descending');
  const value = row => row.cells[column].dataset.value;
  const numbers = header.classList.contains('number');
  const compare = (a, b) => numbers ? a - b : a.localeCompare(b, undefined, {numeric: true});
  const rows = [...body.rows];
  const known = rows.filter(row => value(row) !== ''), unknown = rows.filter(row => value(row) === '');
  known.sort((a, b) => (ascending ? 1 : -1) * compare(value(a), value(b)));
  body.append(...known, ...unknown);  // what has no value stays at the end
}

function showPicked() {
  const lines = document.getElementById('parallel').data[0];
  const inside = (value, range) => value >= range[0] && value <= range[1];
  const picked = index => lines.dimensions.every(({values, constraintrange: chosen}) => !chosen || !chosen.length ||
    (Array.isArray(chosen[0]) ? chosen : [chosen]).some(range => inside(values[index], range)));
  let count = 0;
  const rows = [...document.querySelectorAll('#trials tbody tr')];
  for (const row of rows) { row.hidden = !picked(row.dataset.number - 1); count += !row.hidden; }
  document.getElementById('picked').textContent =
    count < rows.length ? `${count} of ${rows.length}, as picked in the parallel coordinates` : '';
}

for (const button of document.querySelectorAll('th button')) {
  button.addEventListener('click', () => sortBy(button.closest('th')));
}
draw();
dark.addEventListener('change', draw);
if (figures.parallel) document.getElementById('parallel').on('plotly_restyle', showPicked);
"""
