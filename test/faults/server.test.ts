import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { startInstance } from '../../bench/chaos/instance.ts';
import { startEmbeddedMongo } from '../../src/embedded/server.ts';
import { faultServer, needs, startRig } from '../support/faults.ts';
import { freshDatabase } from '../support/mongo.ts';
import { startMongoProcess } from '../support/process.ts';
import { startProxy } from '../support/proxy.ts';

const FREQUENT = { timeout: 20_000, interval: 10 };

/** A server process of our own that can be killed and stopped; its data outlives it. */
async function killableServer() {
  const folder = mkdtempSync(join(tmpdir(), 'runcash-faults-'));
  const args = (port: string) => ['--port', port, '--data', join(folder, 'data')];
  let running = await startMongoProcess(args('0'));
  const port = new URL(running.uri).port;
  onTestFinished(async () => {
    running.child.kill('SIGCONT');
    await running.end('SIGKILL');
    rmSync(folder, { recursive: true });
  });
  return {
    uri: running.uri,
    builtIn: true,
    signal: (name: NodeJS.Signals) => running.child.kill(name),
    async restart() {
      await running.end('SIGKILL');
      running = await startMongoProcess(args(port));
    },
  };
}

describe('the server', () => {
  it('8: killed and started again, it has all that was acknowledged, and so have the clients', async () => {
    const server = await killableServer();
    const rig = await startRig({ server, instances: 2 });
    const load = rig.writer.start();
    for (let times = 0; times < 3; times++) {
      const before = rig.writer.acknowledged.size;
      await vi.waitUntil(() => rig.writer.acknowledged.size > before + 30, FREQUENT);
      await server.restart();
    }
    await vi.waitUntil(() => rig.instances.every(({ feed }) => feed.status().phase === 'live'), FREQUENT);
    await load.stop();
    await rig.verify();
  });

  it('9: frozen for longer than the watchdog waits, it is taken for dead, and taken back', async () => {
    const server = await killableServer();
    const rig = await startRig({ server });
    await rig.writer.rounds(3);
    await rig.verify();
    server.signal('SIGSTOP');
    const status = () => rig.instances[0]?.feed.status();
    await vi.waitUntil(() => status()?.phase === 'degraded', FREQUENT);
    const each = rig.readers[1];
    await vi.waitUntil(() => each?.messages.some(({ type, feed }) => type === 'status' && feed === 'down'), FREQUENT);
    // From memory, and marked so.
    each?.move();
    await vi.waitUntil(() => each?.follower.acknowledged === true, FREQUENT);
    const sinceAck = () => each?.messages.slice(each.messages.findLastIndex(({ type }) => type === 'subscribed'));
    await vi.waitUntil(() => sinceAck()?.some(({ type, feed }) => type === 'status' && feed === 'down'), FREQUENT);
    server.signal('SIGCONT');
    await vi.waitUntil(() => status()?.phase === 'live', FREQUENT);
    await rig.writer.rounds(3);
    await rig.verify();
    expect(each?.messages.some(({ type, feed }) => type === 'status' && feed === 'live')).toBe(true);
    // Whoever noticed first: the watchdog, the limit of the socket, or on a busy machine the driver's own monitor.
    const noticed = /watchdog|MongoNetworkTimeoutError|PoolClearedOnNetworkError/;
    expect(Object.keys(status()?.reopens ?? {}).join()).toMatch(noticed);
  });

  it('10: away at boot, it is waited for, and served when it comes', async () => {
    const probe = await startEmbeddedMongo();
    const { port } = probe;
    await probe.stop();
    const uri = `mongodb://127.0.0.1:${port}/?replicaSet=rs0`;
    const instance = startInstance(uri, freshDatabase());
    onTestFinished(() => instance.stop());
    await vi.waitUntil(() => Object.keys(instance.feed.status().reopens).length > 0, FREQUENT);
    expect(instance.feed.status()).toMatchObject({ ready: false, phase: 'connecting' });
    expect(instance.feed.status().reason).toMatch(/ECONNREFUSED|connect/);
    const server = await startEmbeddedMongo({ port });
    onTestFinished(() => server.stop());
    await instance.feed.ready;
    expect(instance.feed.status()).toMatchObject({ ready: true, phase: 'live', reason: null });
    const rig = await startRig({ server: { uri, builtIn: true } });
    await rig.writer.rounds(3);
    await rig.verify();
  });

  it.each([
    ['directConnection=true', /standalone/],
    ['replicaSet=rs0', /standalone/],
  ])('11: a standalone server is named as the reason, and asked again only now and then (%s)', async (query, words) => {
    const server = await startEmbeddedMongo({ standalone: true });
    onTestFinished(() => server.stop());
    const instance = startInstance(`mongodb://127.0.0.1:${server.port}/?${query}`, freshDatabase(), {
      timings: { configurationRetryMs: 60_000 },
    });
    onTestFinished(() => instance.stop());
    await vi.waitUntil(() => words.test(instance.feed.status().reason ?? ''), FREQUENT);
    const tries = Object.values(instance.feed.status().reopens).reduce((sum, count) => sum + count, 0);
    expect(tries).toBe(1);
    expect(instance.feed.status().ready).toBe(false);
  });

  it('12: missing privileges are named, and it goes on when they are given', async () => {
    const rig = await startRig({ instances: 0, follow: false });
    await rig.failFeed('alwaysOn', { failCommands: ['aggregate'], errorCode: 13 });
    const instance = startInstance(rig.uri, rig.database);
    rig.instances.push(instance);
    await vi.waitUntil(() => /privilege/.test(instance.feed.status().reason ?? ''), FREQUENT);
    expect(instance.feed.status().ready).toBe(false);
    await rig.failFeed('off', {});
    await instance.feed.ready;
    await rig.follow();
    await rig.writer.rounds(3);
    await rig.verify();
  });

  it('41: half-open, a connection that swallows bytes is noticed and replaced', async (context) => {
    const server = await faultServer();
    needs(context, server.builtIn, 'the address of a server given from outside is not known to the proxy');
    const proxy = await startProxy(Number(new URL(server.uri).port));
    onTestFinished(() => proxy.close());
    const rig = await startRig({ server, instances: 0, follow: false });
    const instance = startInstance(`mongodb://127.0.0.1:${proxy.port}/?directConnection=true`, rig.database);
    rig.instances.push(instance);
    await instance.feed.ready;
    await rig.follow();
    await rig.writer.rounds(3);
    await rig.verify();
    proxy.swallow();
    await rig.writer.rounds(10);
    await rig.verify();
    proxy.blackHole(true);
    await rig.writer.rounds(3);
    await vi.waitUntil(() => instance.feed.status().phase === 'degraded', FREQUENT);
    proxy.blackHole(false);
    proxy.cut();
    await rig.writer.rounds(3);
    await rig.verify();
  });

  it('44: tokens that do not decode are named as the reason, and no position is ever guessed', async (context) => {
    const server = await faultServer();
    needs(context, server.builtIn, 'the address of a server given from outside is not known to the proxy');
    const head = Buffer.from('_data\0');
    // The first byte of each token's text is spoilt: 82... becomes 92...
    let isSpoilt = true;
    const spoil = (piece: Buffer): Buffer => {
      if (!isSpoilt) return piece;
      const copy = Buffer.from(piece);
      for (let at = copy.indexOf(head); at >= 0; at = copy.indexOf(head, at + 1)) {
        const start = at + head.length + 4;
        if (copy[start] === 0x38) copy[start] = 0x39;
      }
      return copy;
    };
    const proxy = await startProxy(Number(new URL(server.uri).port), spoil);
    onTestFinished(() => proxy.close());
    const rig = await startRig({ server, instances: 0, follow: false });
    await rig.writer.rounds(2);
    const instance = startInstance(`mongodb://127.0.0.1:${proxy.port}/?directConnection=true`, rig.database);
    rig.instances.push(instance);
    await vi.waitUntil(() => /resume tokens/.test(instance.feed.status().reason ?? ''), FREQUENT);
    expect(instance.feed.status()).toMatchObject({ ready: false, epoch: null });
    isSpoilt = false;
    await instance.feed.ready;
    await rig.follow();
    await rig.writer.transaction(20);
    await rig.verify();
    expect(instance.feed.status().epoch).not.toMatch(/~/);
  });

  it('43: an event loop that was blocked is not taken for a dead server', async () => {
    const rig = await startRig();
    await rig.writer.rounds(3);
    await rig.verify();
    // Longer than the watchdog waits (200 ms await and 1 s here).
    const until = performance.now() + 2_500;
    while (performance.now() < until);
    await rig.writer.rounds(3);
    await rig.verify();
    expect(rig.instances[0]?.feed.status().reopens['watchdog']).toBeUndefined();
    expect(rig.instances[0]?.feed.status().resets).toEqual({});
  });
});
