import { describe, expect, it, onTestFinished, vi } from 'vitest';
import type { Message } from '../../bench/chaos/follower.ts';
import { startInstance } from '../../bench/chaos/instance.ts';
import { startReader } from '../../bench/chaos/reader.ts';
import { faultServer, needs, startRig, TABLES } from '../support/faults.ts';
import { startProxy } from '../support/proxy.ts';

const FREQUENT = { timeout: 15_000, interval: 10 };
const [TABLE = '', OTHER = ''] = TABLES;

/** A rig with a second instance whose way to the server can be interrupted. */
async function laggingRig() {
  const server = await faultServer();
  const rig = await startRig({ server, instances: 1 });
  const proxy = await startProxy(Number(new URL(server.uri).port));
  onTestFinished(() => proxy.close());
  const behind = startInstance(`mongodb://127.0.0.1:${proxy.port}/?directConnection=true`, rig.database, {
    // It is slow, not dead: nothing here may take it for dead before the test is over.
    timings: { watchdogMarginMs: 60_000, stallMs: 60_000, catchUpMs: 2_000 },
  });
  onTestFinished(() => behind.stop());
  await behind.feed.ready;
  return { rig, proxy, behind, builtIn: server.builtIn };
}

/** One connection spoken to by hand. */
function connectTo(instance: ReturnType<typeof startInstance>) {
  const messages: Message[] = [];
  const wire = instance.connect({ frame: (text) => messages.push(JSON.parse(text)), closed: () => undefined });
  return { messages, wire, acks: () => messages.filter(({ type }) => type === 'subscribed') };
}

/** Resolves when somebody who has seen nothing yet came after all others and has an answer: nobody else is just late. */
async function answeredMeanwhile(instance: ReturnType<typeof startInstance>): Promise<void> {
  const { wire, acks } = connectTo(instance);
  wire.subscribe({ topics: [{ topic: 'roulette:2010033' }] });
  await vi.waitUntil(() => acks().length > 0, FREQUENT);
  wire.cut();
}

describe('clients', () => {
  it('29: one that moves to the other instance goes on where it was, every time', async () => {
    const rig = await startRig({ instances: 2 });
    const load = rig.writer.start();
    for (let times = 0; times < 10; times++) {
      for (const reader of rig.readers) reader.move();
      await rig.writer.round();
      await Promise.all(rig.readers.map((reader) => vi.waitUntil(() => reader.follower.acknowledged, FREQUENT)));
    }
    await load.stop();
    await rig.verify();
    for (const { follower } of rig.readers) {
      expect(follower.recoveries.slice(TABLES.length).every((result) => result['recovered'] === true)).toBe(true);
    }
  });

  it('30: one that moves to an instance which is behind is held, then gets exactly the rest', async (context) => {
    const { rig, proxy, behind, builtIn } = await laggingRig();
    needs(context, builtIn, 'the address of a server given from outside is not known to the proxy');
    await rig.writer.rounds(3);
    await rig.verify();
    proxy.blackHole(true);
    await rig.writer.rounds(10);
    await rig.verify();
    for (const reader of rig.readers) reader.move(behind);
    await answeredMeanwhile(behind);
    expect(rig.readers.length).toBe(behind.connections);
    expect(rig.readers.some(({ follower }) => follower.acknowledged)).toBe(false);
    proxy.blackHole(false);
    proxy.cut();
    await vi.waitUntil(() => rig.readers.every(({ follower }) => follower.acknowledged), FREQUENT);
    await rig.writer.rounds(3);
    await rig.verify();
    for (const { follower } of rig.readers) expect(follower.recoveries.at(-1)).toMatchObject({ recovered: true });
  });

  it('30: ... and when that instance does not catch up, it is sent on with 4200, never shown the past', async (context) => {
    const { rig, proxy, behind, builtIn } = await laggingRig();
    needs(context, builtIn, 'the address of a server given from outside is not known to the proxy');
    await rig.writer.rounds(3);
    await rig.verify();
    proxy.blackHole(true);
    await rig.writer.rounds(10);
    await rig.verify();
    for (const reader of rig.readers) reader.move(behind);
    await vi.waitUntil(() => rig.readers.every(({ closes }) => closes.includes(4200)), FREQUENT);
    await rig.verify();
    // A table that it never held is not shown in the past either.
    const seen = rig.readers[1]?.follower.request().seen ?? '';
    const fresh = connectTo(behind);
    fresh.wire.subscribe({ topics: [{ topic: 'roulette:2010033' }], seen });
    await answeredMeanwhile(behind);
    expect(fresh.messages.filter(({ type }) => type === 'snapshot')).toEqual([]);
    fresh.wire.cut();
  });

  it('31: a held client that goes is forgotten, and one whose instance dies is served by another', async (context) => {
    const { rig, proxy, behind, builtIn } = await laggingRig();
    needs(context, builtIn, 'the address of a server given from outside is not known to the proxy');
    await rig.writer.rounds(3);
    await rig.verify();
    proxy.blackHole(true);
    await rig.writer.rounds(3);
    await rig.verify();
    for (const reader of rig.readers) reader.move(behind);
    const [gone, ...rest] = rig.readers;
    gone?.leave();
    expect(behind.connections).toBe(rest.length);
    await behind.stop();
    gone?.come();
    await rig.writer.rounds(3);
    await rig.verify();
  });

  it('32: one that was away for longer than the ring reaches gets a snapshot, and is told why', async () => {
    const rig = await startRig({ feed: { ringBytes: 10_000 } });
    await rig.writer.rounds(3);
    await rig.verify();
    for (const reader of rig.readers) reader.leave();
    await rig.writer.rounds(40);
    for (const reader of rig.readers) reader.come();
    await rig.verify();
    for (const { follower } of rig.readers) {
      expect(follower.recoveries.at(-1)).toMatchObject({ recovered: false, reason: 'too_old' });
    }
    expect(rig.instances[0]?.feed.status().ring.bytes).toBeLessThanOrEqual(10_000);
  });

  it('33: one that never got an event is recovered from its ack', async () => {
    const rig = await startRig();
    const reader = startReader('early', ['2010033'], () => rig.instances);
    rig.readers.push(reader);
    await vi.waitUntil(() => reader.follower.acknowledged, FREQUENT);
    reader.leave();
    await rig.writer.numbers.insertOne({ roleta_id: '2010033', numero: 0, timestamp: new Date() });
    reader.come();
    await vi.waitUntil(() => reader.messages.some(({ numero }) => numero === 0), FREQUENT);
    expect(reader.follower.recoveries.at(-1)).toMatchObject({ recovered: true });
    await rig.verify();
  });

  it('34: an idle one on a quiet table stays recoverable while others fill the ring', async () => {
    const rig = await startRig({ feed: { ringBytes: 20_000 }, follow: false });
    await rig.writer.numbers.insertOne({ roleta_id: '2010033', numero: 5, timestamp: new Date() });
    const quiet = startReader('quiet', ['2010033'], () => rig.instances);
    rig.readers.push(quiet);
    await vi.waitUntil(() => quiet.follower.acknowledged, FREQUENT);
    await rig.writer.rounds(100);
    const busy = rig.instances[0]?.feed.status().floor ?? '';
    await vi.waitUntil(() => (quiet.follower.tables.get('2010033')?.position ?? '') > busy, FREQUENT);
    quiet.leave();
    await rig.writer.numbers.insertOne({ roleta_id: '2010033', numero: 6, timestamp: new Date() });
    quiet.come();
    await vi.waitUntil(
      () => quiet.messages.some(({ type, numero }) => type === 'new_number' && numero === 6),
      FREQUENT,
    );
    expect(quiet.follower.recoveries.at(-1)).toMatchObject({ recovered: true });
    await rig.verify();
  });

  it('35: forged positions cost what honest ones cost, and get a snapshot and the reason', async () => {
    const rig = await startRig({ follow: false });
    await rig.writer.rounds(50);
    const [instance] = rig.instances;
    if (instance === undefined) throw new Error('no instance');
    const honest = instance.feed.status().position ?? '';
    const forged: [string, string][] = [
      ['', 'malformed'],
      ['zzzzzzzzzzzzzzzzzzzzzz', 'malformed'],
      [honest.toUpperCase().replace(/[0-9]/g, 'A'), 'malformed'],
      ['9'.repeat(1_000_000), 'malformed'],
      [`${honest} `, 'malformed'],
      ['0'.repeat(22), 'too_old'],
      ['f'.repeat(22), 'future'],
    ];
    for (const [after, reason] of forged) {
      const { wire, acks } = connectTo(instance);
      wire.subscribe({ topics: [{ topic: `roulette:${TABLE}`, after }] });
      await vi.waitUntil(() => acks().length === 1, FREQUENT);
      expect(acks()[0]?.['topics']).toMatchObject([{ recovered: false, reason }]);
      wire.cut();
    }
    const cost = (after: string): number => {
      const { wire } = connectTo(instance);
      const began = performance.now();
      for (let times = 0; times < 30; times++) wire.subscribe({ topics: [{ topic: `roulette:${TABLE}`, after }] });
      const took = performance.now() - began;
      wire.cut();
      return took;
    };
    const best = (after: string): number => Math.min(...Array.from({ length: 7 }, () => cost(after)));
    best(honest);
    const usual = Math.max(1, best('0'.repeat(22)));
    for (const [after] of forged) expect(best(after)).toBeLessThan(usual * 10);
    expect(instance.feed.status().reopens).toEqual({});
  });

  it('36: whoever subscribes while events pour in has no gap and nothing twice', async () => {
    const rig = await startRig({ instances: 2 });
    const load = rig.writer.start();
    for (let times = 0; times < 60; times++) {
      const wanted = times % 3 === 0 ? null : times % 3 === 1 ? TABLES : [TABLE];
      const pace = times % 2 === 0 ? { perTurn: 2, room: 1 } : undefined;
      rig.readers.push(startReader(`late ${times}`, wanted, () => rig.instances, pace));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await vi.waitUntil(() => rig.readers.every(({ follower }) => follower.acknowledged), FREQUENT);
    await rig.writer.rounds(20);
    await load.stop();
    await rig.verify();
  });

  it('36: a topic added to a live connection with an older position is replayed, and joins the others', async () => {
    const rig = await startRig();
    await rig.writer.rounds(2);
    await rig.verify();
    const [instance] = rig.instances;
    if (instance === undefined) throw new Error('no instance');
    const old = instance.feed.status();
    const load = rig.writer.start();
    const { wire, messages, acks } = connectTo(instance);
    wire.subscribe({ topics: [{ topic: `roulette:${TABLE}` }] });
    await vi.waitUntil(() => messages.filter(({ type }) => type === 'new_number').length > 10, FREQUENT);
    wire.subscribe({
      topics: [{ topic: `roulette:${OTHER}`, after: old.position ?? '', epoch: old.epoch ?? '' }],
    });
    await vi.waitUntil(() => acks().length === 2, FREQUENT);
    await rig.writer.rounds(5);
    await load.stop();
    await rig.verify();
    const last = String(rig.readers[1]?.messages.findLast(({ type }) => type === 'new_number')?.['position']);
    await vi.waitUntil(() => messages.some(({ position }) => String(position) >= last), FREQUENT);
    const of = (list: readonly Message[], table: string, after: string) =>
      list
        .filter(({ type, roleta_id }) => type === 'new_number' && roleta_id === table)
        .map(({ position }) => String(position))
        .filter((position) => position > after);
    const all = rig.readers[1]?.messages ?? [];
    expect(of(messages, OTHER, '')).toEqual(of(all, OTHER, old.position ?? ''));
    const first = String(messages.find(({ type }) => type === 'snapshot')?.['position']);
    expect(of(messages, TABLE, '')).toEqual(of(all, TABLE, first));
    expect(acks()[1]?.['topics']).toMatchObject([{ recovered: true }]);
    wire.cut();
  });

  it('37: a slow one gets everything, also when its replay is long and new events come meanwhile', async () => {
    const rig = await startRig({ instances: 2 });
    await rig.writer.rounds(2);
    await rig.verify();
    for (const reader of rig.readers) reader.leave();
    await rig.writer.many(600);
    const load = rig.writer.start();
    for (const reader of rig.readers) reader.come();
    await vi.waitUntil(() => rig.readers.every(({ follower }) => follower.acknowledged), FREQUENT);
    await load.stop();
    await rig.verify();
    for (const { follower } of rig.readers) expect(follower.recoveries.at(-1)).toMatchObject({ recovered: true });
  });

  it('47: cut between its snapshot and its ack, one starts over from its old position', async () => {
    const rig = await startRig({ instances: 2 });
    await rig.writer.rounds(2);
    await rig.verify();
    const slow = rig.readers[3];
    if (slow === undefined) throw new Error('no slow reader');
    const load = rig.writer.start();
    for (let times = 0; times < 20; times++) {
      slow.leave();
      const had = slow.messages.length;
      await rig.writer.round();
      slow.come();
      // Its first message of this connection, which is not the ack yet.
      await slow.until(() => slow.messages.length > had);
      if (times % 2 === 0 && !slow.follower.acknowledged) slow.leave();
      slow.come();
    }
    await load.stop();
    await rig.verify();
  });
});
