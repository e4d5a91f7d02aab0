import { createWriteStream } from 'node:fs';
import { Readable, type Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ReadableStream } from 'node:stream/web';
import { parseArgs } from 'node:util';
import { z } from 'zod';

export const EXPORT_USAGE = `runcash-live export <table> [options]

Writes the history of a table, newest first: its id, UUID or name, as the service knows it.

  --format FORMAT  csv (default) or ndjson, one JSON object per line
  --strategies     the strategy states, and not the numbers
  --since TIME     from here on: 2026-11-24, 2026-11-24T13:00:00Z, or seconds since 1970
  --until TIME     before this
  --limit N        at most so many, up to 10000 (default all)
  --out FILE       into a file, which must not exist, and not to standard output
  --url URL        the service (default http://HOST:PORT of the configuration)
  --token TOKEN    where the service asks for one

Exit codes: 0 written, 1 refused or broken off, 2 the command line cannot be followed.`;

export interface ExportDeps {
  /** Where rows go without --out. */
  readonly output: Writable;
  readonly note: (line: string) => void;
  readonly signal: AbortSignal;
  readonly defaultUrl: string;
}

const TYPES = { csv: 'text/csv', ndjson: 'application/x-ndjson' } as const;

const problemShape = z.looseObject({
  detail: z.string(),
  problems: z.array(z.object({ path: z.string(), message: z.string() })).optional(),
});

/** The `export` command. Returns the exit code: 1 when not all was written, 2 for a command line that makes no sense. */
export async function runExport(args: readonly string[], deps: ExportDeps): Promise<number> {
  const given = exportOptions(args);
  if (typeof given === 'string') {
    deps.note(`${given}\n${EXPORT_USAGE}`);
    return 2;
  }
  try {
    const { path, accept, token, out } = given;
    const response = await fetch(new URL(path, given.url ?? deps.defaultUrl), {
      headers: { Accept: accept, ...(token === undefined ? {} : { Authorization: `Bearer ${token}` }) },
      signal: deps.signal,
    });
    if (!response.ok || response.body === null) {
      deps.note(`refused: ${await refusalOf(response)}`);
      return 1;
    }
    await write(response.body, out, deps.output);
    return 0;
  } catch (error) {
    deps.note(`not complete: ${error instanceof Error ? error.message : String(error)}`);
    return 1;
  }
}

async function write(body: ReadableStream<Uint8Array>, out: string | undefined, output: Writable): Promise<void> {
  const rows = Readable.fromWeb(body);
  // Somebody's file is never overwritten; standard output goes on after this.
  if (out === undefined) await pipeline(rows, output, { end: false });
  else await pipeline(rows, createWriteStream(out, { flags: 'wx' }));
}

/** What the service says is wrong, in its own words. */
async function refusalOf(response: Response): Promise<string> {
  const text = await response.text();
  try {
    const { detail, problems = [] } = problemShape.parse(JSON.parse(text));
    return [detail, ...problems.map(({ path, message }) => `${path} ${message}`)].join(' ');
  } catch {
    // Another server, or a proxy: it is quoted.
    return `${response.status} ${text.slice(0, 200)}`;
  }
}

const isHttp = (url: string): boolean => URL.canParse(url) && /^https?:$/.test(new URL(url).protocol);

interface ExportOptions {
  readonly url: string | undefined;
  readonly path: string;
  readonly accept: string;
  readonly token: string | undefined;
  readonly out: string | undefined;
}

/** What to ask for, or what is wrong with the command line. */
function exportOptions(args: readonly string[]): ExportOptions | string {
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        format: { type: 'string', default: 'csv' },
        strategies: { type: 'boolean', default: false },
        since: { type: 'string' },
        until: { type: 'string' },
        limit: { type: 'string' },
        out: { type: 'string' },
        url: { type: 'string' },
        token: { type: 'string' },
      },
    });
    const [table = '', ...more] = positionals;
    if (table === '' || more.length > 0) return 'Name one table.';
    if (values.url !== undefined && !isHttp(values.url)) return `no server: ${values.url}`;
    const accept = Object.entries(TYPES).find(([format]) => format === values.format)?.[1];
    if (accept === undefined) return '--format must be csv or ndjson.';
    const { since, until, limit, out, url, token } = values;
    const query = new URLSearchParams();
    for (const [name, value] of Object.entries({ since, until, limit }))
      if (value !== undefined) query.set(name, value);
    const kind = values.strategies ? 'strategies' : 'numbers';
    const path = `/api/v1/tables/${encodeURIComponent(table)}/${kind}?${query}`;
    return { url, path, accept, token, out };
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
