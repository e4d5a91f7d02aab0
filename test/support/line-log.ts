import { EventEmitter, once } from 'node:events';
import { type Log, logTo } from '../../src/log/log.ts';

export interface Lines {
  readonly log: Log;
  /** The first line of an event that was not asked for yet, present or to come. */
  next(event: string): Promise<Readonly<Record<string, unknown>>>;
}

/** A log whose lines a test can wait for. */
export function lineLog(): Lines {
  const lines: Readonly<Record<string, unknown>>[] = [];
  const arrivals = new EventEmitter();
  return {
    log: logTo((level, event, fields) => {
      lines.push({ ...fields, level, event });
      arrivals.emit('line');
    }),
    async next(event) {
      for (;;) {
        const at = lines.findIndex((line) => line['event'] === event);
        const [found] = at < 0 ? [] : lines.splice(at, 1);
        if (found !== undefined) return found;
        await once(arrivals, 'line');
      }
    },
  };
}
