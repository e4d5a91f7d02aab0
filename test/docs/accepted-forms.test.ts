import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { isoOf } from '../../src/roulette/bson-value.ts';
import { type IngestContext, parseNumberPost } from '../../src/roulette/ingest.ts';
import { numberFrom } from '../../src/roulette/number.ts';
import { labelOf } from '../../src/roulette/wheel.ts';

const GOOD: Readonly<Record<string, unknown>> = { roleta_id: '2010165', numero: 17, timestamp: '2026-11-24T13:00:00Z' };
const context: IngestContext = {
  nowMs: Date.UTC(2026, 10, 24, 14),
  resolve: () => [],
  mayPost: () => true,
  nameOf: () => null,
  idempotencyKey: null,
  freshKey: () => 'key',
  caller: '',
};

interface Form {
  readonly field: string;
  readonly value: unknown;
  readonly expected: string;
}

/** The lines of the table of accepted forms, one form each. */
function formsIn(path: string): Form[] {
  const lines = readFileSync(path, 'utf8').matchAll(/^\| `(roleta_id|numero|timestamp)` \| (.+) \| (.+) \|$/gm);
  return [...lines].flatMap(([, field = '', values = '', read = '']) =>
    [...values.matchAll(/`([^`]+)`/g)].map(
      ([, text = '']): Form => ({ field, value: JSON.parse(text), expected: read.replaceAll('`', '') }),
    ),
  );
}

const shown = (field: string, read: { table: string; numero: number; timestampMs: number }): string => {
  if (field === 'roleta_id') return read.table;
  if (field === 'timestamp') return isoOf(read.timestampMs);
  const { rotulo } = labelOf(read.numero);
  return rotulo === undefined ? String(read.numero) : `${read.numero}, rotulo "${rotulo}"`;
};

/** Every line of the table with these columns, read or not. */
const linesIn = (path: string): string[] => {
  const [, table = ''] =
    /^\| (?:field|campo) \| .+ \|\n\|[-|]+\|\n((?:\|.*\n)+)/m.exec(readFileSync(path, 'utf8')) ?? [];
  return table.trimEnd().split('\n');
};

const [ENGLISH, PORTUGUESE] = ['src/protocol/INGEST.md', 'src/protocol/INGEST.pt-BR.md'] as const;

describe.each([ENGLISH, PORTUGUESE])('the accepted forms of %s', (path) => {
  const forms = formsIn(path);

  it('are many, and no line of the table goes unread', () => {
    expect(forms.length).toBeGreaterThan(15);
    const written = linesIn(path).flatMap((line) => line.split(' | ').slice(1, 2));
    expect(written.length).toBeGreaterThan(5);
    expect(written.join().match(/`[^`]+`/g)).toHaveLength(forms.length);
  });

  it.each(forms)('$field $value is read as it says, posted and stored', ({ field, value, expected }) => {
    const body = { ...GOOD, [field]: value };
    const post = parseNumberPost(body, context);
    if (post.kind !== 'single') throw new Error('one object');
    expect(shown(field, post.item)).toBe(expected);
    const parsed = numberFrom({ ...body, _id: 'x' }, { kind: 'numbers' });
    if (!parsed.ok) throw new Error(parsed.reason);
    expect(shown(field, parsed.value)).toBe(expected);
  });
});

it('are the same in both languages', () => {
  expect(formsIn(PORTUGUESE)).toEqual(formsIn(ENGLISH));
});
