import { readFileSync } from 'node:fs';
import { z } from 'zod';

const packageFile = z.object({ version: z.string() });

/** The version in package.json, which lies two folders above the built file and one above the source. */
export function packageVersion(): string {
  for (const path of ['../../../package.json', '../../package.json']) {
    try {
      return packageFile.parse(JSON.parse(readFileSync(new URL(path, import.meta.url), 'utf8'))).version;
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
    }
  }
  return '0.0.0';
}

/** What `engines` of package.json says; a test compares them. */
export const OLDEST_NODE = [20, 19] as const;

/** What is wrong with this version of Node, and what works at once; null when it is new enough. */
export function problemOfNode(version: string): { readonly found: string; readonly remedy: string } | null {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  if (major > OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor >= OLDEST_NODE[1])) return null;
  return {
    found: `RunCash Live needs Node.js ${OLDEST_NODE.join('.')} or later; this is ${version}.`,
    remedy: "npx -y -p node@22 -c 'npm start' works at once; or install a newer Node from https://nodejs.org",
  };
}

// Imported first by what people start, so that an old Node is named before it meets something that it does not know.
const problem = problemOfNode(process.versions.node);
if (problem !== null) {
  process.stderr.write(`${problem.found}\n${problem.remedy}\n`);
  // EX_CONFIG of sysexits.h, as for every start that only another set-up helps.
  process.exit(78);
}
