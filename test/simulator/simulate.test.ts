import { describe, expect, it } from 'vitest';
import { type SimulatorOptions, simulatorOptions, UsageError } from '../../src/simulator/options.ts';
import { simulate, succeeded } from '../../src/simulator/run.ts';
import { serverSentEvents } from '../../src/simulator/watch.ts';
import { type FakeOptions, startFakeServer } from './fake-server.ts';

const DEFAULTS = { url: 'http://127.0.0.1:5000', key: null, mongodb: 'mongodb://127.0.0.1:27017/?replicaSet=rs0' };

const optionsOf = (...args: string[]): SimulatorOptions => {
  const options = simulatorOptions(args, DEFAULTS);
  if (options === null) throw new Error('usage was asked for');
  return options;
};

async function run(args: string[], fake: FakeOptions = {}) {
  const server = await startFakeServer(fake);
  const lines: string[] = [];
  try {
    const result = await simulate(optionsOf('--url', server.url.href, ...args), {
      print: (line) => void lines.push(line),
      databases: { shared: 'runcash', tables: 'runcash' },
      signal: new AbortController().signal,
      verifyWaitMs: 1000,
    });
    return { result, lines, posts: server.posts };
  } finally {
    await server.stop();
  }
}

const REPLAY = ['--replay', 'test/data/numbers-2025-04-11.json', '--speed', '100000'];

describe('the simulator against a service', () => {
  it('posts every recorded number once, with key, colour and time, and verifies its delivery', async () => {
    const { result, posts, lines } = await run([...REPLAY, '--verify', '--key', 'scraper:0123456789abcdef']);
    expect(result.tally).toMatchObject({ sent: 200, acknowledged: 200, errors: 0, lost: 0 });
    expect(result.verification).toEqual({ delivered: 200, missing: [], repeated: [] });
    expect(succeeded(result)).toBe(true);
    expect(new Set(posts.map((post) => post.key)).size).toBe(200);
    expect(posts[0]).toMatchObject({
      path: '/api/v1/numbers',
      authorization: `Basic ${btoa('scraper:0123456789abcdef')}`,
      body: { roleta_id: '2010097', roleta_nome: 'VIP Roulette', numero: 28, cor: 'preto' },
    });
    expect(lines.at(-1)).toBe('Delivered 200, missing 0, repeated 0.');
  });

  it('plays croupier with strategies, and verifies those too', async () => {
    const args = [
      '--verify',
      '--rate',
      '1000',
      '--count',
      '600',
      '--tables',
      '3',
      '--seed',
      '5',
      '--key',
      'only-a-secret',
    ];
    const { result, posts } = await run(args);
    const states = posts.filter((post) => post.path === '/api/v1/strategies');
    expect(states.length).toBeGreaterThan(20);
    expect(states[0]?.body).toMatchObject({ estado: 'TRIGGER', roleta_id: expect.stringMatching(/^\d{7}$/) });
    expect(posts[0]?.authorization).toBe('Bearer only-a-secret');
    expect(result.verification).toEqual({ delivered: posts.length, missing: [], repeated: [] });
  });

  it('survives a service that fails, and reports why', async () => {
    const { result, lines } = await run([...REPLAY, '--count', '20'], {
      answer: (_post, attempt) =>
        attempt === 1
          ? { status: 503, headers: { 'retry-after': '0' }, body: { code: 'database_unavailable' } }
          : undefined,
    });
    expect(result.tally).toMatchObject({ acknowledged: 20, errors: 20, lost: 0 });
    expect(lines).toContain('  20 x HTTP 503 database_unavailable');
    expect(succeeded(result)).toBe(true);
  });

  it('counts duplicates, and fails when it is refused', async () => {
    const duplicate = await run([...REPLAY, '--count', '5'], {
      answer: () => ({ status: 200, body: { status: 'duplicate' } }),
    });
    expect(duplicate.result.tally).toMatchObject({ duplicates: 5, acknowledged: 0 });
    const refused = await run([...REPLAY, '--count', '5'], {
      answer: () => ({ status: 400, body: { code: 'invalid', problems: [{ path: 'numero', message: 'is odd' }] } }),
    });
    expect(refused.lines).toContain('  5 x HTTP 400 invalid: numero is odd');
    expect(succeeded(refused.result)).toBe(false);
  });

  it('fails when something is delivered twice', async () => {
    const { result } = await run([...REPLAY, '--count', '5', '--verify'], { deliveries: () => 2 });
    expect(result.verification?.repeated).toHaveLength(5);
    expect(succeeded(result)).toBe(false);
  });

  it('fails, after a while, when something acknowledged is not delivered', async () => {
    const { result, lines } = await run([...REPLAY, '--count', '5', '--verify'], {
      deliveries: (post) => (post.body['numero'] === 28 ? 0 : 1),
    });
    expect(result.verification?.missing).toHaveLength(1);
    expect(lines.join('\n')).toContain('missing: n 2010097:');
    expect(succeeded(result)).toBe(false);
  });

  it('reports that nobody is there, and ends at its duration', async () => {
    const server = await startFakeServer();
    await server.stop();
    const lines: string[] = [];
    const result = await simulate(
      optionsOf('--url', server.url.href, '--rate', '50', '--duration', '1.5', '--verify'),
      {
        print: (line) => void lines.push(line),
        databases: { shared: 'runcash', tables: 'runcash' },
        signal: new AbortController().signal,
      },
    );
    expect(lines[0]).toMatch(/^1 s {2}sent 0 .*last error: events: ECONNREFUSED$/);
    expect(result.tally.errors).toBeGreaterThan(0);
  });
});

describe('the command line of the simulator', () => {
  it('has sensible defaults', () => {
    expect(optionsOf()).toMatchObject({ speed: 1, rate: 0.91, burst: 4, direct: null, replay: null, strategy: true });
    expect(optionsOf().tables).toHaveLength(39);
    expect(optionsOf('--replay', 'x').strategy).toBe(false);
    expect(optionsOf('--no-strategy').strategy).toBe(false);
  });

  it('takes tables by count or by id, known or new', () => {
    expect(optionsOf('--tables', '3').tables).toHaveLength(3);
    expect(optionsOf('--tables', '2010165,9999999').tables).toEqual([
      { id: '2010165', name: expect.any(String) },
      { id: '9999999', name: 'Mesa 9999999' },
    ]);
  });

  it('inserts where it is told', () => {
    expect(optionsOf('--direct').direct).toEqual({ uri: DEFAULTS.mongodb, layout: 'shared' });
    expect(optionsOf('--direct', '--mongodb', 'mongodb://x/', '--layout', 'per-table').direct).toEqual({
      uri: 'mongodb://x/',
      layout: 'per-table',
    });
  });

  it('names every problem at once', () => {
    const args = [
      '--speed',
      '0',
      '--burst',
      '1.5',
      '--tables',
      '40',
      '--url',
      'ws://x',
      '--keep-timestamps',
      '--verify',
    ];
    try {
      optionsOf(...args);
      expect.unreachable();
    } catch (error) {
      expect(error).toBeInstanceOf(UsageError);
      expect(error instanceof UsageError ? error.problems : []).toHaveLength(6);
    }
    expect(() => optionsOf('--spede', '2')).toThrow(UsageError);
    expect(() => optionsOf('stray')).toThrow(UsageError);
  });

  it('asks for help', () => expect(simulatorOptions(['--help'], DEFAULTS)).toBeNull());
});

describe('an event stream', () => {
  const STREAM = ': hi\r\nretry: 10\r\n\r\nid: e1.1\nevent: x\ndata: {"a":\ndata: 1}\n\nid:\ndata:two\r\rdata: é\n\n';

  it('is read the same however it is cut', async () => {
    const bytes = new TextEncoder().encode(STREAM);
    for (const size of [1, 2, 3, 7, bytes.length]) {
      async function* chunks(): AsyncGenerator<Uint8Array> {
        for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
      }
      const events = [];
      for await (const event of serverSentEvents(chunks())) events.push(event);
      expect(events).toEqual([
        { id: 'e1.1', data: '{"a":\n1}' },
        { id: '', data: 'two' },
        { id: null, data: 'é' },
      ]);
    }
  });
});
