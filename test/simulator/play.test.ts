import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { croupier } from '../../src/simulator/croupier.ts';
import { type PlayDeps, play } from '../../src/simulator/play.ts';
import { RecordingError, replay } from '../../src/simulator/replay.ts';
import { type Due, type SendOutcome, type Stamped, seededRandom } from '../../src/simulator/round.ts';
import { createAnalyser } from '../../src/simulator/strategy.ts';
import { KNOWN_TABLES } from '../../src/simulator/tables.ts';
import { createTally } from '../../src/simulator/tally.ts';

const RECORDING = readFileSync('test/data/numbers-2025-04-11.json', 'utf8');
const recorded: readonly Record<string, string & number>[] = JSON.parse(RECORDING);

function deal(count: number, more: Partial<Parameters<typeof croupier>[0]> = {}): Due[] {
  const options = {
    tables: KNOWN_TABLES,
    rate: 1,
    burst: 4,
    restartEveryMs: null,
    random: seededRandom(7),
    runId: 'r',
  };
  const game = croupier({ ...options, ...more });
  return Array.from({ length: count }, () => game.next().value);
}

describe('the croupier', () => {
  it('knows the 39 real tables', () => {
    const real: readonly { roleta_id: string; roleta_nome: string }[] = JSON.parse(
      readFileSync('test/data/tables.json', 'utf8'),
    );
    expect(KNOWN_TABLES).toEqual(real.map((table) => ({ id: table.roleta_id, name: table.roleta_nome })));
  });

  it('deals numbers 0 to 36 to every table at the wished rate, in bursts, in order of time', () => {
    const dues = deal(8000);
    expect(new Set(dues.map(({ item }) => item.table)).size).toBe(39);
    expect([...new Set(dues.map(({ item }) => item.numero))].sort((a, b) => a - b)).toEqual(
      Array.from({ length: 37 }, (_, n) => n),
    );
    const seconds = (dues.at(-1)?.atMs ?? 0) / 1000;
    expect(dues.length / seconds).toBeGreaterThan(0.95);
    expect(dues.length / seconds).toBeLessThan(1.05);
    expect(new Set(dues.map(({ item }) => item.key)).size).toBe(dues.length);
  });

  it('does not let one table spin faster than a wheel at the real load', () => {
    const last = new Map<string, number>();
    let shortest = Number.POSITIVE_INFINITY;
    for (const { atMs, item } of deal(5000, { rate: 0.91 })) {
      const before = last.get(item.table);
      if (before !== undefined) shortest = Math.min(shortest, atMs - before);
      last.set(item.table, atMs);
    }
    expect(shortest).toBeGreaterThan(15_000);
  });

  it('deals the same for the same seed and something else for another', () => {
    expect(deal(50)).toEqual(deal(50));
    expect(deal(50, { random: seededRandom(8) })).not.toEqual(deal(50));
  });

  it('sends the last number of every table again after a restart, from another process', () => {
    const dues = deal(400, { restartEveryMs: 200_000 });
    const makers = [...new Set(dues.map(({ item }) => item.maker))];
    expect(makers.length).toBeGreaterThan(1);
    const restart = dues.findIndex(({ item }) => item.maker === makers[1]);
    const before = new Map(dues.slice(0, restart).map(({ item }) => [item.table, item.numero]));
    const again = dues.slice(restart, restart + before.size);
    expect(new Map(again.map(({ item }) => [item.table, item.numero]))).toEqual(before);
  });
});

describe('the strategy of a table', () => {
  const NEXT: Record<string, readonly string[]> = {
    NEUTRAL: ['TRIGGER'],
    TRIGGER: ['NEUTRAL', 'POST_GALE_NEUTRAL'],
    POST_GALE_NEUTRAL: ['NEUTRAL', 'MORTO'],
    MORTO: ['NEUTRAL'],
  };

  it('moves only along the states of the game, and counts each win and each loss once', () => {
    const analyser = createAnalyser();
    const last = new Map<string, { estado: string; vitorias: number; derrotas: number }>();
    const seen = new Set<string>();
    for (const { item } of deal(4000)) {
      const before = last.get(item.table) ?? { estado: 'NEUTRAL', vitorias: 0, derrotas: 0 };
      const state = analyser.follow(item);
      if (state === null) continue;
      expect(NEXT[before.estado]).toContain(state.estado);
      const won = before.estado !== 'MORTO' && before.estado !== 'NEUTRAL' && state.estado === 'NEUTRAL';
      expect(state.vitorias - before.vitorias).toBe(won ? 1 : 0);
      expect(state.derrotas - before.derrotas).toBe(state.estado === 'MORTO' ? 1 : 0);
      const betting = state.estado === 'TRIGGER' || state.estado === 'POST_GALE_NEUTRAL';
      expect(state.terminaisGatilho.length).toBeLessThanOrEqual(3);
      expect([state.terminaisGatilho.length > 0, state.numeroGatilho >= 0]).toEqual([betting, betting]);
      seen.add(state.estado);
      last.set(item.table, state);
    }
    expect(seen.size).toBe(4);
  });
});

describe('a recording', () => {
  it('is replayed whole, in the order of insertion and never back in time', () => {
    const dues = replay(RECORDING, { keepTimestamps: true, runId: 'r' });
    expect(dues.map(({ item }) => item.objectId)).toEqual(recorded.map((document) => document['_id']));
    expect(dues.map(({ item }) => item.numero)).toEqual(recorded.map((document) => document['numero']));
    expect(dues.map(({ item }) => item.cor)).toEqual(recorded.map((document) => document['cor']));
    for (const [index, due] of dues.entries()) expect(due.atMs).toBeGreaterThanOrEqual(dues[index - 1]?.atMs ?? 0);
  });

  it('takes the time of sending and a fresh identity unless timestamps are kept', () => {
    const [due] = replay(RECORDING, { keepTimestamps: false, runId: 'r' });
    expect(due?.item).toMatchObject({ timestampMs: null, objectId: null, maker: 'ecd9628823', key: /^r-/ });
  });

  it.each([
    ['00', undefined, { numero: 37, cor: 'verde' }],
    [37, '00', { numero: 37, cor: 'verde' }],
    ['36', undefined, { numero: 36, cor: 'vermelho' }],
  ])('may have the number %j with the label %j', (numero, rotulo, expected) => {
    const document = { ...recorded[0], numero, rotulo };
    expect(replay(JSON.stringify([document]), { keepTimestamps: true, runId: 'r' })[0]?.item).toMatchObject(expected);
  });

  it('is refused where a number is on no wheel', () => {
    const text = JSON.stringify([recorded[0], { ...recorded[0], numero: 37 }]);
    expect(() => replay(text, { keepTimestamps: true, runId: 'r' })).toThrow('numero');
  });

  it('is also read as mongoexport writes it', () => {
    const extended = JSON.stringify([
      {
        _id: { $oid: '67f9538cecd9628823e574ff' },
        roleta_id: 2010097,
        roleta_nome: 'VIP Roulette',
        numero: 0,
        timestamp: { $date: '2025-04-11T17:38:20.833Z' },
      },
    ]);
    expect(replay(extended, { keepTimestamps: true, runId: 'r' })[0]?.item).toMatchObject({
      table: '2010097',
      numero: 0,
      cor: 'verde',
      timestampMs: 1744393100833,
    });
  });

  it.each([
    ['', 'not JSON'],
    ['{}', 'expected array'],
    ['[]', 'empty'],
    [
      '[{"_id":"67f9538cecd9628823e574ff","roleta_id":"no id","roleta_nome":"n","numero":37,"timestamp":"soon"}]',
      '3 problems',
    ],
  ])('that reads %s is refused in words', (text, words) => {
    expect(() => replay(text, { keepTimestamps: false, runId: 'r' })).toThrow(RecordingError);
    expect(() => replay(text, { keepTimestamps: false, runId: 'r' })).toThrow(words);
  });
});

describe('the play', () => {
  /** A clock that jumps to wherever somebody waits, and a sender that answers as told. */
  function stage(answer: (item: Stamped, attempt: number) => SendOutcome) {
    let nowMs = 1_000_000;
    const sent: { item: Stamped; atMs: number }[] = [];
    const attempts = new Map<string, number>();
    const tally = createTally();
    const taken: Stamped[] = [];
    const deps: PlayDeps = {
      tally,
      analyser: null,
      acknowledged: (item) => taken.push(item),
      now: () => nowMs,
      async wait(ms) {
        nowMs += ms;
      },
      sender: {
        async send(item) {
          const attempt = (attempts.get(item.key) ?? 0) + 1;
          attempts.set(item.key, attempt);
          sent.push({ item, atMs: nowMs });
          return answer(item, attempt);
        },
        close: () => Promise.resolve(),
      },
    };
    return { deps, sent, tally, taken };
  }
  const open = new AbortController().signal;
  const good: SendOutcome = { kind: 'acknowledged', id: 'x' };

  it('keeps the recorded pace, divided by the speed, and stamps numbers with the time of sending', async () => {
    const { deps, sent } = stage(() => good);
    const dues = replay(RECORDING, { keepTimestamps: false, runId: 'r' });
    await play(dues, { speed: 20, giveUpMs: 1000, signal: open, hurry: open }, deps);
    expect(sent).toHaveLength(200);
    for (const { item, atMs } of sent) expect(item.timestampMs).toBeLessThanOrEqual(atMs);
    const lastMs = sent.at(-1)?.item.timestampMs ?? 0;
    expect(lastMs - 1_000_000).toBeCloseTo((dues.at(-1)?.atMs ?? 0) / 20, 3);
  });

  it('repeats a failed attempt with the same key and time, and only then sends the next of that table', async () => {
    const { deps, sent, tally, taken } = stage((_item, attempt) =>
      attempt < 3 ? { kind: 'failed', reason: 'ECONNREFUSED' } : good,
    );
    await play(deal(30), { speed: 1000, giveUpMs: 60_000, signal: open, hurry: open }, deps);
    expect(tally.read()).toMatchObject({ sent: 30, acknowledged: 30, errors: 60, waiting: 0, lost: 0 });
    expect([...tally.read().reasons]).toEqual([['ECONNREFUSED', 60]]);
    const ofTable = sent.filter(({ item }) => item.table === sent[0]?.item.table).map(({ item }) => item.key);
    expect(ofTable).toEqual([...new Set(ofTable)].flatMap((key) => [key, key, key]));
    expect(taken).toHaveLength(30);
  });

  it('gives up after the time allowed, counts it, and goes on', async () => {
    const { deps, tally } = stage((item) => (item.key === 'r-1' ? { kind: 'failed', reason: 'HTTP 503' } : good));
    await play(deal(5), { speed: 1000, giveUpMs: 2000, signal: open, hurry: open }, deps);
    expect(tally.read()).toMatchObject({ sent: 5, acknowledged: 4, lost: 1, waiting: 0 });
  });

  it('never repeats what was refused', async () => {
    const { deps, sent, tally } = stage(() => ({ kind: 'refused', reason: 'HTTP 401 unauthorized' }));
    await play(deal(5), { speed: 1000, giveUpMs: 2000, signal: open, hurry: open }, deps);
    expect(sent).toHaveLength(5);
    expect(tally.read()).toMatchObject({ refused: 5, errors: 5, acknowledged: 0, waiting: 0 });
  });

  it('waits as long as Retry-After says', async () => {
    const { deps, sent } = stage((_item, attempt) =>
      attempt === 1 ? { kind: 'failed', reason: 'HTTP 429', retryAfterMs: 3000 } : good,
    );
    await play(deal(1), { speed: 1, giveUpMs: 10_000, signal: open, hurry: open }, deps);
    expect((sent[1]?.atMs ?? 0) - (sent[0]?.atMs ?? 0)).toBe(3000);
  });

  it('holds the croupier back when nothing is taken, so that memory stays bounded', async () => {
    const { deps, tally } = stage(() => good);
    let most = 0;
    const stuck = {
      ...deps,
      sender: { ...deps.sender, send: () => new Promise<SendOutcome>((go) => setImmediate(go, good)) },
    };
    const acknowledged = (): void => {
      most = Math.max(most, tally.read().waiting);
    };
    await play(deal(8000), { speed: 1e9, giveUpMs: 1000, signal: open, hurry: open }, { ...stuck, acknowledged });
    expect(tally.read().acknowledged).toBe(8000);
    expect(most).toBeLessThanOrEqual(5001);
  });

  it('ends at the signal and finishes what is under way, with all its attempts', async () => {
    const ending = new AbortController();
    const { deps, tally } = stage((_item, attempt) => {
      ending.abort();
      return attempt < 4 ? { kind: 'failed', reason: 'HTTP 503' } : good;
    });
    const options = { speed: 1, giveUpMs: 60_000, signal: ending.signal, hurry: open };
    await play(deal(100), options, deps);
    expect(tally.read().sent).toBeLessThan(100);
    expect(tally.read()).toMatchObject({ acknowledged: tally.read().sent, lost: 0, waiting: 0 });
  });

  it('makes no further attempt once somebody waits for the end', async () => {
    const ending = new AbortController();
    const { deps, sent, tally } = stage(() => {
      ending.abort();
      return { kind: 'failed', reason: 'HTTP 503' };
    });
    await play(deal(100), { speed: 1, giveUpMs: 60_000, signal: ending.signal, hurry: ending.signal }, deps);
    expect(sent).toHaveLength(tally.read().sent);
    expect(tally.read()).toMatchObject({ lost: tally.read().sent, waiting: 0 });
  });
});
