import { decode, encode } from './values/bson.ts';
import type { WireRequest } from './wire/messages.ts';
import { rawElements } from './wire/raw.ts';

/** The names of a command's fields. */
export function bodyNames(body: Buffer): string[] {
  return [...rawElements(body)].map((element) => element.name);
}

/** The same request, waiting for the next change after the one just told. */
export function withTopologyVersion(request: WireRequest, topologyVersion: unknown): WireRequest {
  return { ...request, body: Buffer.from(encode({ ...decode(request.body), topologyVersion })) };
}
