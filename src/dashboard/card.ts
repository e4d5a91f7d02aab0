import type { Table } from '../client/connect.ts';
import { chip, createStrip } from './chip.ts';
import { fill, h, setText } from './dom.ts';
import type { Say } from './text.ts';
import { freshnessOf, span } from './time.ts';

export interface Card {
  readonly element: HTMLElement;
  update(table: Table, landed: boolean): void;
  /** Once a second: only the words about time. */
  tick(now: number): void;
  pinned(is: boolean): void;
}

/** The badge of a strategy's state, with its suggestion and score; used by cards and by the view of a table. */
export function strategyLine(table: Table, say: Say): HTMLElement {
  const { estrategia } = table;
  if (!estrategia) return h('p', { class: 'strategy none' }, say('noStrategy'));
  return h(
    'p',
    { class: 'strategy' },
    h('span', { class: `badge ${estrategia.estado.toLowerCase()}` }, say(estrategia.estado)),
    h('span', { class: 'suggestion' }, estrategia.sugestao_display),
    h(
      'span',
      { class: 'score' },
      h('span', { class: 'won', title: say('wins') }, say('winsShort', estrategia.vitorias)),
      ' ',
      h('span', { class: 'lost', title: say('losses') }, say('lossesShort', estrategia.derrotas)),
    ),
  );
}

export const lastAt = (table: Table): number | null => {
  const [newest] = table.numeros;
  return newest ? Date.parse(newest.timestamp) : null;
};

/**
 * Shows a new number as just landed; motion is the style sheet's business, and it respects the wish for none. The
 * element is new each time, so its animation starts by itself, without asking for a layout.
 */
export const land = (element: Element): void => element.classList.add('landed');

export function createCard(id: string, say: Say, togglePin: () => void): Card {
  const name = h('a', { href: `#/mesa/${id}` });
  const pin = h('button', { type: 'button', class: 'pin', 'aria-pressed': 'false' });
  pin.addEventListener('click', togglePin);
  const age = h('span', { class: 'age' });
  const last = h('div', { class: 'last' });
  const strip = createStrip(say, 15, say('lastNumbers'));
  const strategy = h('div', { class: 'strategy-slot' });
  const element = h(
    'article',
    { class: 'card', 'data-table': id },
    h('header', {}, h('h2', {}, name), age, pin),
    h('div', { class: 'numbers' }, last, strip.element),
    strategy,
  );
  let table: Table | null = null;
  let drawnStrategy: Table['estrategia'] | undefined;
  let drawnLast: unknown;

  const card: Card = {
    element,
    update(next, landed) {
      table = next;
      setText(name, next.nome === '' ? next.id : next.nome);
      name.title = next.id;
      pin.title = next.nome;
      element.classList.toggle('stale', next.stale);
      const [newest, ...rest] = next.numeros;
      if (drawnLast !== newest) {
        drawnLast = newest;
        fill(last, [newest ? chip(newest, say, true) : h('span', { class: 'chip big empty' }, '–')]);
        if (landed && last.firstElementChild) land(last.firstElementChild);
      }
      strip.update(rest);
      if (drawnStrategy !== next.estrategia) {
        drawnStrategy = next.estrategia;
        fill(strategy, [strategyLine(next, say)]);
        element.classList.toggle('signal', next.estrategia?.estado === 'TRIGGER');
      }
      card.tick(Date.now());
    },
    tick(now) {
      if (!table) return;
      const at = lastAt(table);
      const ageMs = at === null ? Number.POSITIVE_INFINITY : now - at;
      setText(age, table.stale ? say('stale') : at === null ? say('never') : say('ago', span(ageMs)));
      age.dataset['fresh'] = at === null ? 'silent' : freshnessOf(ageMs);
    },
    pinned(is) {
      pin.setAttribute('aria-pressed', String(is));
      pin.setAttribute('aria-label', `${say(is ? 'unpin' : 'pin')}: ${name.textContent ?? id}`);
      element.classList.toggle('pinned', is);
    },
  };
  return card;
}
