import { describe, expect, it, vi } from 'vitest';
import { createOutlet, type Outlet } from '../../src/feed/outlet.ts';
import { createReplica, type ReplicaLink } from '../../src/feed/replica.ts';
import type { Step } from '../../src/feed/step.ts';
import { createServedTimeline, type Timeline } from '../../src/feed/timeline.ts';
import { FEED_TIMINGS } from '../../src/feed/timings.ts';
import { entryLine, type ReplicaRequest, readLine } from '../../src/feed/wire.ts';
import { ALL_TABLES, type Frame, frameOf, topicOf } from '../../src/protocol/messages.ts';
import { ORIGIN, type Position } from '../../src/protocol/position.ts';
import { canonicalId } from '../../src/roulette/table.ts';
import { chanceFrom, createDatabaseModel, type DatabaseModel } from './database-model.ts';
import { boot, follow, type Instance, served } from './model-instance.ts';

const TABLE = canonicalId('2010165') ?? expect.fail('no table');

const SPIN = {
  type: 'new_number',
  topic: topicOf(TABLE),
  position: ORIGIN,
  prev: null,
  id: 'n1',
  roleta_id: TABLE,
  roleta_nome: 'Roulette',
  numero: 17,
  cor: 'preto',
  timestamp: '2026-11-24T13:00:00.000Z',
} as const;

/** An instance that replicas follow. */
interface Source {
  readonly outlet: Outlet;
  readonly timeline: Timeline;
  advance(to: number): Promise<void>;
}

async function startSource(model: DatabaseModel, from: number, read: number, chance: () => number): Promise<Source> {
  let instance: Instance | null = null;
  const delivered = (at: number): Position => model.changes[at - 1]?.position ?? ORIGIN;
  const outlet = createOutlet({
    rests: false,
    served: () =>
      instance === null
        ? null
        : {
            timeline: instance.timeline,
            delivered: delivered(instance.at),
            stale: false,
            status: null,
            majority: null,
          },
    nowMs: () => 0,
    timings: FEED_TIMINGS,
  });
  const first = await boot(model, from, read, read, outlet.entries);
  instance = first;
  let now = first;
  const serve = (): void =>
    outlet.step({ kind: 'serving', timeline: now.timeline, progress: { delivered: delivered(now.at) } });
  serve();
  return {
    outlet,
    get timeline() {
      return now.timeline;
    },
    async advance(to) {
      while (now.at < to) {
        const before = now.timeline;
        now = await follow(model, now, Math.min(to, now.at + 1 + Math.floor(chance() * 5)), chance);
        if (now.timeline === before) outlet.step({ kind: 'advanced' });
        else {
          instance = null;
          outlet.step({ kind: 'fresh', reason: 'rename', words: 'a change that no frame tells' });
          instance = now;
          serve();
        }
      }
    },
  };
}

/** A line to an outlet without a network; what is sent on it is taken in later turns, a copy message by message. */
function lineTo(outlet: Outlet): ReplicaLink & { cut(): void } {
  const sent: string[] = [];
  let wake = (): void => undefined;
  let isOpen = true;
  const close = (): void => {
    isOpen = false;
    replica.closed();
    wake();
  };
  const send = (message: string): void => {
    sent.push(message);
    wake();
  };
  const replica = outlet.open({ send, hasRoom: () => isOpen && sent.length === 0, close });
  async function* messages(): AsyncGenerator<string, void> {
    while (isOpen || sent.length > 0) {
      const message = sent.shift();
      if (message === undefined) await new Promise<void>((resolve) => (wake = resolve));
      else yield message;
      replica.drained();
    }
  }
  return { messages: messages(), send: (message) => replica.said(message), close, cut: close };
}

/** A replica that follows whatever `connect` gives it, and what it publishes. */
function startReplicaOf(connect: () => ReplicaLink, chance: () => number) {
  const events: Frame[] = [];
  let timeline: Timeline | null = null;
  let delivered = (): Position => ORIGIN;
  const looks = new Set<() => void>();
  const steps: Step['kind'][] = [];
  const silent = () => undefined;
  const replica = createReplica({
    connect: async () => connect(),
    timings: { ...FEED_TIMINGS, backoffBaseMs: 0, backoffCapMs: 0 },
    nowMs: () => 0,
    random: () => 0,
    isHeard: () => chance() < 0.5,
    times: silent,
    metaChanged: silent,
    changed: silent,
    createTimeline: (epoch, floor, state) =>
      createServedTimeline(
        {
          epoch,
          floor,
          state,
          ringSeconds: 1e6,
          ringBytes: 1e9,
          tally: { published: silent, skipped: silent, reset: silent, late: silent, onTime: silent },
          observer: { publishing: silent, subscribed: silent, snapshot: silent },
          learnt: silent,
          nowMs: () => 0,
          timings: FEED_TIMINGS,
        },
        (topic, frame) => {
          if (topic === ALL_TABLES && frame.position !== null) events.push(frame);
        },
      ),
  });
  const done = (async () => {
    for await (const step of replica.steps()) {
      steps.push(step.kind);
      if (step.kind === 'fresh') events.length = 0;
      if (step.kind === 'serving') {
        timeline = step.timeline;
        const { progress } = step;
        delivered = () => progress.delivered;
      }
      for (const look of looks) look();
    }
  })();
  return {
    events,
    steps,
    async until(position: Position): Promise<Timeline> {
      while (timeline === null || delivered() < position) {
        await new Promise<void>((resolve) => {
          looks.add(resolve);
        });
        looks.clear();
      }
      return timeline;
    },
    async stop() {
      replica.stop();
      await done;
    },
  };
}

describe('a replica', () => {
  it.each([
    ['calm', true],
    ['with drops and renames', false],
  ])(
    // INVARIANT replica: a replica that has all messages up to a position serves the same frames and snapshots as the
    // feed that sent them.
    'serves what its feed does, also when it goes on at another one after a cut (%s database)',
    async (_name, calm) => {
      let wentOn = 0;
      for (let seed = 1; seed <= 300; seed++) {
        const model = createDatabaseModel(seed, calm);
        while (model.changes.length < 160) model.write();
        const total = model.changes.length;
        const chance = chanceFrom(seed + 2_000_000);
        const spot = (low: number, high: number): number => low + Math.floor(chance() * (high - low + 1));
        const joinAt = spot(10, 60);
        const cutAt = spot(joinAt, 110);
        const first = await startSource(model, spot(0, joinAt), joinAt, chance);
        const second = await startSource(model, spot(0, cutAt), spot(cutAt, 120), chance);
        let line = lineTo(first.outlet);
        let isFirst = true;
        const replica = startReplicaOf(() => {
          if (!isFirst) line = lineTo(second.outlet);
          isFirst = false;
          return line;
        }, chance);
        const positionAt = (count: number): Position => model.changes[count - 1]?.position ?? ORIGIN;
        await first.advance(cutAt);
        const live = await replica.until(positionAt(cutAt));
        expect(served(live, first.timeline), `seed ${seed}`).toEqual(served(first.timeline, live));
        line.cut();
        const middle = spot(120, 140);
        await second.advance(middle);
        await replica.until(positionAt(middle));
        await second.advance(total);
        const timeline = await replica.until(positionAt(total));
        expect(served(timeline, second.timeline), `seed ${seed}`).toEqual(served(second.timeline, timeline));
        // The one that it followed before knows events from below where the other one began.
        await first.advance(total);
        expect(served(timeline, first.timeline), `seed ${seed}`).toEqual(served(first.timeline, timeline));
        const texts = replica.events.map(({ text }) => text);
        expect(new Set(texts).size, `seed ${seed}`).toBe(texts.length);
        if (!replica.steps.includes('fresh')) wentOn++;
        await replica.stop();
      }
      expect(wentOn).toBeGreaterThan(calm ? 150 : 20);
    },
    120_000,
  );

  it('is not told again what its copy has, where it waited for that and nobody listens to it', async () => {
    const model = createDatabaseModel(1, true);
    while (model.changes.length < 60) model.write();
    const source = await startSource(model, 0, 20, chanceFrom(1));
    const other = lineTo(source.outlet);
    const line = lineTo(source.outlet);
    const say = (to: ReplicaLink, request: ReplicaRequest): void => to.send(JSON.stringify(request));
    say(other, { type: 'follow', epoch: null, position: null });
    const position = model.changes[39]?.position ?? ORIGIN;
    say(line, { type: 'follow', epoch: source.timeline.epoch, position });
    say(line, { type: 'heard', heard: false });
    await source.advance(60);
    // Whoever waits unheard is told now, not only in a while.
    say(other, { type: 'heard', heard: false });
    const told: Position[] = [];
    for await (const message of line.messages) {
      for (const text of message.split('\n')) {
        const read = readLine(text);
        if (read.kind === 'entry' && read.entry.kind === 'frame') told.push(read.place.position);
        if (read.kind === 'delivered' && read.position === model.changes[59]?.position) line.cut();
      }
    }
    expect(told).toEqual([...source.timeline.ring.above(position, null)].map((entry) => entry.position));
  });

  it('is not waited for while somebody listens to it, and else for a while, or until somebody does', async () => {
    const model = createDatabaseModel(1, true);
    while (model.changes.length < 20) model.write();
    const { outlet } = await startSource(model, 0, 20, chanceFrom(1));
    const line = lineTo(outlet);
    const say = (request: ReplicaRequest): void => line.send(JSON.stringify(request));
    vi.useFakeTimers();
    try {
      await outlet.rest();
      say({ type: 'heard', heard: false });
      const rested = outlet.rest();
      await vi.advanceTimersByTimeAsync(100);
      await rested;
      const woken = outlet.rest();
      say({ type: 'heard', heard: true });
      await woken;
      say({ type: 'heard', heard: false });
      const joined = outlet.rest();
      lineTo(outlet).close();
      await joined;
    } finally {
      vi.useRealTimers();
    }
  });

  it('knows which numbers are suspect, and which are the newest, without reading their text', () => {
    const place = { position: ORIGIN, committedMs: 5 };
    for (const newest of [true, false]) {
      for (const message of [SPIN, { ...SPIN, suspeito: true } as const]) {
        const entry = { kind: 'frame', table: TABLE, newest, frame: frameOf(message) } as const;
        expect(readLine(entryLine(entry, place))).toEqual({ kind: 'entry', entry, place });
      }
    }
    expect(frameOf(SPIN).suspect).toBeUndefined();
    expect(frameOf({ ...SPIN, suspeito: true }).suspect).toBe(true);
  });

  it('takes an event once, also where it is told twice', async () => {
    const model = createDatabaseModel(1, true);
    while (model.changes.length < 60) model.write();
    const source = await startSource(model, 0, 20, chanceFrom(1));
    const replica = startReplicaOf(() => {
      const line = lineTo(source.outlet);
      async function* twice(): AsyncGenerator<string, void> {
        for await (const message of line.messages) {
          yield message;
          if (!message.startsWith('c\t')) yield message;
        }
      }
      return { ...line, messages: twice() };
    }, chanceFrom(1));
    await source.advance(60);
    const timeline = await replica.until(model.changes[59]?.position ?? ORIGIN);
    await replica.stop();
    expect(replica.events.length).toBeGreaterThan(10);
    expect(new Set(replica.events.map(({ text }) => text)).size).toBe(replica.events.length);
    expect(served(timeline, source.timeline)).toEqual(served(source.timeline, timeline));
  });
});
