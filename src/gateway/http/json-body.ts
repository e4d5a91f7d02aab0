import { ProtocolError } from '../../protocol/errors.ts';
import type { Exchange } from '../door/exchange.ts';

/** Deeper than anything that is asked for here; a deep value costs every recursive reader behind this door. */
const MAX_DEPTH = 8;

const JSON_TYPE = /^application\/(?:json|[\w.+-]+\+json)$/;

/** Throws `unsupported_media_type` unless the body says that it is plain JSON in UTF-8. */
function checkJsonType(exchange: Exchange): void {
  const [type = '', ...parameters] = exchange
    .header('content-type')
    .toLowerCase()
    .split(';')
    .map((part) => part.trim());
  const charset = parameters.find((parameter) => parameter.startsWith('charset='))?.slice('charset='.length);
  const isUtf8 = charset === undefined || /^"?utf-?8"?$/.test(charset) || /^"?us-ascii"?$/.test(charset);
  const coding = exchange.header('content-encoding').toLowerCase();
  if (!JSON_TYPE.test(type) || !isUtf8 || (coding !== '' && coding !== 'identity')) {
    throw new ProtocolError('unsupported_media_type');
  }
}

/** Whether brackets nest deeper than MAX_DEPTH outside of strings; decided before anything is built. */
function isDeep(text: string): boolean {
  let depth = 0;
  let inString = false;
  for (let at = 0; at < text.length; at += 1) {
    const character = text.charCodeAt(at);
    if (inString) {
      if (character === 0x5c) at += 1;
      else if (character === 0x22) inString = false;
    } else if (character === 0x22) inString = true;
    else if (character === 0x5b || character === 0x7b) {
      depth += 1;
      if (depth > MAX_DEPTH) return true;
    } else if (character === 0x5d || character === 0x7d) depth -= 1;
  }
  return false;
}

/** The path of a key named `__proto__`, which only an attack sends; null when there is none. */
function protoPath(value: unknown, path: string): string | null {
  if (typeof value !== 'object' || value === null) return null;
  for (const [key, inner] of Object.entries(value)) {
    const here = path === '' ? key : `${path}.${key}`;
    if (key === '__proto__') return here;
    const found = protoPath(inner, here);
    if (found !== null) return found;
  }
  return null;
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: false });

/** The reader of a request's body, once its headers say that it is JSON. Throws `unsupported_media_type` at once. */
export function jsonBodyOf(exchange: Exchange): (bytes: Uint8Array) => unknown {
  checkJsonType(exchange);
  return parseJsonBody;
}

/** Reads JSON from outside. Throws `bad_json`, or `invalid` for a nesting or a key that no caller needs. */
export function parseJsonBody(bytes: Uint8Array): unknown {
  let value: unknown;
  try {
    const text = utf8.decode(bytes);
    if (isDeep(text)) {
      throw new ProtocolError('invalid', {
        problems: [{ path: '', message: `nests deeper than ${MAX_DEPTH} levels` }],
      });
    }
    value = JSON.parse(text);
  } catch (cause) {
    if (cause instanceof ProtocolError) throw cause;
    throw new ProtocolError('bad_json', { cause });
  }
  const path = protoPath(value, '');
  if (path !== null) throw new ProtocolError('invalid', { problems: [{ path, message: 'no field has this name' }] });
  return value;
}
