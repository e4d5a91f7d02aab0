import { useRef, useState } from 'preact/hooks';
import { Choice } from './choice.tsx';
import { download } from './download.ts';
import { isPing, LOG_TYPES, logLine } from './log-line.ts';
import { memo, usePage, useTitle } from './page.ts';
import { ServerForm } from './server-form.tsx';
import type { LogEntry } from './server-record.ts';
import type { Say } from './text.ts';

/** Rows on the screen; more would cost frames and nobody reads them. */
const MAX_ROWS = 200;

interface RowProps {
  readonly entry: LogEntry;
  readonly toggled: (serial: number, isOpen: boolean) => void;
}

const Row = memo(({ entry, toggled }: RowProps) => {
  const { say, language } = usePage();
  const [isOpen, setOpen] = useState(false);
  const { serial, at, message } = entry;
  return (
    <li data-serial={serial}>
      <details
        onToggle={({ currentTarget }) => {
          setOpen(currentTarget.open);
          toggled(serial, currentTarget.open);
        }}
      >
        <summary>
          <time>{new Date(at).toLocaleTimeString(language)}</time>
          <code
            class="type"
            data-type={message.type}
            data-name={message.type === 'connection' ? message.name : undefined}
          >
            {message.type}
          </code>
          <span class="line">{logLine(entry, say)}</span>
        </summary>
        {isOpen && <pre>{JSON.stringify(message, null, 2)}</pre>}
      </details>
    </li>
  );
});

const jsonOf = (entries: readonly LogEntry[]): string =>
  JSON.stringify(
    entries.map(({ at, message }) => ({ at: new Date(at).toISOString(), message })),
    null,
    2,
  );

/** Connects, leaves, and copies what does the same in a terminal. */
function ConnectionTools({ copy }: { readonly copy: (text: string, words: string) => void }) {
  const { model, say } = usePage();
  const base = model.server === '' ? location.origin : model.server;
  const isConnected = model.state.name !== 'idle';
  // The token itself is nothing for a clipboard.
  const token = model.hasToken ? ' -H "Authorization: Bearer $TOKEN"' : '';
  return (
    <details class="connection-tools">
      <summary>{say('connectionTo', model.host)}</summary>
      <div class="actions">
        <button type="button" onClick={() => (isConnected ? model.client.disconnect() : model.client.connect())}>
          {say(isConnected ? 'disconnect' : 'reconnect')}
        </button>
        <button type="button" onClick={() => copy(`curl -N${token} '${base}/events?topics=roulette:*'`, 'curl')}>
          {say('copyAs', 'curl')}
        </button>
        <button
          type="button"
          onClick={() =>
            copy(
              `wscat${token} -c '${base.replace(/^http/, 'ws')}/ws' -w 60 -x '{"type":"subscribe","id":1,"topics":["roulette:*"]}'`,
              'wscat',
            )
          }
        >
          {say('copyAs', 'wscat')}
        </button>
      </div>
      <ServerForm place="events-" />
    </details>
  );
}

interface LogFilter {
  /** '' for all types. */
  readonly type: string;
  readonly text: string;
  readonly withPings: boolean;
}

function passes(entry: LogEntry, { type, text, withPings }: LogFilter, say: Say): boolean {
  const asked = text.trim().toLowerCase();
  return (
    (type === '' ? withPings || !isPing(entry) : entry.message.type === type) &&
    (asked === '' || `${entry.message.type} ${logLine(entry, say)}`.toLowerCase().includes(asked))
  );
}

interface FilterFieldsProps {
  readonly filter: LogFilter;
  readonly choose: (filter: LogFilter) => void;
}

function FilterFields({ filter, choose }: FilterFieldsProps) {
  const { say } = usePage();
  return (
    <>
      <input
        type="search"
        id="log-text"
        aria-label={say('filter')}
        placeholder={say('filter')}
        autocomplete="off"
        value={filter.text}
        onInput={({ currentTarget }) => choose({ ...filter, text: currentTarget.value })}
      />
      <Choice
        id="log-type"
        label={say('type')}
        value={filter.type}
        choose={(type) => choose({ ...filter, type })}
        options={[['', say('allTypes')], ...LOG_TYPES.map((name) => [name, name] as const)]}
      />
      <label class="check" for="log-pings">
        <input
          type="checkbox"
          id="log-pings"
          checked={filter.withPings}
          onChange={({ currentTarget }) => choose({ ...filter, withPings: currentTarget.checked })}
        />
        {say('withPings')}
      </label>
    </>
  );
}

/** Copies a text, `what` names it or counts it; and tells whether it did. */
function useCopying() {
  const { say, announce } = usePage();
  const [note, setNote] = useState('');
  const tell = (words: string): void => {
    setNote(words);
    announce(words);
  };
  const copy = async (content: string, what: string | number): Promise<void> => {
    try {
      // Over plain http of another machine there is no clipboard at all.
      await navigator.clipboard.writeText(content);
      tell(say('copied', what));
    } catch (error) {
      console.warn(`not copied: ${error}`);
      tell(say('copyFailed'));
    }
  };
  return { note, copy };
}

/** Everything that came and what happened to the connection, as it came. */
export function LogView() {
  const { model, say } = usePage();
  const [filter, setFilter] = useState<LogFilter>({ type: '', text: '', withPings: false });
  const [pausedAt, setPausedAt] = useState<readonly LogEntry[] | null>(null);
  const { copy, note } = useCopying();
  const open = useRef(new Set<number>());
  useTitle(say('events'));
  const toggled = useRef((serial: number, isOpen: boolean): void => {
    if (isOpen) open.current.add(serial);
    else open.current.delete(serial);
    // Nobody can read a row that moves away.
    setPausedAt((before) => (open.current.size === 0 ? null : (before ?? [...model.record.log])));
  });

  const entries = (pausedAt ?? model.record.log).filter((entry) => passes(entry, filter, say));
  const behind = pausedAt ? (model.record.log.at(-1)?.serial ?? 0) - (pausedAt.at(-1)?.serial ?? 0) : 0;
  const shown = entries.slice(-MAX_ROWS).reverse();
  return (
    <section class="log-view" aria-label={say('events')}>
      <h1 class="unseen">{say('events')}</h1>
      <ConnectionTools copy={copy} />
      <div class="toolbar">
        <FilterFields filter={filter} choose={setFilter} />
        <button
          type="button"
          aria-pressed={pausedAt !== null}
          onClick={() => setPausedAt(pausedAt ? null : [...model.record.log])}
        >
          {say(pausedAt ? 'resume' : 'pause')}
        </button>
        <button type="button" onClick={() => copy(jsonOf(entries), entries.length)}>
          {say('copy')}
        </button>
        <button
          type="button"
          onClick={() => download('events.json', new Blob([jsonOf(entries)], { type: 'application/json' }))}
        >
          {say('download')}
        </button>
      </div>
      <p class="note" role="status">
        {note !== '' ? note : pausedAt ? say('logPaused', behind) : shown.length === 0 ? say('logEmpty') : ''}
      </p>
      <ol class="log" aria-label={say('events')}>
        {shown.map((entry) => (
          <Row key={entry.serial} entry={entry} toggled={toggled.current} />
        ))}
      </ol>
    </section>
  );
}
