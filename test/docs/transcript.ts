import { blocksOf } from './blocks.ts';

/** One line of a transcript: the start of a connection, what the client says, or what the server is shown to say. */
export type Line =
  | { readonly kind: 'connect' }
  | { readonly kind: 'send'; readonly text: string }
  | { readonly kind: 'expect'; readonly text: string; readonly shape: unknown };

/** Stands in a shape for what the document left out. */
const MORE = '...';

/** Every line that begins with `wscat`, `>` or `<` in the fenced blocks of a document, in order. */
export function transcriptOf(markdown: string): Line[] {
  return blocksOf(markdown)
    .flatMap(({ text }) => text.split('\n'))
    .flatMap((line): Line[] => {
      if (/^npx wscat -c \S+$/.test(line)) return [{ kind: 'connect' }];
      if (line.startsWith('> ')) return [{ kind: 'send', text: line.slice(2) }];
      if (!line.startsWith('< ')) return [];
      return [{ kind: 'expect', text: line, shape: shapeOf(line.slice(2)) }];
    });
}

/** JSON in which `...` may stand for the rest of an object, the content of a list, or a text. */
function shapeOf(text: string): unknown {
  const whole = text.replace(/,\.\.\.\}/g, `,"${MORE}":true}`).replace(/\[\.\.\.\]/g, `["${MORE}"]`);
  return JSON.parse(whole);
}

/** What differs from one run to another; of these only the kind of value is compared. */
const MASKED = new Set([
  'position',
  'prev',
  'epoch',
  'instance',
  'server',
  'timestamp',
  'since',
  'ping_s',
  'recovery_s',
  'message',
]);

const fieldsOf = (value: object): ReadonlyMap<string, unknown> => new Map(Object.entries(value));
const isMasked = (name: string, shown: unknown): boolean =>
  MASKED.has(name) || (name === 'id' && typeof shown === 'string');
const kindOf = (value: unknown): string => (value === null ? 'null' : Array.isArray(value) ? 'list' : typeof value);

/** Where a message is not as a document shows it, as sentences; empty when it is. */
export function differences(shown: unknown, came: unknown, path = 'message'): string[] {
  if (shown === MORE) return [];
  if (kindOf(shown) !== kindOf(came)) return [`${path} is ${kindOf(came)}, not ${kindOf(shown)}`];
  if (Array.isArray(shown) && Array.isArray(came)) {
    if (shown.length === 1 && shown[0] === MORE) return [];
    if (shown.length !== came.length) return [`${path} has ${came.length} entries, not ${shown.length}`];
    return shown.flatMap((entry, at) => differences(entry, came[at], `${path}[${at}]`));
  }
  if (typeof shown === 'object' && shown !== null && typeof came === 'object' && came !== null) {
    const [wanted, present] = [fieldsOf(shown), fieldsOf(came)];
    const surplus = wanted.has(MORE) ? [] : [...present.keys()].filter((name) => !wanted.has(name));
    return [
      ...surplus.map((name) => `${path}.${name} came, and is not shown`),
      ...[...wanted].flatMap(([name, value]) => {
        if (name === MORE) return [];
        if (!present.has(name)) return [`${path}.${name} is shown, and did not come`];
        // A first event has no predecessor; where one is shown, a later run may know none, and the other way round.
        if (name === 'prev' && present.get(name) === null) return [];
        if (!isMasked(name, value)) return differences(value, present.get(name), `${path}.${name}`);
        const [is, was] = [kindOf(present.get(name)), kindOf(value)];
        return is === was ? [] : [`${path}.${name} is ${is}, not ${was}`];
      }),
    ];
  }
  return shown === came ? [] : [`${path} is ${JSON.stringify(came)}, not ${JSON.stringify(shown)}`];
}
