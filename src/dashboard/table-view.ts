import type { Table } from '../client/connect.ts';
import { colourOf } from '../roulette/colour.ts';
import { land, lastAt, strategyLine } from './card.ts';
import { chip, createStrip } from './chip.ts';
import { fill, h, setText } from './dom.ts';
import { createFigures } from './figures.ts';
import { freshnessOf, span } from './time.ts';
import type { Surroundings, View } from './view.ts';
import { createLayout, createWheel } from './wheel.ts';

const LONG_HISTORY = 200;

const panel = (title: string, kind: string, ...children: HTMLElement[]): HTMLElement =>
  h('section', { class: `panel ${kind}` }, h('h2', {}, title), ...children);

/** One table in full: its last 200 numbers, where they fell, and its strategy. */
export function createTableView({ model, say, language, announce }: Surroundings, id: string): View {
  const stopDeepening = model.deepen(id);
  const name = h('h1', {}, id);
  const age = h('span', { class: 'age' });
  const last = h('div', { class: 'last' });
  const wheel = createWheel(say);
  const layout = createLayout(say);
  const figures = createFigures(say);
  const history = createStrip(say, LONG_HISTORY, say('history'));
  const amount = h('p', { class: 'note' });
  const strategy = h('div', {});
  const changes = h('ol', { class: 'changes' });
  const missing = h('p', { class: 'empty' }, say('unknownTable'));
  const body = h(
    'div',
    { class: 'table-panels' },
    panel(say('wheel'), 'on-wheel', h('div', { class: 'wheel-frame' })),
    panel(say('strategy'), 'of-strategy', strategy, h('h3', {}, say('strategyHistory')), changes),
    panel(say('layout'), 'on-layout', layout.element),
    panel(say('summary'), 'in-figures', figures.element),
    panel(say('history'), 'as-history', amount, history.element),
  );
  body.querySelector('.wheel-frame')?.append(wheel.element);
  const element = h(
    'section',
    { class: 'table-view', 'aria-label': say('table') },
    h('p', { class: 'back' }, h('a', { href: '#/' }, `← ${say('back')}`)),
    h('header', {}, last, h('div', {}, name, age)),
    missing,
    body,
  );
  let table: Table | null = null;
  let drawnLast: unknown;

  const drawStrategy = (of: Table): void => {
    const { estrategia } = of;
    const details = estrategia && [
      h('dt', {}, say('trigger')),
      h(
        'dd',
        {},
        estrategia.numero_gatilho < 0
          ? '–'
          : chip({ numero: estrategia.numero_gatilho, cor: colourOf(estrategia.numero_gatilho) }, say),
      ),
      h('dt', {}, say('terminals')),
      h(
        'dd',
        {},
        ...(estrategia.terminais_gatilho.length === 0
          ? ['–']
          : estrategia.terminais_gatilho.map((numero) => chip({ numero, cor: colourOf(numero) }, say))),
      ),
    ];
    const played = (estrategia?.vitorias ?? 0) + (estrategia?.derrotas ?? 0);
    const rate = played === 0 ? null : Math.round((100 * (estrategia?.vitorias ?? 0)) / played);
    const meter = h('span', { class: 'share-bar won' });
    meter.style.setProperty('--share', `${rate ?? 0}%`);
    fill(strategy, [
      strategyLine(of, say),
      details && h('dl', { class: 'trigger-facts' }, ...details),
      rate !== null && h('p', { class: 'rate' }, meter, `${rate} % ${say('rate')}`),
    ]);
    const kept = model.strategyChanges(id);
    fill(
      changes,
      kept.length === 0
        ? [h('li', { class: 'note' }, say('noChanges'))]
        : kept.map(({ at, estrategia: then }) =>
            h(
              'li',
              {},
              h('time', {}, new Date(at).toLocaleTimeString(language)),
              h('span', { class: `badge ${then.estado.toLowerCase()}` }, say(then.estado)),
              h('span', {}, `${say('winsShort', then.vitorias)} ${say('lossesShort', then.derrotas)}`),
            ),
          ),
    );
  };

  const view: View = {
    element,
    get title() {
      return table?.nome ?? id;
    },
    draw({ tables, landed }) {
      const next = model.tables.get(id) ?? null;
      missing.hidden = next !== null || model.state.name !== 'live';
      body.hidden = next === null;
      if (!next || (next === table && !tables.has(id))) return;
      const before = table;
      table = next;
      setText(name, next.nome === '' ? id : next.nome);
      element.classList.toggle('stale', next.stale);
      const [newest] = next.numeros;
      if (drawnLast !== newest) {
        drawnLast = newest;
        fill(last, [newest ? chip(newest, say, true) : h('span', { class: 'chip big empty' }, '–')]);
        if (landed.has(id) && newest) {
          if (last.firstElementChild) land(last.firstElementChild);
          announce(say('newNumber', next.nome, newest.numero, say(newest.cor)));
        }
      }
      if (before?.numeros !== next.numeros) {
        const counts = figures.update(next.numeros.map(({ numero }) => numero));
        wheel.update(counts, newest?.numero ?? null);
        layout.update(counts, newest?.numero ?? null);
        history.update(next.numeros);
        setText(amount, say('historyOf', next.numeros.length));
      }
      if (before?.estrategia !== next.estrategia) drawStrategy(next);
      view.tick(Date.now());
    },
    tick(now) {
      if (!table) return;
      const at = lastAt(table);
      const text = at === null ? say('never') : say('ago', span(now - at));
      setText(age, `${id} · ${table.stale ? say('stale') : text}`);
      age.dataset['fresh'] = at === null ? 'silent' : freshnessOf(now - at);
    },
    leave: stopDeepening,
  };
  view.draw({ tables: new Set([id]), landed: new Set(), state: false, log: false, moved: false });
  return view;
}
