import { type Clock, createTimers } from './clock.ts';
import { NOWHERE, type Transport } from './transport.ts';

/** It is tried soon after falling back, since an outage looks like a blocked transport, and then rarely. */
const FIRST_MS = 5_000;
const AGAIN_MS = 180_000;
const PROBE_MS = 10_000;

/** Tries a better transport beside the one in use, and calls `won` once it answers. Returns its stop. */
export type Probe = (base: string, won: () => void) => () => void;

/** One that needs topics to answer cannot be tried like this. */
export const createProbe =
  (better: Transport | null, clock: Clock, random: () => number): Probe =>
  (base, won) => {
    let over = !better?.duplex;
    const { arm, stopAll } = createTimers(clock, () => over);
    let close = (): void => undefined;

    const again = (delayMs: number): void => arm('probe', delayMs * (0.75 + random() / 2), probe);
    const probe = (): void => {
      const ended = (answered: boolean): void => {
        if (over) return;
        close();
        if (answered) won();
        else again(AGAIN_MS);
      };
      arm('probe', PROBE_MS, () => ended(false));
      try {
        const silent = { alive: () => undefined, frame: () => ended(true), closed: () => ended(false) };
        close = better?.open({ base, token: null, progress: NOWHERE }, silent).close ?? close;
      } catch {
        // As a page of https: may not open ws: at all; the timer tries again, for nothing, but seldom.
        close = () => undefined;
      }
    };
    again(FIRST_MS);

    return () => {
      over = true;
      stopAll();
      close();
    };
  };
