import { CODES } from '../codes.ts';
import { CommandError } from '../errors.ts';

/**
 * How long expressions may compute without the event loop getting on, in milliseconds. Between documents a pipeline
 * pauses by itself; this ends what is monstrous within one document, such as a `$map` in a `$map` over a long `$range`.
 */
const LIMIT_MS = 1000;
const STEPS_PER_LOOK = 1024;

let steps = 0;
let began: number | undefined;

/**
 * To be called for every element that an expression goes over, or once for several.
 *
 * @throws CommandError 50 MaxTimeMSExpired when the process has been held for too long
 */
export function spend(count = 1): void {
  steps += count;
  if (steps < STEPS_PER_LOOK) return;
  steps = 0;
  const now = performance.now();
  if (began === undefined) {
    began = now;
    setImmediate(() => {
      began = undefined;
    });
  } else if (now - began > LIMIT_MS) {
    throw new CommandError(
      CODES.MaxTimeMSExpired,
      `operation exceeded time limit: its expressions over one document took more than ${LIMIT_MS} ms`,
    );
  }
}
