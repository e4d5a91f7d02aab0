import type { ClientState, TransportName } from '../client/connect.ts';
import { button, fill, h, setText } from './dom.ts';
import { createSpark } from './spark.ts';
import type { Say, Word } from './text.ts';
import { shortSpan, span } from './time.ts';
import type { Surroundings } from './view.ts';

const isTransport = (text: string): text is TransportName => text === 'websocket' || text === 'sse' || text === 'poll';

const STATE_WORDS: Readonly<Record<ClientState['name'], Word>> = {
  idle: 'idle',
  connecting: 'connecting',
  live: 'live',
  recovering: 'recovering',
  stale: 'staleState',
  offline: 'offline',
  failed: 'failed',
};

/** The state in a word or two. */
export const stateWords = (state: ClientState, say: Say): string => say(STATE_WORDS[state.name]);

/** The state with what a person would ask next: which way, why, and when again. */
export function stateDetail(state: ClientState, say: Say, now: number): string {
  switch (state.name) {
    case 'live':
      return say(state.transport);
    case 'connecting':
    case 'recovering': {
      const parts = [say(state.transport)];
      if (state.name === 'recovering') parts.push(state.code === null ? state.reason : `${state.reason} ${state.code}`);
      if (state.attempt > 0) parts.push(say('attempt', state.attempt));
      if (state.retryAt !== null && state.retryAt > now) parts.push(say('retryIn', span(state.retryAt - now)));
      return parts.join(' · ');
    }
    case 'stale':
    case 'idle':
      return state.reason;
    case 'failed':
      return state.code === null ? state.reason : `${state.code} ${state.reason}`;
    case 'offline':
      return '';
    default:
      return state satisfies never;
  }
}

const COUNTERS = [
  ['received', 'received'],
  ['events', 'eventsCount'],
  ['duplicates', 'duplicates'],
  ['gaps', 'gaps'],
  ['healed', 'healed'],
  ['reconnects', 'reconnects'],
  ['snapshots', 'snapshots'],
  ['resets', 'resets'],
  ['malformed', 'malformed'],
] as const;

export interface ConnectionPanel {
  readonly element: HTMLElement;
  draw(): void;
  tick(): void;
}

/** Where the page is connected, how well, and ways to disturb it. */
export function createConnectionPanel(around: Surroundings, closed: () => void): ConnectionPanel {
  const { model, memory, say, language } = around;
  const rows = new Map<string, HTMLElement>();
  const row = (key: string, label: string): HTMLElement[] => {
    const value = h('dd', { 'data-row': key });
    rows.set(key, value);
    return [h('dt', {}, label), value];
  };
  const set = (key: string, text: string): void => {
    const cell = rows.get(key);
    if (cell) setText(cell, text);
  };

  const server = h('input', {
    id: 'server',
    name: 'server',
    type: 'text',
    inputmode: 'url',
    placeholder: location.origin,
    'aria-describedby': 'server-hint',
    autocomplete: 'off',
    spellcheck: 'false',
  });
  server.value = model.server;
  const token = h('input', {
    id: 'token',
    name: 'token',
    type: 'password',
    'aria-describedby': 'token-hint',
    autocomplete: 'off',
  });
  const transport = h(
    'select',
    { id: 'transport' },
    h('option', { value: '' }, say('transportAuto')),
    ...(['websocket', 'sse', 'poll'] as const).map((name) => h('option', { value: name }, say(name))),
  );
  const problem = h('p', { class: 'problem', role: 'alert' });
  const form = h(
    'form',
    { class: 'server-form' },
    h('label', { for: 'server' }, say('server')),
    server,
    h('small', { id: 'server-hint' }, say('serverHint')),
    h('label', { for: 'token' }, say('token')),
    token,
    h('small', { id: 'token-hint' }, say('tokenHint')),
    h('button', { type: 'submit', class: 'primary' }, say('connect')),
    problem,
  );
  const spark = createSpark(say('latency'));
  const retry = button(say('retry'), () => model.client.retry());
  const element = h(
    'section',
    { class: 'connection', id: 'connection', 'aria-label': say('connection'), hidden: true },
    h(
      'header',
      {},
      h('h2', {}, say('connection')),
      button('×', closed, { class: 'close', 'aria-label': say('close') }),
    ),
    h(
      'dl',
      { class: 'facts' },
      ...row('state', say('state')),
      ...row('position', say('position')),
      ...row('epoch', say('epoch')),
      ...row('roundTrip', say('roundTrip')),
    ),
    h('label', { for: 'transport' }, say('transport')),
    transport,
    h('h3', {}, say('latency'), ' ', h('output', { class: 'latency' })),
    spark.element,
    h('p', { class: 'note' }, say('latencyHint')),
    h('dl', { class: 'counters' }, ...COUNTERS.map(([key, word]) => h('div', {}, ...row(key, say(word))))),
    h(
      'div',
      { class: 'actions' },
      button(say('drop'), () => model.client.interrupt(), { class: 'danger' }),
      retry,
    ),
    form,
  );
  const latency = element.querySelector('.latency');

  transport.addEventListener('change', () =>
    model.client.prefer(isTransport(transport.value) ? transport.value : null),
  );
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    fill(problem, []);
    try {
      model.moveTo(server.value.trim(), token.value);
      transport.value = '';
      memory.set('server', server.value.trim() === '' ? null : server.value.trim());
    } catch {
      // The client says `bad_url`; the form says so in the reader's language.
      setText(problem, say('badUrl'));
    }
  });

  const panel: ConnectionPanel = {
    element,
    draw() {
      if (element.hidden) return;
      const { state, stats, latencies } = model;
      const detail = stateDetail(state, say, Date.now());
      set('state', detail === '' ? stateWords(state, say) : `${stateWords(state, say)} · ${detail}`);
      set('position', stats.position ?? '–');
      set('epoch', stats.epoch ?? '–');
      set('roundTrip', stats.roundTripMs === null ? '–' : shortSpan(stats.roundTripMs, language));
      for (const [key] of COUNTERS) set(key, stats[key].toLocaleString(language));
      spark.update(latencies);
      const newest = latencies.at(-1);
      if (latency) setText(latency, newest === undefined ? '–' : shortSpan(newest, language));
      retry.hidden = state.name !== 'failed' && state.name !== 'recovering' && state.name !== 'connecting';
    },
    tick() {
      if (element.hidden) return;
      if (model.state.name === 'live') model.client.ping();
      panel.draw();
    },
  };
  return panel;
}
