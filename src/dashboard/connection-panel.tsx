import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import type { TransportName } from '../client/connect.ts';
import { usePage, useRedraw } from './page.ts';
import { ServerForm } from './server-form.tsx';
import { Spark } from './spark.tsx';
import { sayCode } from './text.ts';
import { shortSpan } from './time.ts';
import { causeOf, stateWords } from './trust.ts';

const TRANSPORTS = ['websocket', 'sse', 'poll'] as const;
const transportOf = (text: string): TransportName | null => TRANSPORTS.find((name) => name === text) ?? null;

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

/** Where the page is connected, how well, and ways to disturb it. */
export function ConnectionPanel({ close }: { readonly close: () => void }) {
  const { model, say, language } = usePage();
  const [forced, setForced] = useState<TransportName | null>(null);
  const panel = useRef<HTMLElement>(null);
  const redraw = useRedraw();
  const { state, stats, latencies } = model;
  useEffect(() => {
    panel.current?.querySelector('button')?.focus();
    const timer = setInterval(() => {
      if (model.isLive) model.client.ping();
      redraw();
    }, 1000);
    return () => clearInterval(timer);
  }, [redraw, model.isLive, model.client.ping]);
  const newest = latencies.at(-1);
  const fact = (key: string, label: string, value: JSX.Element | string) => (
    <>
      <dt>{label}</dt>
      <dd data-row={key}>{value}</dd>
    </>
  );
  return (
    <section class="connection" id="connection" aria-label={say('connection')} ref={panel}>
      <header>
        <h2>{say('connection')}</h2>
        <button type="button" class="close" aria-label={say('close')} onClick={close}>
          ×
        </button>
      </header>
      <dl class="facts">
        {fact('state', say('state'), `${stateWords(state, say)} ${causeOf(state, model.host, say)}`)}
        {fact('position', say('position'), stats.position ?? '–')}
        {fact('epoch', say('epoch'), stats.epoch ?? '–')}
        {fact('roundTrip', say('roundTrip'), stats.roundTripMs === null ? '–' : shortSpan(stats.roundTripMs, language))}
      </dl>
      <label for="transport">{say('transport')}</label>
      <select
        id="transport"
        value={forced ?? ''}
        onChange={({ currentTarget }) => {
          const name = transportOf(currentTarget.value);
          setForced(name);
          model.client.prefer(name);
        }}
      >
        <option value="">{say('transportAuto')}</option>
        {TRANSPORTS.map((name) => (
          <option key={name} value={name}>
            {sayCode(say, 'transport', name)}
          </option>
        ))}
      </select>
      <h3>
        {say('latency')} <output class="latency">{newest === undefined ? '–' : shortSpan(newest, language)}</output>
      </h3>
      <Spark label={say('latency')} values={latencies} />
      <p class="note">{say('latencyHint')}</p>
      <dl class="counters">
        {COUNTERS.map(([key, word]) => (
          <div key={key}>{fact(key, say(word), stats[key].toLocaleString(language))}</div>
        ))}
      </dl>
      <div class="actions">
        <button type="button" class="danger" onClick={() => model.client.interrupt()}>
          {say('drop')}
        </button>
        {(state.name === 'failed' || state.name === 'recovering' || state.name === 'connecting') && (
          <button type="button" onClick={() => model.retry()}>
            {say('retry')}
          </button>
        )}
      </div>
      <ServerForm moved={() => setForced(null)} />
    </section>
  );
}
