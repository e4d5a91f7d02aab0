import { type Address, addressOfBytes, isLoopback } from './address.ts';

/** Who is at the other end of the connection itself, whatever headers say. */
export interface Peer {
  readonly address: Address;
  /** 127.0.0.0/8, ::1, or an IPv4 loopback address mapped into IPv6. */
  readonly loopback: boolean;
}

/** Reads the binary address of uWebSockets.js: 4 or 16 bytes, none for a unix socket (which is not loopback). */
export function peerOf(binary: ArrayBuffer): Peer {
  const address = addressOfBytes(new Uint8Array(binary));
  return { address, loopback: isLoopback(address) };
}

/** Headers by which a proxy or a cloud says that it passed the request on: the peer is then not the caller. */
const FORWARDING =
  /^(forwarded|via|x-(forwarded|original|envoy|amzn|azure|appengine|cloud-trace)(-.*)?|(cf|fly|fastly|ngrok)-.*|(x-real|x-client|x-cluster-client|true-client)-?ip)$/;

/** Whether the request comes straight from this machine, not through a proxy on it. */
export function isDirectLoopback(peer: Peer, headers: ReadonlyMap<string, string>): boolean {
  return peer.loopback && ![...headers.keys()].some((name) => FORWARDING.test(name));
}
