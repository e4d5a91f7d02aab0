/**
 * A signal that ends when one of the given ones does, or after a time. Made by hand: on Node 20 `AbortSignal.any` holds
 * its sources weakly, and a timeout among them that nobody else holds is collected and never comes.
 */
export interface Ending {
  readonly signal: AbortSignal;
  /** Ends it now; `reason` is what an aborted call then rejects with. */
  end(reason?: Error): void;
  /** Starts the time anew; null for no limit. */
  within(ms: number | null, reason?: Error): void;
  /** Lets go of the timer and the sources. */
  release(): void;
}

export function endingWith(...sources: readonly AbortSignal[]): Ending {
  const controller = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const onSource = (): void => controller.abort();
  for (const source of sources) {
    if (source.aborted) controller.abort();
    source.addEventListener('abort', onSource, { once: true });
  }
  return {
    signal: controller.signal,
    end: (reason) => controller.abort(reason),
    within(ms, reason) {
      clearTimeout(timer);
      timer = ms === null ? undefined : setTimeout(() => controller.abort(reason), ms);
    },
    release() {
      clearTimeout(timer);
      for (const source of sources) source.removeEventListener('abort', onSource);
    },
  };
}
