import { readdirSync, readFileSync } from 'node:fs';

export interface SourceFile {
  /** From the top of the project, with forward slashes: `src/feed/ring.ts`. */
  readonly path: string;
  readonly text: string;
}

/** Every TypeScript file below a folder. */
export function filesBelow(folder: string): SourceFile[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((name) => `${folder}/${name.replaceAll('\\', '/')}`)
    .filter((path) => /\.tsx?$/.test(path))
    .sort()
    .map((path) => ({ path, text: readFileSync(path, 'utf8') }));
}

/** The text without comments, so that an example in one is not taken for code. */
export const withoutComments = (text: string): string =>
  text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/(^|[\s;{}(),])\/\/[^\n]*/g, '$1');

export interface Import {
  readonly specifier: string;
  /** `import type` and `export type ... from`: gone before anything runs. */
  readonly typeOnly: boolean;
}

const STATEMENT = /(?:^|[\n;])\s*(?:import|export)\s+(type\s)?(?:[\w*{}\s,$]+?\sfrom\s*)?['"]([^'"\n]+)['"]/g;
const CALL = /\bimport\(\s*['"`]([^'"`]+)['"`]/g;

/** Everything that a file imports, statically, dynamically or by re-export. */
export function importsOf(text: string): Import[] {
  const code = withoutComments(text);
  const statements = [...code.matchAll(STATEMENT)].map((match) => ({
    specifier: match[2] ?? '',
    typeOnly: match[1] !== undefined,
  }));
  const calls = [...code.matchAll(CALL)].map((match) => ({ specifier: match[1] ?? '', typeOnly: false }));
  return [...statements, ...calls];
}
