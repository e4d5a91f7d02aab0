import { useEffect, useRef, useState } from 'preact/hooks';
import type { TransportName } from '../client/connect.ts';
import { Choice } from './choice.tsx';
import { RetryButton } from './connection-bar.tsx';
import { usePage, useRedraw } from './page.ts';
import { ServerForm } from './server-form.tsx';
import { Spark } from './spark.tsx';
import { sayCode, type Word } from './text.ts';
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

interface FactProps {
  readonly word: Word;
  /** Marks the value, where that is not its word. */
  readonly name?: string;
  readonly children: string;
}

function Fact({ word, name = word, children }: FactProps) {
  const { say } = usePage();
  return (
    <>
      <dt>{say(word)}</dt>
      <dd data-row={name}>{children}</dd>
    </>
  );
}

interface TransportChoiceProps {
  /** The one that alone is used; null leaves it to the client. */
  readonly forced: TransportName | null;
  readonly force: (name: TransportName | null) => void;
}

function TransportChoice({ forced, force }: TransportChoiceProps) {
  const { model, say } = usePage();
  return (
    <Choice
      id="transport"
      label={say('transport')}
      value={forced ?? ''}
      choose={(value) => {
        const name = transportOf(value);
        force(name);
        model.client.prefer(name);
      }}
      options={[
        ['', say('transportAuto')],
        ...TRANSPORTS.map((name) => [name, sayCode(say, 'transport', name)] as const),
      ]}
    />
  );
}

/** How long the last numbers took to come here. */
function Latency() {
  const { model, say, language } = usePage();
  const { latencies } = model.record;
  const newest = latencies.at(-1);
  return (
    <>
      <h3>
        {say('latency')} <output class="latency">{newest === undefined ? '–' : shortSpan(newest, language)}</output>
      </h3>
      <Spark label={say('latency')} values={latencies} />
      <p class="note">{say('latencyHint')}</p>
    </>
  );
}

/** Where the page is connected, how well, and ways to disturb it. */
export function ConnectionPanel({ close }: { readonly close: () => void }) {
  const { model, say, language } = usePage();
  const [forced, setForced] = useState<TransportName | null>(null);
  const panel = useRef<HTMLElement>(null);
  const redraw = useRedraw();
  const { state, stats } = model;
  // Once: a reader who types must not lose the focus when the state changes.
  useEffect(() => panel.current?.querySelector('button')?.focus(), []);
  useEffect(() => {
    const timer = setInterval(() => {
      if (model.isLive) model.client.ping();
      redraw();
    }, 1000);
    return () => clearInterval(timer);
  }, [redraw, model]);
  return (
    <section class="connection" id="connection" aria-label={say('connection')} ref={panel}>
      <header>
        <h2>{say('connection')}</h2>
        <button type="button" class="close" aria-label={say('close')} onClick={close}>
          ×
        </button>
      </header>
      <dl class="facts">
        <Fact word="state">{`${stateWords(state, say)} ${causeOf(state, model.host, say)}`}</Fact>
        <Fact word="position">{stats.position ?? '–'}</Fact>
        <Fact word="epoch">{stats.epoch ?? '–'}</Fact>
        <Fact word="roundTrip">{stats.roundTripMs === null ? '–' : shortSpan(stats.roundTripMs, language)}</Fact>
      </dl>
      <TransportChoice forced={forced} force={setForced} />
      <Latency />
      <dl class="counters">
        {COUNTERS.map(([key, word]) => (
          <div key={key}>
            <Fact name={key} word={word}>
              {stats[key].toLocaleString(language)}
            </Fact>
          </div>
        ))}
      </dl>
      <div class="actions">
        <button type="button" class="danger" onClick={() => model.client.interrupt()}>
          {say('drop')}
        </button>
        {(state.name === 'failed' || state.name === 'recovering' || state.name === 'connecting') && <RetryButton />}
      </div>
      <ServerForm moved={() => setForced(null)} />
    </section>
  );
}
