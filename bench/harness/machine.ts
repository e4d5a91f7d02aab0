import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cpus, loadavg, release, totalmem } from 'node:os';
import { z } from 'zod';

const packageFile = z.object({ optionalDependencies: z.record(z.string(), z.string()) });

/** Where and with what a result was measured. */
export function machine(): { readonly date: string } & Readonly<Record<string, string>> {
  const processors = cpus();
  const { optionalDependencies } = packageFile.parse(JSON.parse(readFileSync('package.json', 'utf8')));
  return {
    date: new Date().toISOString(),
    commit: commit(),
    machine: `${processors.length} x ${processors[0]?.model ?? 'unknown'}, ${Math.round(totalmem() / 2 ** 30)} GB, Linux ${release()}`,
    load: loadavg()
      .map((value) => value.toFixed(1))
      .join(' '),
    node: process.version,
    uWebSockets: optionalDependencies['uWebSockets.js'] ?? 'unknown',
  };
}

function commit(): string {
  try {
    const git = (...args: string[]): string => execFileSync('git', args, { encoding: 'utf8' }).trim();
    const isChanged = git('status', '--porcelain', '--untracked-files=no', 'src', 'bench') !== '';
    return git('rev-parse', '--short', 'HEAD') + (isChanged ? ' with changes' : '');
  } catch {
    // A copy without its history.
    return 'unknown';
  }
}
