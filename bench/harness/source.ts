import { readdirSync, readFileSync } from 'node:fs';
import { parseAst } from 'rolldown/parseAst';

/** What the source itself tells: how long its functions are, what its files export. */

export interface SourceText {
  /** From the top of the project, with forward slashes. */
  readonly path: string;
  readonly text: string;
}

export function sourcesBelow(folder: string): SourceText[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((name) => `${folder}/${name.replaceAll('\\', '/')}`)
    .filter((path) => /\.tsx?$/.test(path) && !path.endsWith('.d.ts'))
    .sort()
    .map((path) => ({ path, text: readFileSync(path, 'utf8') }));
}

export interface FunctionSize {
  /** `src/feed/feed.ts:71 startFeed` */
  readonly place: string;
  /** From its first line to its last. */
  readonly lines: number;
}

const FUNCTIONS: ReadonlySet<unknown> = new Set([
  'FunctionDeclaration',
  'FunctionExpression',
  'ArrowFunctionExpression',
]);

type Node = Readonly<Record<string, unknown>>;

const isNode = (value: unknown): value is Node => typeof value === 'object' && value !== null;

const nameIn = (node: unknown): string | null =>
  isNode(node) && typeof node['name'] === 'string' ? node['name'] : null;

/** Every function of a file; one without a name goes by that of what it is given to. */
export function functionsOf({ path, text }: SourceText): FunctionSize[] {
  const found: FunctionSize[] = [];
  const lineAt = (offset: unknown): number => text.slice(0, Number(offset)).split('\n').length;
  const visit = (value: unknown, given: string): void => {
    if (Array.isArray(value)) for (const item of value) visit(item, given);
    if (Array.isArray(value) || !isNode(value)) return;
    const name = nameIn(value['id']) ?? nameIn(value['key']) ?? given;
    if (FUNCTIONS.has(value['type'])) {
      const first = lineAt(value['start']);
      found.push({ place: `${path}:${first} ${name}`, lines: lineAt(value['end']) - first + 1 });
    }
    for (const child of Object.values(value)) if (isNode(child)) visit(child, name);
  };
  visit(parseAst(text, { lang: path.endsWith('x') ? 'tsx' : 'ts' }), 'module');
  return found;
}

/** Names of exported types that several files export, each with those files. */
export function sharedTypeNames(files: readonly SourceText[]): string[] {
  const places = new Map<string, string[]>();
  for (const { path, text } of files) {
    for (const [, name = ''] of text.matchAll(/^export (?:declare )?(?:interface|type|class|enum) (\w+)/gm)) {
      places.set(name, [...(places.get(name) ?? []), path]);
    }
  }
  return [...places]
    .filter(([, paths]) => paths.length > 1)
    .map(([name, paths]) => `${name}: ${paths.join(', ')}`)
    .sort();
}
