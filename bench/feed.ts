import { MongoClient } from 'mongodb';
import { startInstance } from './chaos/instance.ts';
import { importOldRows } from './feed/import.ts';
import { bareLoop, feedLoop, heapBytes, load, TABLES } from './feed/stage.ts';
import { type BenchMongo, freshDatabase, startMongo } from './harness/mongo.ts';
import { type Bench, type Goal, inTurn, medianOf, ratio, rowsOf, type Sample } from './harness/outcome.ts';

/** What the feed costs beside the driver, how fast it boots, what its ring weighs, and how fast it recovers clients. */

const RECOVERED_EVENTS = 50;
/** Holds everything that is loaded. */
const OPLOG_MB = 1_024;
const RATE_SETTING = 'reading a loaded oplog';

const sampleOf = (variant: string, setting: string, round: number, figures: Sample['figures'], lost = 0): Sample => ({
  variant,
  setting,
  round,
  figures,
  lost,
  repeated: 0,
  disordered: 0,
});

/** Events per second of a bare loop and of the feed, one after the other, on the same events. */
async function rates(mongo: BenchMongo, events: number, rounds: number): Promise<Sample[]> {
  const client = new MongoClient(mongo.uri);
  const database = freshDatabase();
  const span = await load(client, database, events);
  const samples: Sample[] = [];
  // A round that is not counted: both loops are compiled by then.
  await bareLoop(client, database, span);
  await feedLoop(client, database, span);
  for (let round = 0; round < rounds; round++) {
    for (const variant of inTurn(['bare getMore loop', 'feed'], round)) {
      const read = variant === 'feed' ? feedLoop : bareLoop;
      const { events: came, ms } = await read(client, database, span);
      const figures = { events_per_s: came / (ms / 1e3) };
      samples.push(sampleOf(variant, RATE_SETTING, round, figures, variant === 'feed' ? events - came : 0));
    }
  }
  await client.close();
  return samples;
}

/** Heap that a ring of these events takes, against the bytes of their texts. */
async function weight(mongo: BenchMongo, events: number): Promise<Sample> {
  const client = new MongoClient(mongo.uri);
  const database = freshDatabase();
  const span = await load(client, database, events);
  const empty = heapBytes();
  const { timeline: ringless } = await feedLoop(client, database, span, 1);
  const before = heapBytes();
  const { timeline, events: held } = await feedLoop(client, database, span);
  // Each has a state of its own, as large whatever its ring holds.
  const heap = heapBytes() - before - (before - empty);
  let bytes = 0;
  for (const entry of timeline.ring.above(timeline.ring.floor, null)) bytes += Buffer.byteLength(entry.frame.text);
  const lost = events - timeline.ring.events + (held - events) + ringless.ring.events;
  await client.close();
  return sampleOf(
    'feed',
    `a ring of ${events} events`,
    0,
    { ring_heap_per_byte: heap / bytes, text_mb: bytes / 1e6 },
    lost,
  );
}

interface Recovery {
  readonly boot: Sample;
  readonly recoveries: Sample;
}

/** The time from start to ready over a ring of these events, then recoveries while the server is frozen. */
async function bootAndRecover(mongo: BenchMongo, events: number, recoveries: number): Promise<Recovery> {
  const client = new MongoClient(mongo.uri);
  const database = freshDatabase();
  await load(client, database, events);
  await client.close();
  const began = performance.now();
  const instance = startInstance(mongo.uri, database, { ringBytes: 1e9, liveMaxAgeMs: 1e9 });
  await instance.feed.ready;
  const ready_ms = performance.now() - began;
  const held = instance.feed.status().ring.events;
  const boot = sampleOf('feed', `boot over ${events} events`, 0, { ready_ms }, events - held);

  // Whoever serves these from anywhere but memory would wait for ever.
  if (mongo.pid !== null) process.kill(mongo.pid, 'SIGSTOP');
  const place = await placeBefore(instance, RECOVERED_EVENTS);
  let frames = 0;
  let acks = 0;
  const epoch = instance.feed.status().epoch ?? '';
  const start = performance.now();
  for (let at = 0; at < recoveries; at++) {
    const subscriber = instance.feed.open(
      {
        send(frame) {
          if (frame.type === 'new_number') frames++;
          if (frame.type === 'subscribed' && frame.text.includes('"recovered":true')) acks++;
          return true;
        },
        join: () => undefined,
        leave: () => undefined,
        close: () => undefined,
      },
      { allowed: null, maxTopics: 100 },
    );
    subscriber.subscribe({ type: 'subscribe', id: 1, topics: [{ topic: 'roulette:*', after: place, epoch }] });
    subscriber.closed();
  }
  const recovered_ms = performance.now() - start;
  if (mongo.pid !== null) process.kill(mongo.pid, 'SIGCONT');
  const lost = recoveries * RECOVERED_EVENTS - frames + (recoveries - acks);
  const setting = `${recoveries} recoveries of ${RECOVERED_EVENTS} events, server frozen`;
  await instance.stop();
  return { boot, recoveries: sampleOf('feed', setting, 0, { recovered_ms }, lost) };
}

/** The position that this many events follow. */
async function placeBefore(instance: ReturnType<typeof startInstance>, count: number): Promise<string> {
  const positions: string[] = [];
  const epoch = instance.feed.status().epoch ?? '';
  for (const table of TABLES) {
    const after = instance.feed.status().floor ?? '';
    await new Promise<void>((resolve) => {
      const wire = instance.connect({
        frame(text) {
          const { type, position }: Record<string, unknown> = JSON.parse(text);
          if (type === 'new_number') positions.push(String(position));
          if (type !== 'subscribed') return;
          wire.cut();
          resolve();
        },
        closed: () => resolve(),
      });
      wire.subscribe({ topics: [{ topic: `roulette:${table}`, after, epoch }] });
    });
  }
  return positions.sort().at(-1 - count) ?? '';
}

/** Old rows come in by the thousand while live numbers go on. */
async function importing(mongo: BenchMongo, rows: number): Promise<Sample> {
  const { importMs, live, maxLiveDelayMs, frames, wrong } = await importOldRows(mongo.uri, freshDatabase(), rows);
  const figures = {
    import_ms: importMs,
    live_numbers: live,
    max_live_delay_ms: maxLiveDelayMs,
    other_frames_per_subscriber: frames,
  };
  return sampleOf('import', `an import of ${rows} old rows`, 0, figures, wrong);
}

export const feed: Bench = {
  name: 'feed',
  question: 'What does the feed cost beside a bare getMore loop, and how fast does it boot and recover clients?',
  async run({ smoke, rounds, mongoUri, say }) {
    const events = smoke ? 2_000 : 50_000;
    const ring = smoke ? 2_000 : 100_000;
    const recoveries = smoke ? 100 : 10_000;
    const mongo = await startMongo(mongoUri, OPLOG_MB);
    say(`rates over ${events} events`);
    const samples = await rates(mongo, events, rounds ?? (smoke ? 1 : 5));
    say(`a ring of ${ring} events`);
    const heavy = await weight(mongo, ring);
    await mongo.stop();
    say(`boot over ${ring} events, then ${recoveries} recoveries`);
    const other = await startMongo(mongoUri, OPLOG_MB);
    const { boot, recoveries: served } = await bootAndRecover(other, ring, recoveries);
    await other.stop();
    say(`an import of ${ring} old rows`);
    const third = await startMongo(mongoUri, OPLOG_MB);
    const imported = await importing(third, ring);
    await third.stop();
    samples.push(heavy, boot, served, imported);
    const rows = rowsOf(samples);
    const rate = (variant: string): number | null => medianOf(rows, RATE_SETTING, variant, 'events_per_s');
    const figure = (sample: Sample, name: string): number | null => sample.figures[name] ?? null;
    const goals: Goal[] = [
      {
        words: 'events/s of the feed / bare loop',
        value: ratio(rate('feed'), rate('bare getMore loop')),
        way: '>=',
        limit: 0.7,
      },
      {
        words: `ready after a rewind over ${ring} events, ms`,
        value: figure(boot, 'ready_ms'),
        way: '<=',
        limit: 5_000,
      },
      {
        words: 'heap of the ring / bytes of its events',
        value: figure(heavy, 'ring_heap_per_byte'),
        way: '<=',
        limit: 2.5,
      },
      {
        words: `${recoveries} recoveries without the database, ms`,
        value: figure(served, 'recovered_ms'),
        way: '<=',
        limit: 10_000,
      },
      {
        words: `longest delay of a live number while ${ring} old rows come in, ms`,
        value: figure(imported, 'max_live_delay_ms'),
        way: '<=',
        limit: 1_000,
      },
      {
        words: 'frames that the import itself brings each subscriber / old rows',
        value: ratio(figure(imported, 'other_frames_per_subscriber'), ring),
        way: '<=',
        limit: smoke ? 0.5 : 0.01,
      },
    ];
    return {
      parameters: { events, ring, recoveries },
      mongo: mongo.kind,
      samples,
      goals,
      leftOut: [],
      charts: [{ title: 'Events read per second', figure: 'events_per_s', unit: 'events/s' }],
    };
  },
};
