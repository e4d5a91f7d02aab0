import { isFields } from '../client/read.ts';
import { lastAt } from './card.ts';
import { fill, h, setText } from './dom.ts';
import { freshnessOf, shortSpan, span } from './time.ts';
import type { Surroundings, View } from './view.ts';

const REFRESH_MS = 3_000;
const TABLE_HOUR_MS = 3_600_000;

/** Any value of the status as text and nested lists; the server may add to it without this page knowing. */
function facts(value: Readonly<Record<string, unknown>>): HTMLElement {
  return h(
    'dl',
    { class: 'facts' },
    ...Object.entries(value).flatMap(([key, inner]) => [
      h('dt', {}, key),
      h('dd', {}, isFields(inner) ? (Object.keys(inner).length === 0 ? '–' : facts(inner)) : textOf(inner)),
    ]),
  );
}

const textOf = (value: unknown): string => {
  if (value === null || value === undefined || value === '') return '–';
  return Array.isArray(value) ? value.map(textOf).join(' ') || '–' : String(value);
};

/** How the service does, from its /status, and how quiet each table is. */
export function createOperatorView({ model, memory, say, language }: Surroundings): View {
  const abort = new AbortController();
  const tiles = h('div', { class: 'tiles' });
  const reasons = h('p', { class: 'reasons' });
  const details = h('div', { class: 'status-details' });
  const quiet = h('tbody', {});
  const key = h('input', { type: 'password', id: 'admin-key', autocomplete: 'off', 'aria-describedby': 'admin-hint' });
  let timer = 0;
  let rows: Readonly<Record<string, unknown>> | null = null;

  const tile = (label: string, value: string, mood = ''): HTMLElement =>
    h('div', { class: `tile ${mood}` }, h('span', { class: 'label' }, label), h('strong', {}, value));

  const drawTiles = (): void => {
    const feed = isFields(rows?.['feed']) ? rows['feed'] : null;
    const state = rows ? textOf(rows['state']) : say('unknown');
    const lag = feed?.['lagMs'] ?? model.status?.lag_ms;
    const connections = isFields(rows?.['connections']) ? rows['connections'] : rows?.['open'];
    fill(tiles, [
      tile(say('service'), state, state === 'live' ? 'good' : rows ? 'bad' : ''),
      tile(say('feed'), feed ? textOf(feed['phase']) : (model.status?.feed ?? say('unknown'))),
      tile(say('lag'), typeof lag === 'number' ? shortSpan(lag, language) : say('unknown')),
      tile(say('tables'), rows ? textOf(rows['tables']) : String(model.tables.size)),
      tile(say('eventRate'), String(model.eventsPerMinute())),
      tile(
        say('connections'),
        isFields(connections)
          ? Object.entries(connections)
              .map(([name, count]) => `${name} ${textOf(count)}`)
              .join(' · ')
          : textOf(connections),
      ),
    ]);
  };

  const drawTables = (now: number): void => {
    const sorted = [...model.tables.values()].sort((a, b) => (lastAt(a) ?? 0) - (lastAt(b) ?? 0));
    fill(
      quiet,
      sorted.map((table) => {
        const at = lastAt(table);
        const perHour = table.numeros.filter((item) => now - Date.parse(item.timestamp) < TABLE_HOUR_MS).length;
        const oldest = table.numeros.at(-1);
        // Twenty numbers may span less than an hour: then their own span is what can be told from.
        const spanMs = oldest ? Math.min(TABLE_HOUR_MS, now - Date.parse(oldest.timestamp)) : 0;
        const rate = spanMs > 60_000 ? Math.round((perHour * TABLE_HOUR_MS) / spanMs) : perHour;
        return h(
          'tr',
          {},
          h('th', { scope: 'row' }, h('a', { href: `#/mesa/${table.id}` }, table.nome === '' ? table.id : table.nome)),
          h(
            'td',
            { class: 'age', 'data-fresh': at === null ? 'silent' : freshnessOf(now - at) },
            at === null ? say('never') : say('ago', span(now - at)),
          ),
          h('td', {}, rate),
        );
      }),
    );
  };

  const load = async (): Promise<void> => {
    try {
      const base = model.server === '' ? '' : model.server.replace(/^ws/, 'http').replace(/\/(ws)?$/, '');
      const response = await fetch(`${base}/status`, {
        headers: { accept: 'application/json', ...(key.value === '' ? {} : { authorization: `Bearer ${key.value}` }) },
        signal: abort.signal,
        cache: 'no-store',
      });
      const body: unknown = await response.json();
      if (!isFields(body)) throw new TypeError('no status');
      rows = body;
      setText(reasons, textOf(body['reasons']) === '–' ? '' : textOf(body['reasons']));
      fill(details, [facts(body)]);
    } catch (error) {
      if (abort.signal.aborted) return;
      rows = null;
      setText(reasons, say('statusUnreachable', error instanceof Error ? error.message : String(error)));
      fill(details, []);
    }
    drawTiles();
    if (!abort.signal.aborted) timer = window.setTimeout(load, REFRESH_MS);
  };

  key.addEventListener('change', () => {
    window.clearTimeout(timer);
    load();
  });
  load();
  drawTables(Date.now());
  drawTiles();
  const open = h('details', {}, h('summary', {}, say('details')), details);
  open.open = memory.get('details') === 'open';
  open.addEventListener('toggle', () => memory.set('details', open.open ? 'open' : null));

  return {
    element: h(
      'section',
      { class: 'operator-view', 'aria-label': say('operator') },
      tiles,
      reasons,
      h(
        'div',
        { class: 'operator-panels' },
        h(
          'section',
          { class: 'panel' },
          h('h2', {}, say('staleness')),
          h(
            'table',
            {},
            h(
              'thead',
              {},
              h(
                'tr',
                {},
                h('th', { scope: 'col' }, say('table')),
                h('th', { scope: 'col' }, say('since')),
                h('th', { scope: 'col' }, say('perHour')),
              ),
            ),
            quiet,
          ),
        ),
        h(
          'section',
          { class: 'panel' },
          h('h2', {}, say('service')),
          h('label', { for: 'admin-key' }, say('adminKey')),
          key,
          h('small', { id: 'admin-hint' }, say('adminHint')),
          open,
        ),
      ),
    ),
    title: say('operator'),
    draw() {
      // Once a second is enough for ages; a table that was not there is drawn at once.
      if (quiet.children.length !== model.tables.size) drawTables(Date.now());
    },
    tick(now) {
      drawTables(now);
      drawTiles();
    },
    leave() {
      abort.abort();
      window.clearTimeout(timer);
    },
  };
}
