import { button, fill, h, setText } from './dom.ts';
import type { LogEntry } from './model.ts';
import type { Surroundings, View } from './view.ts';

/** Rows on the screen; more would cost frames and nobody reads them. */
const MAX_ROWS = 200;

const TYPES = [
  'new_number',
  'strategy_update',
  'number_corrected',
  'number_removed',
  'snapshot',
  'subscribed',
  'reset',
  'sync',
  'status',
  'table_added',
  'hello',
  'pong',
  'error',
  'bye',
] as const;

/** What of a message is worth a line. */
function lineOf({ message }: LogEntry): string {
  switch (message.type) {
    case 'new_number':
    case 'number_corrected':
      return `${message.roleta_nome} ${message.numero} ${message.cor}${message.suspeito ? ' ?' : ''}`;
    case 'number_removed':
      return `${message.roleta_nome} ${message.id}`;
    case 'strategy_update':
      return `${message.roleta_nome} ${message.estado} ${message.sugestao_display}`;
    case 'snapshot':
      return `${message.roleta_nome} (${message.numeros.length})`;
    case 'reset':
      return `${message.topic} ${message.reason}`;
    case 'subscribed':
      return message.topics.map(({ topic, recovered }) => `${topic} ${recovered ? '↻' : '•'}`).join(', ');
    case 'sync':
    case 'pong':
      return message.position;
    case 'status':
      return message.feed;
    case 'table_added':
      return `${message.roleta_nome} ${message.roleta_id}`;
    case 'hello':
      return `${message.instance} ${message.server} ${message.epoch}`;
    case 'error':
      return `${message.code} ${message.message}`;
    case 'bye':
      return `${message.code} ${message.reason}`;
    case 'unsubscribed':
      return message.topics.join(', ');
    case 'authenticated':
      return message.expires ?? '';
    default:
      return message satisfies never;
  }
}

/** Every frame that came, as it came. */
export function createLogView({ model, say, language, announce }: Surroundings): View {
  let pausedAt: readonly LogEntry[] | null = null;
  const type = h(
    'select',
    { id: 'log-type' },
    h('option', { value: '' }, say('allTypes')),
    ...TYPES.map((name) => h('option', { value: name }, name)),
  );
  const text = h('input', {
    type: 'search',
    id: 'log-text',
    'aria-label': say('filter'),
    placeholder: say('filter'),
    autocomplete: 'off',
  });
  const rows = h('ol', { class: 'log', 'aria-label': say('events') });
  const note = h('p', { class: 'note', role: 'status' });
  const pause = button(say('pause'), () => {
    pausedAt = pausedAt ? null : [...model.log];
    setText(pause, say(pausedAt ? 'resume' : 'pause'));
    pause.setAttribute('aria-pressed', String(pausedAt !== null));
    draw();
  });
  pause.setAttribute('aria-pressed', 'false');

  const matching = (): readonly LogEntry[] => {
    const asked = text.value.trim().toLowerCase();
    return (pausedAt ?? model.log).filter(
      (entry) =>
        (type.value === '' || entry.message.type === type.value) &&
        (asked === '' || `${entry.message.type} ${lineOf(entry)}`.toLowerCase().includes(asked)),
    );
  };

  const copy = button(say('copy'), () => {
    const entries = matching();
    const json = JSON.stringify(
      entries.map(({ at, message }) => ({ at: new Date(at).toISOString(), message })),
      null,
      2,
    );
    navigator.clipboard.writeText(json).then(
      () => tell(say('copied', entries.length)),
      () => tell(say('copyFailed')),
    );
  });
  const tell = (words: string): void => {
    setText(note, words);
    announce(words);
  };

  const rowOf = (entry: LogEntry): HTMLElement => {
    const raw = h('pre', {});
    const details = h(
      'details',
      {},
      h(
        'summary',
        {},
        h('time', {}, new Date(entry.at).toLocaleTimeString(language)),
        h('code', { class: `type ${entry.message.type}` }, entry.message.type),
        h('span', { class: 'line' }, lineOf(entry)),
      ),
      raw,
    );
    details.addEventListener('toggle', () => setText(raw, JSON.stringify(entry.message, null, 2)));
    return h('li', { 'data-serial': entry.serial }, details);
  };

  let newestShown = 0;
  let filterShown = '';
  function draw(): void {
    const filter = `${type.value} ${text.value} ${pausedAt !== null}`;
    const entries = matching().slice(-MAX_ROWS).reverse();
    const fresh = filter === filterShown ? entries.filter(({ serial }) => serial > newestShown) : entries;
    if (filter === filterShown) rows.prepend(...fresh.map(rowOf));
    else fill(rows, fresh.map(rowOf));
    while (rows.children.length > MAX_ROWS) rows.lastElementChild?.remove();
    newestShown = entries[0]?.serial ?? newestShown;
    filterShown = filter;
    const behind = pausedAt ? (model.log.at(-1)?.serial ?? 0) - (pausedAt.at(-1)?.serial ?? 0) : 0;
    if (pausedAt) setText(note, say('logPaused', behind));
    else if (rows.children.length === 0) setText(note, say('logEmpty'));
    else if (note.textContent === say('logEmpty') || fresh.length > 0) setText(note, '');
  }
  type.addEventListener('change', draw);
  text.addEventListener('input', draw);
  draw();

  return {
    element: h(
      'section',
      { class: 'log-view', 'aria-label': say('events') },
      h(
        'div',
        { class: 'toolbar' },
        text,
        h('span', { class: 'pair' }, h('label', { for: 'log-type' }, say('type')), type),
        pause,
        copy,
      ),
      note,
      rows,
    ),
    title: say('events'),
    draw(changes) {
      if (changes.log) draw();
    },
    tick() {},
    leave() {},
  };
}
