/** The part of SharedWorker that is used (html.spec.whatwg.org/multipage/workers.html#shared-workers). */
interface SharedWorkerLike {
  readonly port: { postMessage(message: unknown): void };
  onerror: (() => void) | null;
}

declare const SharedWorker: (new (url: URL, options: { readonly type: 'module' }) => SharedWorkerLike) | undefined;

/**
 * Starts the worker that leads for all tabs of the server at `base`, or joins it. Calls `failed` where there are none,
 * where the page may not load it (another origin, a content security policy), and where a bundler left it out.
 */
export function startWorker(base: string, failed: () => void): void {
  if (typeof SharedWorker === 'undefined') {
    failed();
    return;
  }
  try {
    // Written out in one expression: that is how bundlers find the file.
    const worker = new SharedWorker(new URL('./client-worker.js', import.meta.url), { type: 'module' });
    worker.onerror = failed;
    worker.port.postMessage(base);
  } catch {
    // Loaded from another origin than the page's: the tabs then lead themselves.
    failed();
  }
}
