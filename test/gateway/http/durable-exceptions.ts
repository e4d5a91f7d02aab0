/** Why a conformance test of Durable Streams does not apply to a log that is read here and written by MongoDB. */
const WRITING = 'Rules of creating and appending are MongoDB’s: nothing is written by this protocol.';
const BINARY = 'An event is JSON: there are no streams of other bytes.';
const LIFETIME = 'A log ends with the recovery window; there are no lifetimes of its own.';
const CLOSING = 'A table’s log has no end that anybody declares.';
const FORKS = 'A log has one past: there are no forks.';
const PRODUCERS = 'Producers write to MongoDB, with keys of their own.';
const SUBSCRIPTIONS = 'Webhooks and leases are another profile of the protocol, which is not offered.';

const list = (why: string, ...names: readonly string[]) => names.map((name): [string, string] => [name, why]);

/** By name of a group (everything in it), or of a test with the groups around it; with the reason. */
export const EXCEPTIONS: ReadonlyMap<string, string> = new Map([
  ...list(
    WRITING,
    'Basic Stream Operations',
    'Append Operations',
    'HTTP Protocol > should return 409 on PUT with different config',
    'HTTP Protocol > should return 409 on content-type mismatch',
    'HTTP Protocol > should enforce sequence ordering',
    'HTTP Protocol > should enforce lexicographic seq ordering ("2" then "10" rejects)',
    'HTTP Protocol > should reject duplicate seq values',
    'Browser Security Headers > should include X-Content-Type-Options: nosniff on PUT responses',
    'Browser Security Headers > should include X-Content-Type-Options: nosniff on POST responses',
    'Content-Type Validation > should enforce content-type match on append',
    'Protocol Edge Cases > should reject empty POST body with 400',
    'Protocol Edge Cases > should enforce case-sensitive seq ordering',
    'Protocol Edge Cases > should return Location header on 201',
    'Protocol Edge Cases > should reject missing Content-Type on POST',
    'JSON Mode > should reject POST with empty array body',
    'JSON Mode > should reject invalid JSON with 400',
    'JSON Mode > should reject empty JSON arrays with 400',
    'Sequence Ordering Properties > out-of-order seq values are rejected',
  ),
  ...list(
    BINARY,
    'Protocol Edge Cases > should handle binary data with integrity',
    'Chunking and Large Payloads',
    'SSE Mode > base64 SSE catch-up pairs every data event with a control event',
    'SSE Mode > should auto-detect binary streams and return base64 encoded data in SSE mode',
    'SSE Mode > should include Stream-SSE-Data-Encoding header for binary streams',
    'SSE Mode > should handle large binary payload with auto-detected base64 encoding',
    'SSE Mode > should handle binary data with special bytes using auto-detected base64 encoding',
    'SSE Mode > should auto-detect base64 encoding for application/x-protobuf streams',
    'SSE Mode > should auto-detect base64 encoding for image/png streams',
    'Byte-Exactness Property',
    'Operation Sequence Properties > random operation sequences maintain stream invariants',
    'Operation Sequence Properties > read-your-writes: data is immediately visible after append',
  ),
  ...list(
    LIFETIME,
    'TTL and Expiry Validation',
    'TTL and Expiry Edge Cases',
    'TTL Expiration Behavior',
    'HEAD Metadata Edge Cases',
  ),
  ...list(CLOSING, 'Stream Closure'),
  ...list(
    FORKS,
    ...['Creation', 'Reading', 'Appending', 'Recursive', 'Live Modes', 'Deletion and Lifecycle', 'TTL and Expiry'].map(
      (group) => `Fork - ${group}`,
    ),
    'Fork - JSON Mode',
    'Fork - Edge Cases',
  ),
  ...list(PRODUCERS, 'Idempotent Producer Operations'),
  ...list(SUBSCRIPTIONS, 'Reserved subscription APIs'),
]);
