"""The script of a report: light and dark, values under the cursor, and a recipe that can be searched."""

# Runs before anything is drawn, so that nothing flashes.
EARLY_SCRIPT = """
'use strict';
function storedTheme() { try { return localStorage.getItem('posestream-theme'); } catch { return null; } }
if (['light', 'dark'].includes(storedTheme())) document.documentElement.dataset.theme = storedTheme();
"""

SCRIPT = """
'use strict';
const byId = id => document.getElementById(id);

const systemDark = matchMedia('(prefers-color-scheme: dark)'), themeButton = byId('theme');
const isDark = () => (document.documentElement.dataset.theme || (systemDark.matches ? 'dark' : 'light')) === 'dark';
function nameTheme() { themeButton.textContent = isDark() ? 'light' : 'dark'; }
themeButton.addEventListener('click', () => {
  const theme = isDark() ? 'light' : 'dark';
  document.documentElement.dataset.theme = theme;
  try { localStorage.setItem('posestream-theme', theme); } catch { /* a browser that keeps nothing */ }
  nameTheme();
});
systemDark.addEventListener('change', nameTheme);
themeButton.setAttribute('aria-label', 'switch between light and dark');
themeButton.hidden = false;
nameTheme();

const tip = byId('tip');
function hideTip(chart) {
  tip.hidden = true;
  for (const side of ['x1', 'x2']) chart.querySelector('.cursor').setAttribute(side, -9);
}
function showTip(chart, x) {
  const lines = [...chart.querySelectorAll('path.line')].map(path => ({
    name: path.dataset.name, points: JSON.parse(path.dataset.points)}));
  const nearest = points => points.reduce((best, one) => Math.abs(one[0] - x) < Math.abs(best[0] - x) ? one : best);
  const found = lines.map(line => ({name: line.name, at: nearest(line.points)}));
  const place = found.map(one => one.at).reduce((a, b) => Math.abs(b[0] - x) < Math.abs(a[0] - x) ? b : a);
  tip.replaceChildren(...[place[2], ...found.map(one => `${one.name}: ${one.at[3]}`)].map(text => {
    const line = document.createElement('div');
    line.textContent = text;
    return line;
  }));
  for (const side of ['x1', 'x2']) chart.querySelector('.cursor').setAttribute(side, place[0]);
  tip.hidden = false;
  const box = chart.getBoundingClientRect(), scale = box.width / 340;
  tip.style.left = Math.max(4, Math.min(box.left + place[0] * scale + 12, innerWidth - tip.offsetWidth - 4)) + 'px';
  tip.style.top = Math.max(4, Math.min(box.top + 8, innerHeight - tip.offsetHeight - 4)) + 'px';
  return place;
}
for (const chart of document.querySelectorAll('.chart')) {
  const along = event => (event.clientX - chart.getBoundingClientRect().left) * 340 / chart.clientWidth;
  const stops = [...new Set([...chart.querySelectorAll('path.line')].flatMap(path =>
    JSON.parse(path.dataset.points).map(point => point[0])))].sort((a, b) => a - b);
  let stop = stops.length - 1;
  chart.addEventListener('pointermove', event => showTip(chart, along(event)));
  chart.addEventListener('pointerdown', event => showTip(chart, along(event)));
  chart.addEventListener('pointerleave', () => hideTip(chart));
  chart.addEventListener('blur', () => hideTip(chart));
  chart.addEventListener('keydown', event => {
    const step = {ArrowLeft: -1, ArrowRight: 1}[event.key];
    if (event.key === 'Escape') hideTip(chart);
    if (!step) return;
    event.preventDefault();
    stop = Math.max(0, Math.min(stops.length - 1, stop + step));
    showTip(chart, stops[stop]);
  });
}

const settings = byId('settings');
if (settings) {
  const word = byId('find-setting'), differing = byId('differing');
  const filter = () => {
    const only = differing && differing.getAttribute('aria-pressed') === 'true';
    for (const row of settings.querySelectorAll('tbody tr')) {
      row.hidden = !row.dataset.find.includes(word.value.trim().toLowerCase()) ||
        (only && !row.classList.contains('differs'));
    }
  };
  settings.querySelector('.tools').hidden = false;
  word.addEventListener('input', filter);
  if (differing) differing.addEventListener('click', () => {
    differing.setAttribute('aria-pressed', differing.getAttribute('aria-pressed') !== 'true');
    filter();
  });
}
"""
