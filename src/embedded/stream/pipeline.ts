import type { Document } from 'bson';
import { CODES } from '../codes.ts';
import { CommandError, location } from '../errors.ts';
import { compileStreamStages, STREAM_STAGES } from '../query/aggregate.ts';
import { compileFilter } from '../query/filter.ts';
import { decode, encode } from '../values/bson.ts';
import { unlimited } from '../values/effort.ts';
import { toNumber } from '../values/numbers.ts';
import { isDocument } from '../values/types.ts';
import { type RawElement, rawElements, rawKey, TYPE_ARRAY, TYPE_DOCUMENT, wrapElements } from '../wire/raw.ts';
import type { EventHeader } from './event.ts';

/** The stages that a client put behind `$changeStream`, compiled. */
export interface EventPipeline {
  /** False when the event is filtered out on its type and namespaces alone: no document was read for it. */
  admits(header: EventHeader): boolean;
  /** The event as the client gets it, or null when filtered out. @throws CommandError 280 when `_id` is changed. */
  apply(raw: Buffer): Uint8Array | null;
  readonly splitsLargeEvents: boolean;
}

const HEADER_PATH = /^(operationType|ns|ns\.db|ns\.coll|to|to\.db|to\.coll)$/;

/** Whether a filter asks only about what an event's header says. */
function isHeaderFilter(filter: Document): boolean {
  return Object.entries(filter).every(([name, value]) => {
    if (name === '$and' || name === '$or' || name === '$nor') {
      return Array.isArray(value) && value.every((part) => isDocument(part) && isHeaderFilter(part));
    }
    return HEADER_PATH.test(name);
  });
}

/** What an inclusion keeps of a document: fields as they are, or parts of the documents in them. */
interface Kept extends ReadonlyMap<string, Kept | 'whole'> {}

/** The fields that an inclusion keeps, or undefined when the stage is anything else. */
function keptFields(projection: unknown): Kept | undefined {
  if (!isDocument(projection)) return undefined;
  const paths = new Set(['_id']);
  for (const [path, value] of Object.entries(projection)) {
    const on = value === true || (toNumber(value) ?? 0) !== 0;
    if (!on || isDocument(value) || typeof value === 'string') return undefined;
    paths.add(path);
  }
  return keptAt([...paths].map((path) => path.split('.')));
}

/** Undefined for paths that are refused or mean something else: empty names, operators, one path within another. */
function keptAt(paths: readonly (readonly string[])[]): Kept | undefined {
  const below = new Map<string, (readonly string[])[]>();
  for (const [name = '', ...rest] of paths) {
    const rests = below.get(name);
    if (rests === undefined) below.set(name, [rest]);
    else rests.push(rest);
  }
  const kept = new Map<string, Kept | 'whole'>();
  for (const [name, rests] of below) {
    if (name === '' || name.startsWith('$')) return undefined;
    const isWhole = rests.some((rest) => rest.length === 0);
    if (isWhole && rests.length > 1) return undefined;
    const inside = isWhole ? 'whole' : keptAt(rests);
    if (inside === undefined) return undefined;
    kept.set(name, inside);
  }
  return kept;
}

/** Copies the kept fields, bytes untouched: what a field holds, however much, is not looked at. */
function projectRaw(raw: Buffer, kept: Kept): Buffer {
  const parts: Buffer[] = [];
  for (const element of rawElements(raw)) {
    const below = kept.get(element.name);
    if (below === 'whole') parts.push(raw.subarray(element.start, element.end));
    else if (below !== undefined) parts.push(...projectElement(raw, element, element.name, below));
  }
  return wrapElements(parts);
}

/** The element of a document or an array under a name; nothing for other values, which have no fields to keep. */
function projectElement(raw: Buffer, { type, valueStart, end }: RawElement, name: string, kept: Kept): Buffer[] {
  if (type !== TYPE_DOCUMENT && type !== TYPE_ARRAY) return [];
  const value = raw.subarray(valueStart, end);
  const inside = type === TYPE_DOCUMENT ? projectRaw(value, kept) : projectArray(value, kept);
  return [Buffer.concat([Buffer.from([type]), Buffer.from(`${name}\0`), inside])];
}

function projectArray(raw: Buffer, kept: Kept): Buffer {
  const parts: Buffer[] = [];
  for (const element of rawElements(raw)) parts.push(...projectElement(raw, element, `${parts.length}`, kept));
  return wrapElements(parts);
}

const MAX_REMEMBERED = 1_000;

/** Filters on headers are asked once for each distinct header. */
function remembered(test: (document: Document) => boolean): (header: EventHeader) => boolean {
  const answers = new Map<string, boolean>();
  return (header) => {
    const key = `${header.operationType}\0${header.ns?.['db']}\0${header.ns?.['coll']}\0${header.to?.['db']}\0${header.to?.['coll']}`;
    const known = answers.get(key);
    if (known !== undefined) return known;
    const answer = test({ ...header });
    if (answers.size >= MAX_REMEMBERED) answers.clear();
    answers.set(key, answer);
    return answer;
  };
}

function tokenText(event: Document): string {
  const id: unknown = event['_id'];
  return isDocument(id) ? `{ _data: "${String(id['_data'])}" }` : '(missing)';
}

function idUntouched(before: Document, after: Document): boolean {
  const id: unknown = after['_id'];
  const original: unknown = before['_id'];
  return (
    isDocument(id) &&
    isDocument(original) &&
    Object.keys(id).join() === Object.keys(original).join() &&
    id['_data'] === original['_data']
  );
}

function checkStage(name: string, modern: boolean): void {
  if (STREAM_STAGES.has(name) || (modern && name === '$changeStreamSplitLargeEvent')) return;
  if (!KNOWN_STAGES.has(name)) {
    throw location(40324, `Unrecognized pipeline stage name: '${name}'`);
  }
  throw new CommandError(CODES.IllegalOperation, `${name} is not permitted in a $changeStream pipeline`);
}

const KNOWN_STAGES: ReadonlySet<string> = new Set([
  '$group',
  '$sort',
  '$limit',
  '$skip',
  '$count',
  '$unwind',
  '$lookup',
  '$facet',
  '$bucket',
  '$bucketAuto',
  '$sample',
  '$sortByCount',
  '$unionWith',
  '$graphLookup',
  '$out',
  '$merge',
  '$geoNear',
  '$collStats',
  '$indexStats',
  '$currentOp',
  '$listSessions',
  '$listLocalSessions',
  '$planCacheStats',
  '$setWindowFields',
  '$densify',
  '$fill',
  '$documents',
]);

/** @throws CommandError 20 for stages that may not follow, 40324 for unknown ones, and what the stages themselves refuse. */
export function compileEventPipeline(stages: readonly Document[], modern: boolean): EventPipeline {
  const names = stages.map((stage) => Object.keys(stage)[0] ?? '');
  for (const name of names) checkStage(name, modern);
  const splits = names.indexOf('$changeStreamSplitLargeEvent');
  if (splits >= 0 && splits !== names.length - 1) {
    throw location(7182802, '$changeStreamSplitLargeEvent must be the last stage in the pipeline');
  }
  const working = stages.slice(0, splits >= 0 ? splits : stages.length);
  const headerTests: ((header: EventHeader) => boolean)[] = [];
  let at = 0;
  for (; at < working.length; at += 1) {
    const filter: unknown = working[at]?.['$match'];
    if (!isDocument(filter) || !isHeaderFilter(filter)) break;
    headerTests.push(remembered(compileFilter(filter)));
  }
  const rest = working.slice(at);
  return {
    admits: (header) => headerTests.every((test) => test(header)),
    apply: compileApply(rest),
    splitsLargeEvents: splits >= 0,
  };
}

function compileApply(stages: readonly Document[]): (raw: Buffer) => Uint8Array | null {
  if (stages.length === 0) return (raw) => raw;
  const kept = stages.length === 1 ? keptFields(stages[0]?.['$project']) : undefined;
  if (kept !== undefined) return (raw) => projectRaw(raw, kept);
  const run = compileStreamStages([...stages]);
  return (raw) => {
    const event = unlimited(() => decode(raw));
    const result = run(event);
    if (result === null) return null;
    const original = decode(rawKey(raw));
    if (!idUntouched(original, result)) {
      throw new CommandError(
        CODES.ChangeStreamFatalError,
        'Encountered an event whose _id field, which contains the resume token, was modified by the pipeline. Modifying the _id ' +
          'field of an event makes it impossible to resume the stream from that point. Only transformations that retain the ' +
          `unmodified _id field are allowed. Expected: { _id: ${tokenText(original)} } but found: ${tokenText(result)}`,
      );
    }
    return unlimited(() => encode(result));
  };
}
