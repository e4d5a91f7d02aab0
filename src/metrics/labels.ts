import type { RefusalReason, TransportKind } from '../gateway/door/counters.ts';
import type { IngestKind, IngestOutcome } from '../gateway/http/deps.ts';
import { SKIP_REASONS } from '../protocol/delivery.ts';
import { CLOSES, ERRORS } from '../protocol/errors.ts';
import type { EventMessage, NotRecovered, ResetReason, ServerMessage } from '../protocol/messages.ts';
import type { ClientFrame } from '../protocol/requests.ts';

/**
 * The closed lists that label values come from. Nothing that a client, a scraper or a server wrote becomes a label: what
 * is not on its list is counted under `other`.
 */

/** The members of a union type, written out; the compiler refuses a list that lacks or adds one. */
const membersOf = <T extends string>(members: Readonly<Record<T, true>>): readonly string[] => Object.keys(members);

export const TRANSPORTS = membersOf<TransportKind>({ websocket: true, sse: true, poll: true, socketio: true });

export const REFUSALS = membersOf<RefusalReason>({
  bad_request: true,
  bad_host: true,
  bad_origin: true,
  bad_version: true,
  headers: true,
  not_ready: true,
  draining: true,
  capacity: true,
  transport_capacity: true,
  address_capacity: true,
  accept_rate: true,
  address_rate: true,
});

export const CLOSE_CODES: readonly string[] = Object.keys(CLOSES);
export const ERROR_CODES: readonly string[] = Object.keys(ERRORS);

export const CLIENT_FRAMES = membersOf<ClientFrame['type']>({
  subscribe: true,
  unsubscribe: true,
  ping: true,
  auth: true,
});

const EVENT_TYPES = membersOf<EventMessage['type']>({
  new_number: true,
  strategy_update: true,
  number_removed: true,
  number_corrected: true,
});

/** Frames that go to topics; the others answer one connection. */
type PublishedType = Extract<
  ServerMessage['type'],
  EventMessage['type'] | 'snapshot' | 'reset' | 'table_added' | 'sync' | 'status'
>;

export const PUBLISHED_TYPES: readonly string[] = [
  ...EVENT_TYPES,
  ...membersOf<Exclude<PublishedType, EventMessage['type']>>({
    snapshot: true,
    reset: true,
    table_added: true,
    sync: true,
    status: true,
  }),
];

/** Whom a topic reaches: subscribers of one table, of all tables, or every connection. */
export type AudienceKind = 'table' | 'all' | 'everyone';
export const AUDIENCES = membersOf<AudienceKind>({ table: true, all: true, everyone: true });
export const SUBSCRIPTION_KINDS = membersOf<Exclude<AudienceKind, 'everyone'>>({ table: true, all: true });

export const PHASES = ['connecting', 'rewinding', 'live', 'degraded', 'stopped'] as const;

export const RECOVERY_RESULTS: readonly string[] = [
  'recovered',
  ...membersOf<NotRecovered>({ new: true, too_old: true, future: true, epoch: true, malformed: true }),
];

/** Backfill has a metric of its own. */
export const RESET_REASONS = membersOf<Exclude<ResetReason, 'backfill'>>({
  drop: true,
  rename: true,
  drop_database: true,
  history_lost: true,
  restored: true,
  unknown: true,
});

export const SKIPS: readonly string[] = SKIP_REASONS;

/** Names of MongoDB's error codes and of the driver's errors that end a change stream. */
export const REOPEN_REASONS: readonly string[] = [
  'HostUnreachable',
  'HostNotFound',
  'Unauthorized',
  'AuthenticationFailed',
  'CursorNotFound',
  'NoMatchingDocument',
  'MaxTimeMSExpired',
  'NetworkTimeout',
  'ShutdownInProgress',
  'NotYetInitialized',
  'CappedPositionLost',
  'FailedToSatisfyReadPreference',
  'OperationFailed',
  'StaleShardVersion',
  'PrimarySteppedDown',
  'StaleEpoch',
  'RetryChangeStream',
  'CursorKilled',
  'InvalidResumeToken',
  'ExceededTimeLimit',
  'ChangeStreamFatalError',
  'ChangeStreamHistoryLost',
  'SocketException',
  'NotWritablePrimary',
  'NotMaster',
  'BSONObjectTooLarge',
  'InterruptedAtShutdown',
  'Interrupted',
  'InterruptedDueToReplStateChange',
  'NotPrimaryNoSecondaryOk',
  'NotPrimaryOrSecondary',
  'Location40324',
  'Location40573',
  'Location40576',
  'Location40585',
  'MongoNetworkError',
  'MongoNetworkTimeoutError',
  'MongoServerSelectionError',
  'MongoPoolClearedError',
  'MongoPoolClosedError',
  'MongoTopologyClosedError',
  'MongoNotConnectedError',
  'ConfigurationError',
  'watchdog',
  'close_failed',
];

export const INGEST_KINDS = membersOf<IngestKind>({ number: true, strategy: true });

const STORED = membersOf<Exclude<IngestOutcome, keyof typeof ERRORS>>({
  created: true,
  duplicate: true,
  confirmed: true,
});
const stored: ReadonlySet<string> = new Set(STORED);
export const OUTCOMES: readonly string[] = [...STORED, ...ERROR_CODES];

/** Whether a posted item is in the database now. */
export const isStored = (outcome: IngestOutcome): boolean => stored.has(outcome);

/** Limits that somebody ran into, by what they protect. */
export type Limit =
  | 'capacity'
  | 'transport_capacity'
  | 'address_capacity'
  | 'accept_rate'
  | 'address_rate'
  | 'flood'
  | 'errors'
  | 'topics'
  | 'ingest_rate'
  | 'pending_writes';
export const LIMITS = membersOf<Limit>({
  capacity: true,
  transport_capacity: true,
  address_capacity: true,
  accept_rate: true,
  address_rate: true,
  flood: true,
  errors: true,
  topics: true,
  ingest_rate: true,
  pending_writes: true,
});

export const MEMORY_KINDS = ['rss', 'heap_used', 'heap_total', 'external', 'array_buffers'] as const;
