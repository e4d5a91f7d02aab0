import type { ComponentChildren } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { isFields } from '../client/read.ts';
import { Age, tableName } from './card.tsx';
import { NumberChip } from './chip.tsx';
import { ClientsPanel } from './clients-panel.tsx';
import { type AnswerFields, listIn, textOf } from './fields.ts';
import { Alerts, LastHour } from './last-hour.tsx';
import { usePage, useRedraw, useTitle } from './page.ts';
import { tableLink } from './route.ts';
import { connectionsIn, HOUR_MS } from './status-log.ts';
import { sayCode } from './text.ts';
import { shortSpan, span } from './time.ts';
import { lastAt, problemWords } from './trust.ts';

/** Any value of the status as text and nested lists; the server may add to it without this page knowing. */
const Facts = ({ fields }: { readonly fields: AnswerFields }) => (
  <dl class="facts">
    {Object.entries(fields).map(([key, value]) => (
      <>
        <dt>{key}</dt>
        <dd>{isFields(value) && Object.keys(value).length > 0 ? <Facts fields={value} /> : textOf(value)}</dd>
      </>
    ))}
  </dl>
);

interface TileProps {
  readonly label: string;
  readonly mood?: string;
  /** What the value is made of. */
  readonly note?: string;
  readonly children: ComponentChildren;
}

const Tile = ({ label, mood = '', note = '', children }: TileProps) => (
  <div class={`tile ${mood}`}>
    <span class="label">{label}</span>
    <strong>{children}</strong>
    {note !== '' && <small>{note}</small>}
  </div>
);

function Tiles() {
  const { model, say, language, statusLog } = usePage();
  const { status } = statusLog;
  const feed = isFields(status?.['feed']) ? status['feed'] : null;
  const lag = feed?.['lagMs'] ?? model.record.status?.lag_ms;
  const state = String(status?.['state'] ?? '');
  const connections = Object.entries(connectionsIn(status) ?? {}).filter(([, count]) => Number(count) > 0);
  const ofTransports = connections.map(([name, count]) => `${sayCode(say, 'transport', name)} ${textOf(count)}`);
  return (
    <div class="tiles">
      <Tile label={say('service')} mood={status === null ? '' : state === 'live' ? 'good' : 'bad'}>
        {status === null ? say('unknown') : sayCode(say, 'service', state)}
      </Tile>
      <Tile label={say('feed')}>
        {sayCode(say, 'feed', String(feed?.['phase'] ?? model.record.status?.feed ?? say('unknown')))}
      </Tile>
      <Tile label={say('lag')}>{typeof lag === 'number' ? shortSpan(lag, language) : say('unknown')}</Tile>
      <Tile label={say('tables')}>{textOf(status?.['tables'] ?? model.tables.size)}</Tile>
      <Tile label={say('eventRate')}>{model.record.eventsPerMinute()}</Tile>
      <Tile label={say('connections')} note={ofTransports.join(' · ')}>
        {status === null ? '–' : connections.reduce((sum, [, count]) => sum + Number(count), 0)}
      </Tile>
    </div>
  );
}

/** What is wrong: in the reader's words where the page has some, with the server's own beside them. */
function Reasons() {
  const { say, statusLog } = usePage();
  const { status, problem } = statusLog;
  if (problem !== null) return <p class="reasons">{problemWords(problem, say)}</p>;
  const told = status?.['reasons'];
  const reasons = Array.isArray(told) ? told.map(String) : [];
  if (reasons.length === 0) return null;
  return (
    <p class="reasons">
      {status?.['database'] === 'unavailable' && say('databaseAway')} <small lang="en">{reasons.join(' ')}</small>
    </p>
  );
}

/** Documents that said nothing, and numbers that a repetition makes suspect, with their `_id`s. */
function Odd() {
  const { model, say, language, statusLog } = usePage();
  const feed = isFields(statusLog.status?.['feed']) ? statusLog.status['feed'] : null;
  const skipped = Object.entries(isFields(feed?.['skipped']) ? feed['skipped'] : {});
  const exampleOf = (reason: string): string => {
    const last = listIn(feed, 'lastSkipped').find((each) => each['reason'] === reason);
    return last === undefined ? '' : `${textOf(last['ns'])} _id ${textOf(last['id'])}`;
  };
  const late = listIn(feed, 'late');
  const nameOf = (id: string): string => tableName(model.tables.get(id) ?? { id, nome: '' });
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
            <dt>{sayCode(say, 'skip', reason)}</dt>
            <dd>
              {textOf(count)} <code>{exampleOf(reason)}</code>
            </dd>
          </>
        ))}
      </dl>
      <h3>{say('flagged')}</h3>
      {flagged.length === 0 && <p class="note">{say('noFlagged')}</p>}
      <ul class="flagged">
        {flagged.map(({ table, item }) => (
          <li key={`${table.id} ${item.id}`}>
            <NumberChip numero={item.numero} /> <a href={tableLink(table.id)}>{tableName(table)}</a>{' '}
            <small>{new Date(item.timestamp).toLocaleString(language)}</small> <code>{item.id}</code>
          </li>
        ))}
      </ul>
      {late.length > 0 && <h3>{say('late')}</h3>}
      {late.map(({ roleta_id: id, offset_ms: offset }) => (
        <p key={textOf(id)} class="note">
          {say('lateTable', nameOf(textOf(id)), span(Number(offset)))}
        </p>
      ))}
    </section>
  );
}

/** How quiet each table is, the quietest first. */
function Silence() {
  const { model, say } = usePage();
  const now = model.now();
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
  return (
    <section class="operator-view" aria-label={say('operator')}>
      <h1 class="unseen">{say('operator')}</h1>
      <Tiles />
      <Reasons />
      <LastHour />
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
            {statusLog.status && <Facts fields={statusLog.status} />}
          </details>
        </section>
        <ClientsPanel adminKey={key} />
      </div>
    </section>
  );
}
