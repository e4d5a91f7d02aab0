import { once } from 'node:events';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it, vi } from 'vitest';
import { endingWith } from '../../src/simulator/ending.ts';

// A way to the engine's collector without starting it with a flag.
setFlagsFromString('--expose-gc');
const collect: () => void = runInNewContext('gc');

describe('an ending', () => {
  it('comes after its time although nobody holds the timer and memory was collected', async () => {
    // AbortSignal.any([..., AbortSignal.timeout(ms)]) never ended here on Node 20: a run with --duration went on for ever.
    const { signal } = (() => {
      const ending = endingWith(new AbortController().signal);
      ending.within(50);
      return ending;
    })();
    collect();
    await once(signal, 'abort');
    expect(signal.aborted).toBe(true);
  });

  it('comes with any of its sources, also one that ended before', () => {
    const [one, other] = [new AbortController(), new AbortController()];
    const ending = endingWith(one.signal, other.signal);
    other.abort();
    expect(ending.signal.aborted).toBe(true);
    expect(endingWith(other.signal).signal.aborted).toBe(true);
  });

  it('comes when it is asked to, with the reason given', () => {
    const ending = endingWith();
    ending.end(new Error('silent'));
    expect(ending.signal.reason).toEqual(new Error('silent'));
  });

  it('does not come once it was released', () => {
    vi.useFakeTimers();
    const source = new AbortController();
    const ending = endingWith(source.signal);
    ending.within(1);
    ending.release();
    source.abort();
    vi.advanceTimersByTime(10);
    vi.useRealTimers();
    expect(ending.signal.aborted).toBe(false);
  });
});
