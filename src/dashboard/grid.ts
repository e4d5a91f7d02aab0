import type { Table } from '../client/connect.ts';
import { type Card, createCard, lastAt } from './card.ts';
import { h, setText } from './dom.ts';
import type { Surroundings, View } from './view.ts';

type Order = 'name' | 'recent' | 'activity';

const isOrder = (text: string | null): text is Order => text === 'name' || text === 'recent' || text === 'activity';

/** Cards change their places at most this often, and never under the pointer or the focus. */
const REORDER_MS = 4_000;
const ACTIVITY_MS = 600_000;

/** Letters without accents, so that `turkce` finds `Türkçe`. */
const plain = (text: string): string => text.normalize('NFD').replace(/\p{M}/gu, '').toLowerCase();

const activityOf = (table: Table, now: number): number =>
  table.numeros.filter((item) => now - Date.parse(item.timestamp) < ACTIVITY_MS).length;

/** All tables at a glance. */
export function createGrid({ model, memory, say }: Surroundings): View {
  const cards = new Map<string, Card>();
  const pins = new Set((memory.get('pins') ?? '').split(',').filter((id) => id !== ''));
  const remembered = memory.get('order');
  let order: Order = isOrder(remembered) ? remembered : 'name';
  let orderedAt = 0;
  let pointerInside = false;

  const search = h('input', {
    type: 'search',
    id: 'search',
    placeholder: say('search'),
    'aria-label': say('search'),
    autocomplete: 'off',
  });
  const sort = h(
    'select',
    { id: 'sort' },
    ...(['name', 'recent', 'activity'] as const).map((value) =>
      h(
        'option',
        { value, selected: value === order },
        say(value === 'name' ? 'sortName' : value === 'recent' ? 'sortRecent' : 'sortActivity'),
      ),
    ),
  );
  const signals = h('input', { type: 'checkbox', id: 'signals' });
  const count = h('span', { class: 'count', role: 'status' });
  const empty = h('p', { class: 'empty' });
  const cells = h('div', { class: 'cards' });
  const element = h(
    'section',
    { class: 'grid-view', 'aria-label': say('tables') },
    h(
      'div',
      { class: 'toolbar' },
      search,
      h('span', { class: 'pair' }, h('label', { for: 'sort' }, say('sort')), sort),
      h('label', { class: 'check', for: 'signals' }, signals, say('onlySignals')),
      count,
    ),
    empty,
    cells,
  );

  const compare = (a: Table, b: Table, now: number): number => {
    const byPin = Number(pins.has(b.id)) - Number(pins.has(a.id));
    if (byPin !== 0) return byPin;
    if (order === 'recent') return (lastAt(b) ?? 0) - (lastAt(a) ?? 0);
    const byActivity = order === 'activity' ? activityOf(b, now) - activityOf(a, now) : 0;
    return byActivity || a.nome.localeCompare(b.nome) || (a.id < b.id ? -1 : 1);
  };

  /** Puts the cards in order; a card that holds the focus is never taken out of the document. */
  const arrange = (): void => {
    orderedAt = Date.now();
    const sorted = [...model.tables.values()].sort((a, b) => compare(a, b, orderedAt));
    const wanted = sorted.flatMap(({ id }) => cards.get(id)?.element ?? []);
    const focused = wanted.find((each) => each.contains(document.activeElement));
    const split = focused ? wanted.indexOf(focused) : -1;
    if (wanted.every((each, at) => cells.children[at] === each)) return;
    if (focused) {
      for (const each of wanted.slice(0, split)) cells.insertBefore(each, focused);
      cells.append(...wanted.slice(split + 1));
    } else {
      cells.append(...wanted);
    }
  };

  /** Hides or shows one card; true when that changed something. */
  const sift = (id: string, asked: string): boolean => {
    const card = cards.get(id);
    const table = model.tables.get(id);
    if (!card || !table) return false;
    const named = asked === '' || plain(table.nome).includes(asked) || id.includes(asked);
    const hidden = !named || (signals.checked && table.estrategia?.estado !== 'TRIGGER');
    if (card.element.hidden === hidden) return false;
    card.element.hidden = hidden;
    return true;
  };

  const recount = (): void => {
    const shown = [...cards.values()].filter((card) => !card.element.hidden).length;
    setText(count, `${shown}/${cards.size}`);
    setText(empty, cards.size === 0 ? say('noTables') : shown === 0 ? say('noMatch') : '');
    empty.hidden = shown > 0;
  };

  const filter = (): void => {
    const asked = plain(search.value.trim());
    for (const id of cards.keys()) sift(id, asked);
    recount();
  };

  const update = (ids: Iterable<string>, landed: ReadonlySet<string>): void => {
    const asked = plain(search.value.trim());
    let grew = false;
    let moved = false;
    for (const id of ids) {
      const table = model.tables.get(id);
      let card = cards.get(id);
      if (!table) {
        card?.element.remove();
        moved = cards.delete(id) || moved;
        continue;
      }
      if (!card) {
        card = createCard(id, say, () => {
          if (!pins.delete(id)) pins.add(id);
          memory.set('pins', [...pins].join(','));
          cards.get(id)?.pinned(pins.has(id));
          arrange();
        });
        cards.set(id, card);
        grew = true;
      }
      card.update(table, landed.has(id));
      card.pinned(pins.has(id));
      moved = sift(id, asked) || moved;
    }
    if (grew) arrange();
    if (grew || moved) recount();
  };

  search.addEventListener('input', filter);
  signals.addEventListener('change', filter);
  sort.addEventListener('change', () => {
    if (isOrder(sort.value)) order = sort.value;
    memory.set('order', order);
    arrange();
  });
  cells.addEventListener('pointerenter', () => {
    pointerInside = true;
  });
  cells.addEventListener('pointerleave', () => {
    pointerInside = false;
  });
  update(model.tables.keys(), new Set());
  filter();

  return {
    element,
    title: say('tables'),
    draw(changes) {
      if (changes.tables.size > 0 || changes.state) {
        const gone = [...cards.keys()].filter((id) => !model.tables.has(id));
        update([...changes.tables, ...gone], changes.landed);
      }
    },
    tick(now) {
      for (const card of cards.values()) card.tick(now);
      const busy = pointerInside || cells.contains(document.activeElement);
      if (order !== 'name' && !busy && now - orderedAt > REORDER_MS) arrange();
    },
    leave() {},
  };
}
