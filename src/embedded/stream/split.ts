import { Int32 } from 'bson';
import { CODES } from '../codes.ts';
import { CommandError } from '../errors.ts';
import { decode, encode } from '../values/bson.ts';
import { isDocument } from '../values/types.ts';
import { MAX_DOCUMENT_BYTES } from '../wire/messages.ts';
import { rawElements } from '../wire/raw.ts';

interface Fragment {
  readonly token: string;
  readonly raw: Uint8Array;
}

/** Room for `_id` and `splitEvent` in each fragment. */
const FRAGMENT_OVERHEAD = 512;

/** Whether a token is that of a fragment of the event that `place` is the token of. */
export function isFragmentOf(token: string, place: string): boolean {
  return token.length > place.length && token.startsWith(place.slice(0, -END_LENGTH));
}

/** `04`, the end of every token. */
const END_LENGTH = 2;

/**
 * `$changeStreamSplitLargeEvent`: an event above 16 MB comes as fragments of whole top-level fields, each with
 * `splitEvent: {fragment, of}`; smaller ones pass as they are.
 *
 * @throws CommandError 10334 when one field alone is too large.
 */
export function splitEvent(event: Uint8Array, token: string): Fragment[] {
  if (event.length <= MAX_DOCUMENT_BYTES) return [{ token, raw: event }];
  const raw = Buffer.from(event.buffer, event.byteOffset, event.byteLength);
  const groups: string[][] = [];
  let size = Number.POSITIVE_INFINITY;
  for (const { name, start, end } of rawElements(raw)) {
    if (name === '_id') continue;
    const bytes = end - start;
    if (bytes > MAX_DOCUMENT_BYTES - FRAGMENT_OVERHEAD) {
      throw new CommandError(CODES.BSONObjectTooLarge, `Splitting change event failed: field '${name}' is too large`);
    }
    if (size + bytes > MAX_DOCUMENT_BYTES - FRAGMENT_OVERHEAD) {
      groups.push([]);
      size = 0;
    }
    groups[groups.length - 1]?.push(name);
    size += bytes;
  }
  const document = decode(raw);
  const id: unknown = document['_id'];
  return groups.map((names, index) => {
    const fragmentToken = `${token.slice(0, -END_LENGTH)}${Buffer.from([0x2b, (index + 1) * 2])
      .toString('hex')
      .toUpperCase()}04`;
    const fragment: Record<string, unknown> = {
      _id: { ...(isDocument(id) ? id : {}), _data: fragmentToken },
      splitEvent: { fragment: new Int32(index + 1), of: new Int32(groups.length) },
    };
    for (const name of names) fragment[name] = document[name];
    return { token: fragmentToken, raw: encode(fragment) };
  });
}
