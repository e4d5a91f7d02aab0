import { posix } from 'node:path';
import { type SourceFile, withoutComments } from './source-files.ts';

/** Words that say nothing: what is called so could be called anything. */
export const BANNED = ['manager', 'handler', 'service', 'helper', 'util', 'impl'];

/** Names that others chose, or that mean exactly what users of a browser call so. */
const ALLOWED: ReadonlySet<string> = new Set(['Handlers']);

const DECLARED = /\b(?:function\*?|class|interface|type|const|let|var)\s+([A-Za-z_$][\w$]*)/g;

/** Every file or declared name with a banned word, or a file not named in kebab-case, as a sentence. */
export function nameProblems(files: readonly SourceFile[]): string[] {
  return files.flatMap(({ path, text }) => {
    const found: string[] = [];
    const file = posix.basename(path).replace(/\.ts$/, '');
    if (!/^[a-z0-9]+([-.][a-z0-9]+)*$/.test(file)) found.push(`${path}: file names are lower-case words joined by -`);
    for (const word of bannedIn(file)) found.push(`${path}: ${word} says nothing`);
    for (const [, name = ''] of withoutTexts(withoutComments(text)).matchAll(DECLARED)) {
      if (ALLOWED.has(name)) continue;
      for (const word of bannedIn(name)) found.push(`${path}: ${name}: ${word} says nothing`);
    }
    return found;
  });
}

const withoutTexts = (code: string): string => code.replace(/'(?:[^'\\\n]|\\.)*'/g, "''");

function bannedIn(name: string): string[] {
  const words = name
    .replace(/([a-z0-9])([A-Z])/g, '$1 $2')
    .split(/[^A-Za-z]+/)
    .map((word) => word.toLowerCase().replace(/s$/, ''));
  return BANNED.filter((banned) => words.includes(banned));
}
