import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import { expect } from 'vitest';
import { runExport } from '../../src/cli/export.ts';

/** What `runcash-live export` writes with these arguments, of the service at `url`. */
export async function exportOf(args: readonly string[], url: string): Promise<string> {
  const output = new PassThrough();
  const notes: string[] = [];
  const written = text(output);
  const code = await runExport(args, {
    output,
    note: (line) => void notes.push(line),
    signal: AbortSignal.timeout(30_000),
    defaultUrl: url,
  });
  output.end();
  expect(code, notes.join('\n')).toBe(0);
  return await written;
}
