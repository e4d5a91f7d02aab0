import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createPositionTracker } from '../../../src/gateway/live/last-position.ts';
import {
  formatLastPosition,
  parseLastPosition,
  parseTopicsQuery,
  parseWait,
} from '../../../src/gateway/live/topics-query.ts';
import { type Frame, frameOf } from '../../../src/protocol/messages.ts';
import { type Position, positionOf } from '../../../src/protocol/position.ts';

const at = (increment: number): Position => positionOf({ t: 0x67449f0a, i: increment }, 0);
const query = (text: string, lastEventId = '') => parseTopicsQuery(text, new URLSearchParams(text), lastEventId);

describe('a stand', () => {
  it('reads what it wrote', () => {
    fc.assert(
      fc.property(fc.string(), fc.stringMatching(/^[0-9a-f]{22}$/), fc.boolean(), (epoch, position, owed) => {
        expect(parseLastPosition(formatLastPosition(epoch, position, owed))).toMatchObject({ epoch, position, owed });
      }),
    );
  });

  it('reads any text as something', () => {
    fc.assert(fc.property(fc.string(), (text) => parseLastPosition(text).position.length <= text.length));
  });
});

describe('the query of a stream or poll', () => {
  it('gives every topic the one position, and says what was owed', () => {
    expect(query('topics=roulette:a,roulette:b&after=e1.00~&seen=e2.11&history=3').frame).toEqual({
      type: 'subscribe',
      id: 1,
      topics: ['roulette:a', 'roulette:b'].map((topic) => ({ topic, after: '00', epoch: 'e1', tables: 1, owed: true })),
      history: 3,
      seen: '11',
      epoch: 'e2',
    });
  });

  it('counts the position as seen when nothing else was', () => {
    expect(query('topics=roulette:a&after=e1.00').frame).toMatchObject({ seen: '00', epoch: 'e1' });
    expect(query('topics=roulette:a').frame).toEqual({ type: 'subscribe', id: 1, topics: [{ topic: 'roulette:a' }] });
  });

  it('prefers Last-Event-ID to the address', () => {
    expect(query('topics=roulette:a&after=e1.00', 'e1.11').after).toMatchObject({
      epoch: 'e1',
      position: '11',
      owed: false,
    });
  });

  it('parts topics before it decodes them', () => {
    const { topics } = query('topics=roulette:A%2C+B,,roulette:%C3%A9&topics=roulette:%').frame;
    expect(topics).toEqual(['roulette:A, B', 'roulette:é', 'roulette:%'].map((topic) => ({ topic })));
  });

  it.each([
    ['', 'topics'],
    ['topics=a&history=-1', 'history'],
    ['topics=a&history=1e1', 'history'],
    ['topics=a&history=201', 'history'],
  ])('refuses %j naming %s', (text, path) => {
    expect(() => query(text)).toThrow(
      expect.objectContaining({ code: 'invalid', problems: [expect.objectContaining({ path })] }),
    );
  });

  it('bounds the wait', () => {
    expect(parseWait(new URLSearchParams('wait=900'), 55)).toBe(55);
    expect(parseWait(new URLSearchParams(''), 55)).toBe(25);
    expect(() => parseWait(new URLSearchParams('wait=x'), 55)).toThrow(expect.objectContaining({ code: 'invalid' }));
  });
});

describe('the position of a reader', () => {
  const topic = 'roulette:2010165';
  const snapshot = (epoch: string, position: Position): Frame =>
    frameOf({
      type: 'snapshot',
      topic,
      epoch,
      position,
      roleta_id: '2010165',
      roleta_nome: '',
      numeros: [],
      estrategia: null,
      stale: false,
    });
  const ack = (epoch: string, position: Position): Frame =>
    frameOf({ type: 'subscribed', id: 1, epoch, position, topics: [] });
  const sync = (position: Position): Frame => frameOf({ type: 'sync', position });
  const reset = (of: string, epoch: string): Frame => frameOf({ type: 'reset', topic: of, reason: 'drop', epoch });

  const even = (): ReadonlyMap<number, number> => new Map();

  it('is moved by the acknowledgement, not by the snapshot', () => {
    const tracker = createPositionTracker(null, 'e1', even);
    expect(tracker.move(snapshot('e1', at(5)))).toEqual({ kind: 'keep' });
    expect(tracker.current()).toBeNull();
    tracker.move(ack('e1', at(6)));
    expect(tracker.current()).toBe(`e1.${at(6)}`);
  });

  it('is void once a snapshot below it came, until the acknowledgement', () => {
    const tracker = createPositionTracker({ epoch: 'e1', position: at(9), owed: false, uneven: new Map() }, 'e1', even);
    expect(tracker.move(snapshot('e1', at(5)))).toEqual({ kind: 'clear' });
    expect(tracker.current()).toBeNull();
    expect(tracker.move(ack('e1', at(5)))).toEqual({ kind: 'set', id: `e1.${at(5)}` });
  });

  it('keeps owing what it came owing until the acknowledgement', () => {
    const tracker = createPositionTracker({ epoch: 'e1', position: at(1), owed: true, uneven: new Map() }, 'e1', even);
    tracker.move(snapshot('e1', at(5)));
    expect(tracker.current()).toBe(`e1.${at(1)}~`);
    tracker.move(ack('e1', at(5)));
    expect(tracker.current()).toBe(`e1.${at(5)}`);
  });

  it('says of which topics the reader has none or several tables', () => {
    const tables = new Map([[0, 0]]);
    const tracker = createPositionTracker(null, 'e1', () => tables);
    tracker.move(ack('e1', at(1)));
    expect(tracker.current()).toBe(`e1.${at(1)}!0:0`);
    tables.set(0, 2).set(3, 0);
    expect(tracker.current()).toBe(`e1.${at(1)}!0:2,3:0`);
    const read = parseLastPosition(`e1.${at(1)}~!0:2,3:0`);
    expect(read).toEqual({ epoch: 'e1', position: at(1), owed: true, uneven: tables });
  });

  it('owes after a reset of all tables until snapshots and then something else came', () => {
    const tracker = createPositionTracker(null, 'e1', even);
    tracker.move(ack('e1', at(1)));
    expect(tracker.move(reset('roulette:*', 'e1'))).toEqual({ kind: 'set', id: `e1.${at(1)}~` });
    expect(tracker.move(sync(at(2)))).toEqual({ kind: 'set', id: `e1.${at(2)}~` });
    tracker.move(snapshot('e1', at(3)));
    expect(tracker.move(sync(at(4)))).toEqual({ kind: 'set', id: `e1.${at(4)}` });
  });

  it('changes its epoch with the snapshot, never with the reset alone', () => {
    const tracker = createPositionTracker(null, 'e1', even);
    tracker.move(ack('e1', at(7)));
    expect(tracker.move(reset(topic, 'e2'))).toEqual({ kind: 'set', id: `e1.${at(7)}~` });
    expect(tracker.move(snapshot('e2', at(2)))).toEqual({ kind: 'clear' });
    expect(tracker.move(sync(at(3)))).toEqual({ kind: 'set', id: `e2.${at(3)}` });
  });
});
