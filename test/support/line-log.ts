import { EventEmitter, once } from 'node:events';
import { Writable } from 'node:stream';
import { createLog, type Log } from '../../src/log/log.ts';

export interface Lines {
  readonly log: Log;
  /** The first line of an event that was not asked for yet, present or to come. */
  next(event: string): Promise<Readonly<Record<string, unknown>>>;
}

/** The project's own log, whose lines a test can wait for. */
export async function lineLog(): Promise<Lines> {
  const lines: Record<string, unknown>[] = [];
  const arrivals = new EventEmitter();
  const output = new Writable({
    write(chunk, _encoding, done) {
      for (const line of String(chunk).split('\n').filter(Boolean)) lines.push(JSON.parse(line));
      arrivals.emit('line');
      done();
    },
  });
  return {
    log: await createLog({ level: 'debug', pretty: false, output }),
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
