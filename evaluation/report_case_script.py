"""The script of a report's pictures: what is shown in which order, and a closer look with keys, mouse or fingers."""

CASE_SCRIPT = """
const pictures = byId('pictures');

function showPictures() {
  const rank = byId('case-rank').value, error = byId('case-error').value, order = byId('case-order').value;
  const gallery = pictures.querySelector('.gallery'), cards = [...gallery.children];
  const counts = card => JSON.parse(card.dataset.counts);
  const number = (card, key) => card.dataset[key] === '' ? NaN : Number(card.dataset[key]);
  const last = value => Number.isNaN(value) ? Infinity : value;
  const rule = {
    'value': card => number(card, 'value'), '-value': card => -number(card, 'value'),
    'gap': card => last(number(card, 'gap')), '-gap': card => last(-number(card, 'gap')),
  }[order] || (card => -(counts(card)[order.slice('count:'.length)] || 0));
  if (order === 'name') cards.sort((a, b) => a.dataset.name.localeCompare(b.dataset.name, undefined, {numeric: true}));
  else cards.sort((a, b) => (rule(a) < rule(b) ? -1 : rule(a) > rule(b) ? 1 : 0));
  for (const card of cards) {
    card.hidden = (rank && !JSON.parse(card.dataset.ranks).includes(rank)) || (error && !(counts(card)[error] > 0));
  }
  gallery.append(...cards);
  const shown = cards.filter(card => !card.hidden).length;
  byId('shown-pictures').textContent = (shown < cards.length ? `${shown} of ` : '') + `${cards.length} pictures`;
}

function toggle(name) {
  const off = pictures.classList.toggle('no-' + name);
  for (const button of pictures.querySelectorAll('[data-toggle]')) {
    if (button.dataset.toggle === name) button.setAttribute('aria-pressed', !off);
  }
}

function closerLook() {
  const dialog = byId('closer'), stage = dialog.querySelector('.stage'), fingers = new Map();
  let card = null, view = {x: .5, y: .5, zoom: 1}, pinched = 0;
  const drawings = () => [...stage.querySelectorAll('.picture')];
  const visible = () => [...pictures.querySelectorAll('.case')].filter(one => !one.hidden);

  function show() {  // all drawings at the same place and magnification
    view.zoom = Math.max(1, Math.min(40, view.zoom));
    for (const side of ['x', 'y']) view[side] = Math.max(.5 / view.zoom, Math.min(1 - .5 / view.zoom, view[side]));
    for (const drawing of drawings()) {
      const [width, height] = drawing.dataset.size.split(' ').map(Number);
      const box = [(view.x - .5 / view.zoom) * width - .5, (view.y - .5 / view.zoom) * height - .5,
        width / view.zoom, height / view.zoom];
      drawing.setAttribute('viewBox', box.map(value => value.toFixed(3)).join(' '));
      drawing.style.setProperty('--zoom', view.zoom);
    }
  }
  function open(chosen) {
    card = chosen;
    byId('closer-name').textContent = card.dataset.name;
    stage.replaceChildren(...[...card.querySelectorAll('figure')].map(figure => {
      const copy = figure.cloneNode(true), drawing = copy.querySelector('.picture');
      copy.querySelector('.zoom').replaceWith(drawing);
      copy.querySelector('.persons').hidden = false;
      drawing.dataset.size = drawing.getAttribute('viewBox').split(' ').slice(2).join(' ');
      return copy;
    }));
    view = {x: .5, y: .5, zoom: 1};
    show();
    if (!dialog.open) dialog.showModal();
  }
  function step(by) {
    const cards = visible(), at = cards.indexOf(card);
    open(cards[(at + by + cards.length) % cards.length]);
  }
  function fraction(event) {  // of the picture, under the pointer
    const drawing = event.target.closest('.picture'), [width, height] = drawing.dataset.size.split(' ').map(Number);
    const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(drawing.getScreenCTM().inverse());
    return {x: (point.x + .5) / width, y: (point.y + .5) / height};
  }
  function zoom(by, at = view) {
    const before = view.zoom;
    view.zoom = Math.max(1, Math.min(40, before * by));
    for (const side of ['x', 'y']) view[side] = at[side] + (view[side] - at[side]) * before / view.zoom;
    show();
  }
  const move = (x, y) => { view.x += x / view.zoom; view.y += y / view.zoom; show(); };
  const acts = {
    previous: () => step(-1), next: () => step(1), in: () => zoom(1.5), out: () => zoom(1 / 1.5),
    whole: () => { view = {x: .5, y: .5, zoom: 1}; show(); }, close: () => dialog.close(),
  };
  const moves = {ArrowLeft: [-.1, 0], ArrowRight: [.1, 0], ArrowUp: [0, -.1], ArrowDown: [0, .1]};
  const keys = {ArrowLeft: 'previous', ArrowRight: 'next', '+': 'in', '=': 'in', '-': 'out', '0': 'whole'};

  for (const button of dialog.querySelectorAll('[data-act]')) {
    button.addEventListener('click', () => acts[button.dataset.act]());
  }
  for (const one of pictures.querySelectorAll('.zoom')) one.addEventListener('click', () => open(one.closest('.case')));
  dialog.addEventListener('keydown', event => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const letter = dialog.querySelector(`[data-key="${CSS.escape(event.key.toLowerCase())}"]`);
    if (event.shiftKey && moves[event.key]) move(...moves[event.key]);
    else if (keys[event.key]) acts[keys[event.key]]();
    else if (letter) toggle(letter.dataset.toggle);
    else return;
    event.preventDefault();
  });
  stage.addEventListener('wheel', event => {
    if (!event.target.closest('.picture')) return;
    event.preventDefault();
    zoom(Math.exp(-event.deltaY / 400), fraction(event));
  }, {passive: false});
  stage.addEventListener('dblclick', event => { if (event.target.closest('.picture')) zoom(2, fraction(event)); });
  stage.addEventListener('pointerdown', event => {
    const drawing = event.target.closest('.picture');
    if (!drawing) return;
    drawing.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, event);
    pinched = 0;
  });
  stage.addEventListener('pointermove', event => {
    const before = fingers.get(event.pointerId);
    if (!before) return;
    fingers.set(event.pointerId, event);
    if (fingers.size === 1) {
      const from = fraction(before), to = fraction(event);
      view.x -= to.x - from.x; view.y -= to.y - from.y; show();
    } else if (fingers.size === 2) {
      const [a, b] = [...fingers.values()], distance = Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY);
      if (pinched) zoom(distance / pinched, fraction(event));
      pinched = distance;
    }
  });
  for (const end of ['pointerup', 'pointercancel']) {
    stage.addEventListener(end, event => { fingers.delete(event.pointerId); pinched = 0; });
  }
}

if (pictures) {
  pictures.querySelector('.case-tools').hidden = false;
  for (const button of pictures.querySelectorAll('[data-toggle]')) {
    button.addEventListener('click', () => toggle(button.dataset.toggle));
  }
  for (const list of ['rank', 'error', 'order']) byId('case-' + list).addEventListener('change', showPictures);
  showPictures();
  closerLook();
}
"""
