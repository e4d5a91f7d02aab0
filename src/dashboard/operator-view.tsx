import type { ComponentChildren } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { isFields } from '../client/read.ts';
import { Age, tableName } from './card.tsx';
import { NumberChip } from './chip.tsx';
import { ClientsPanel } from './clients-panel.tsx';
import { usePage, useRedraw, useTitle } from './page.ts';
import { tableLink } from './route.ts';
import { Spark } from './spark.tsx';
import { connectionsIn, HOUR_MS, type Sample } from './status-log.ts';
import type { Word } from './text.ts';
import { shortSpan, span, tenths } from './time.ts';
import { lastAt } from './trust.ts';

type Fields = Readonly<Record<string, unknown>>;

const textOf = (value: unknown): string => {
  if (value === null || value === undefined || value === '') return '–';
  if (Array.isArray(value)) return value.map(textOf).join(' ') || '–';
  return isFields(value) ? JSON.stringify(value) : String(value);
};

/** Any value of the status as text and nested lists; the server may add to it without this page knowing. */
const Facts = ({ fields }: { readonly fields: Fields }) => (
  <dl class="facts">
    {Object.entries(fields).map(([key, value]) => (
      <>
        <dt>{key}</dt>
        <dd>{isFields(value) && Object.keys(value).length > 0 ? <Facts fields={value} /> : textOf(value)}</dd>
      </>
    ))}
  </dl>
);

const Tile = ({ label, mood = '', children }: { label: string; mood?: string; children: ComponentChildren }) => (
  <div class={`tile ${mood}`}>
    <span class="label">{label}</span>
    <strong>{children}</strong>
  </div>
);

const STATES: Readonly<Record<string, Word>> = {
  live: 'serviceLive',
  degraded: 'serviceDegraded',
  not_ready: 'serviceNotReady',
  stale: 'feedIsStale',
  down: 'feedIsDown',
  starting: 'feedStarting',
};

function Tiles() {
  const { model, say, language, statusLog } = usePage();
  const { status } = statusLog;
  const wordsOf = (state: string): string => (STATES[state] ? say(STATES[state]) : state);
  const feed = isFields(status?.['feed']) ? status['feed'] : null;
  const lag = feed?.['lagMs'] ?? model.status?.lag_ms;
  const state = String(status?.['state'] ?? '');
  const connections = Object.entries(connectionsIn(status) ?? {}).map(([name, count]) => `${name} ${textOf(count)}`);
  return (
    <div class="tiles">
      <Tile label={say('service')} mood={status === null ? '' : state === 'live' ? 'good' : 'bad'}>
        {status === null ? say('unknown') : wordsOf(state)}
      </Tile>
      <Tile label={say('feed')}>{wordsOf(String(feed?.['phase'] ?? model.status?.feed ?? say('unknown')))}</Tile>
      <Tile label={say('lag')}>{typeof lag === 'number' ? shortSpan(lag, language) : say('unknown')}</Tile>
      <Tile label={say('tables')}>{textOf(status?.['tables'] ?? model.tables.size)}</Tile>
      <Tile label={say('eventRate')}>{model.eventsPerMinute()}</Tile>
      <Tile label={say('connections')}>{connections.join(' · ') || '–'}</Tile>
    </div>
  );
}

function Plots() {
  const { say, language, statusLog } = usePage();
  const { samples } = statusLog;
  const now = samples.at(-1)?.at ?? 0;
  const plots: readonly (readonly [Word, (sample: Sample) => number, (value: number) => string])[] = [
    ['lag', ({ lagMs }) => lagMs, (value) => shortSpan(value, language)],
    ['eventsPerSecond', ({ rate }) => rate, (value) => tenths(value, language)],
    ['connections', ({ connections }) => connections, (value) => value.toLocaleString(language)],
    ['recoveryWindow', ({ ringSeconds }) => ringSeconds, (value) => span(value * 1000)],
    ['memory', ({ memoryMb }) => memoryMb, (value) => `${Math.round(value)} MB`],
  ];
  return (
    <section class="panel plots">
      <h2>{say('lastHour')}</h2>
      <div>
        {plots.map(([word, figure, words]) => {
          const values = samples.map(figure);
          return (
            <figure key={word}>
              <figcaption>
                {say(word)} <output>{values.length === 0 ? '–' : words(values.at(-1) ?? 0)}</output>{' '}
                <small>{say('atMost', words(Math.max(0, ...values)))}</small>
              </figcaption>
              <Spark label={say(word)} values={values} places={samples.map(({ at }) => 1 - (now - at) / HOUR_MS)} />
            </figure>
          );
        })}
      </div>
    </section>
  );
}

function Alerts() {
  const { say, language, statusLog } = usePage();
  const { alerts } = statusLog;
  return (
    <section class="panel">
      <h2>{say('alerts')}</h2>
      {alerts.length === 0 && <p class="note">{say('noAlerts')}</p>}
      <ul class="alerts">
        {alerts.map(({ key, since, until, summary, remedy }) => (
          <li key={`${key} ${since}`} class={until === null ? 'firing' : ''}>
            <strong>{summary}</strong>
            <small>
              {`${new Date(since).toLocaleString(language)} – ${until === null ? say('now') : new Date(until).toLocaleTimeString(language)}`}
            </small>
            {until === null && <p class="note">{remedy}</p>}
          </li>
        ))}
      </ul>
    </section>
  );
}

/** Documents that said nothing, and numbers that a repetition makes suspect, with their `_id`s. */
function Odd() {
  const { model, say, language, statusLog } = usePage();
  const feed = isFields(statusLog.status?.['feed']) ? statusLog.status['feed'] : null;
  const skipped = Object.entries(isFields(feed?.['skipped']) ? feed['skipped'] : {});
  const listIn = (name: string): readonly Fields[] => {
    const list = feed?.[name];
    return Array.isArray(list) ? list.filter(isFields) : [];
  };
  const exampleOf = (reason: string): string => {
    const last = listIn('lastSkipped').find((each) => each['reason'] === reason);
    return last === undefined ? '' : `${textOf(last['ns'])} _id ${textOf(last['id'])}`;
  };
  const late = listIn('late');
  const flagged = [...model.tables.values()].flatMap((table) =>
    table.numeros.filter(({ suspeito }) => suspeito).map((item) => ({ table, item })),
  );
  return (
    <section class="panel">
      <h2>{say('unusual')}</h2>
      <h3>{say('skipped')}</h3>
      {skipped.length === 0 && <p class="note">{say('noSkipped')}</p>}
      <dl class="facts">
        {skipped.map(([reason, count]) => (
          <>
            <dt>{reason}</dt>
            <dd>
              {textOf(count)} <code>{exampleOf(reason)}</code>
            </dd>
          </>
        ))}
      </dl>
      <h3>{say('flagged')}</h3>
      {flagged.length === 0 && <p class="note">{say('noFlagged')}</p>}
      {late.map((table) => (
        <p key={textOf(table['roleta_id'])} class="note">
          {say('lateTable', textOf(table['roleta_id']), span(Number(table['offset_ms'])))}
        </p>
      ))}
      <ul class="flagged">
        {flagged.map(({ table, item }) => (
          <li key={`${table.id} ${item.id}`}>
            <NumberChip numero={item.numero} /> <a href={tableLink(table.id)}>{tableName(table)}</a>{' '}
            <small>{new Date(item.timestamp).toLocaleString(language)}</small> <code>{item.id}</code>
          </li>
        ))}
      </ul>
    </section>
  );
}

/** How quiet each table is, the quietest first. */
function Silence() {
  const { model, say } = usePage();
  const now = Date.now();
  const perHour = (times: readonly number[]): number => {
    // Twenty numbers may span less than an hour: then their own span is what can be told from.
    const spanMs = Math.min(HOUR_MS, now - (times.at(-1) ?? now));
    const count = times.filter((at) => now - at < HOUR_MS).length;
    return spanMs > 60_000 ? Math.round((count * HOUR_MS) / spanMs) : count;
  };
  return (
    <section class="panel silence">
      <h2>{say('staleness')}</h2>
      <table>
        <thead>
          <tr>
            <th scope="col">{say('table')}</th>
            <th scope="col">{say('since')}</th>
            <th scope="col">{say('perHour')}</th>
          </tr>
        </thead>
        <tbody>
          {[...model.tables.values()]
            .sort((a, b) => (lastAt(a) ?? 0) - (lastAt(b) ?? 0))
            .map((table) => (
              <tr key={table.id}>
                <th scope="row">
                  <a href={tableLink(table.id)}>{tableName(table)}</a>
                </th>
                <td>
                  <Age table={table} />
                </td>
                <td>{perHour(table.numeros.map(({ timestamp }) => Date.parse(timestamp)))}</td>
              </tr>
            ))}
        </tbody>
      </table>
    </section>
  );
}

/** The service's health from its `/status`, who is connected, and how quiet each table is. */
export function OperatorView() {
  const { memory, say, statusLog } = usePage();
  const redraw = useRedraw();
  const [key, setKey] = useState(statusLog.key);
  useTitle(say('operator'));
  useEffect(() => {
    statusLog.look();
    return statusLog.watch(redraw);
  }, [statusLog, redraw]);
  const { status, problem } = statusLog;
  const reasons = textOf(status?.['reasons']);
  return (
    <section class="operator-view" aria-label={say('operator')}>
      <h1 class="unseen">{say('operator')}</h1>
      <Tiles />
      <p class="reasons">{problem === '' ? (reasons === '–' ? '' : reasons) : say('statusUnreachable', problem)}</p>
      <Plots />
      <div class="operator-panels">
        <Silence />
        <Alerts />
        <Odd />
        <section class="panel">
          <h2>{say('service')}</h2>
          <label for="admin-key">{say('adminKey')}</label>
          <input
            type="password"
            id="admin-key"
            autocomplete="off"
            aria-describedby="admin-hint"
            value={key}
            onChange={({ currentTarget }) => {
              statusLog.key = currentTarget.value;
              setKey(currentTarget.value);
              statusLog.look();
            }}
          />
          <small id="admin-hint">{say('adminHint')}</small>
          <details
            class="status-details"
            open={memory.get('details') === 'open'}
            onToggle={({ currentTarget }) => memory.set('details', currentTarget.open ? 'open' : null)}
          >
            <summary>{say('details')}</summary>
            {status && <Facts fields={status} />}
          </details>
        </section>
        <ClientsPanel adminKey={key} />
      </div>
    </section>
  );
}
