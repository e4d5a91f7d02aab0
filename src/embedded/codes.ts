/**
 * Error codes by name: those that this server answers and those that fail points may ask for.
 * Source: https://github.com/mongodb/mongo/blob/r4.4.0/src/mongo/base/error_codes.yml
 */
export const CODES = {
  InternalError: 1,
  BadValue: 2,
  NoSuchKey: 4,
  HostUnreachable: 6,
  HostNotFound: 7,
  UnknownError: 8,
  FailedToParse: 9,
  UserNotFound: 11,
  Unauthorized: 13,
  TypeMismatch: 14,
  Overflow: 15,
  InvalidLength: 16,
  AuthenticationFailed: 18,
  IllegalOperation: 20,
  InvalidBSON: 22,
  AlreadyInitialized: 23,
  LockTimeout: 24,
  NamespaceNotFound: 26,
  IndexNotFound: 27,
  PathNotViable: 28,
  ConflictingUpdateOperators: 40,
  CursorNotFound: 43,
  NoMatchingDocument: 47,
  NamespaceExists: 48,
  MaxTimeMSExpired: 50,
  DollarPrefixedFieldName: 52,
  InvalidIdField: 53,
  NotSingleValueField: 54,
  EmptyFieldName: 56,
  CommandNotFound: 59,
  ShardKeyNotFound: 61,
  StaleShardVersion: 63,
  WriteConcernFailed: 64,
  ImmutableField: 66,
  CannotCreateIndex: 67,
  InvalidOptions: 72,
  InvalidNamespace: 73,
  NoReplicationEnabled: 76,
  UnknownReplWriteConcern: 79,
  IndexOptionsConflict: 85,
  IndexKeySpecsConflict: 86,
  NetworkTimeout: 89,
  ShutdownInProgress: 91,
  NotYetInitialized: 94,
  OperationFailed: 96,
  UnsatisfiableWriteConcern: 100,
  WriteConflict: 112,
  ConflictingOperationInProgress: 117,
  DocumentValidationFailure: 121,
  NotAReplicaSet: 123,
  CommandFailed: 125,
  FailedToSatisfyReadPreference: 133,
  ReadConcernMajorityNotAvailableYet: 134,
  CappedPositionLost: 136,
  ExceededMemoryLimit: 146,
  StaleEpoch: 150,
  ViewDepthLimitExceeded: 165,
  CommandNotSupportedOnView: 166,
  InvalidPipelineOperator: 168,
  CannotIndexParallelArrays: 171,
  QueryPlanKilled: 175,
  PrimarySteppedDown: 189,
  KeyNotFound: 192,
  InvalidIndexSpecificationOption: 197,
  NetworkInterfaceExceededTimeLimit: 202,
  ClusterTimeFailsRateLimiter: 206,
  TransportSessionClosed: 216,
  TransactionTooOld: 225,
  RetryChangeStream: 234,
  CursorKilled: 237,
  SnapshotTooOld: 239,
  ConversionFailure: 241,
  SnapshotUnavailable: 246,
  NoSuchTransaction: 251,
  TransactionCommitted: 256,
  InvalidResumeToken: 260,
  TooManyLogicalSessions: 261,
  ExceededTimeLimit: 262,
  OperationNotSupportedInTransaction: 263,
  FailPointSetFailed: 266,
  PreparedTransactionInProgress: 267,
  ChangeStreamFatalError: 280,
  ChangeStreamHistoryLost: 286,
  TransactionExceededLifetimeLimitSeconds: 290,
  QueryExceededMemoryLimitNoDiskUseAllowed: 292,
  ObjectIsBusy: 314,
  ReauthenticationRequired: 391,
  SocketException: 9001,
  LegacyConstantNotWritablePrimary: 10058,
  CannotGrowDocumentInCappedNamespace: 10003,
  NotWritablePrimary: 10107,
  BSONObjectTooLarge: 10334,
  DuplicateKey: 11000,
  InterruptedAtShutdown: 11600,
  Interrupted: 11601,
  InterruptedDueToReplStateChange: 11602,
  CursorInUse: 12051,
  MergeStageNoMatchingDocument: 13113,
  DatabaseDifferCase: 13297,
  StaleConfig: 13388,
  NotPrimaryNoSecondaryOk: 13435,
  NotPrimaryOrSecondary: 13436,
  OutOfDiskSpace: 14031,
  KeyTooLong: 17280,
} as const;

const NAMES: ReadonlyMap<number, string> = new Map(Object.entries(CODES).map(([name, code]) => [code, name]));

/** What 4.4 called codes that were renamed afterwards. */
const NAMES_4_4: Readonly<Record<number, string>> = {
  [CODES.NotWritablePrimary]: 'NotMaster',
  [CODES.NotPrimaryNoSecondaryOk]: 'NotMasterNoSlaveOk',
  [CODES.NotPrimaryOrSecondary]: 'NotMasterOrSecondary',
};

/** The codeName that a server of that generation answers. */
export function codeName(code: number, compat: '4.4' | '8.0'): string {
  return (compat === '4.4' ? NAMES_4_4[code] : undefined) ?? NAMES.get(code) ?? `Location${code}`;
}

/**
 * Errors after which a driver repeats a retryable write; the server labels them.
 * https://github.com/mongodb/specifications/blob/master/source/retryable-writes/retryable-writes.md
 */
export const RETRYABLE_WRITE_CODES: ReadonlySet<number> = new Set([
  CODES.HostUnreachable,
  CODES.HostNotFound,
  CODES.NetworkTimeout,
  CODES.ShutdownInProgress,
  CODES.ReadConcernMajorityNotAvailableYet,
  CODES.PrimarySteppedDown,
  CODES.ExceededTimeLimit,
  CODES.SocketException,
  CODES.NotWritablePrimary,
  CODES.InterruptedAtShutdown,
  CODES.InterruptedDueToReplStateChange,
  CODES.NotPrimaryNoSecondaryOk,
  CODES.NotPrimaryOrSecondary,
]);

/**
 * Errors after which a change stream may be resumed.
 * https://github.com/mongodb/specifications/blob/master/source/change-streams/change-streams.md#resumable-error
 */
export const RESUMABLE_STREAM_CODES: ReadonlySet<number> = new Set([
  CODES.HostUnreachable,
  CODES.HostNotFound,
  CODES.StaleShardVersion,
  CODES.NetworkTimeout,
  CODES.ShutdownInProgress,
  CODES.FailedToSatisfyReadPreference,
  CODES.StaleEpoch,
  CODES.PrimarySteppedDown,
  CODES.RetryChangeStream,
  CODES.ExceededTimeLimit,
  CODES.SocketException,
  CODES.NotWritablePrimary,
  CODES.InterruptedAtShutdown,
  CODES.InterruptedDueToReplStateChange,
  CODES.StaleConfig,
  CODES.NotPrimaryNoSecondaryOk,
  CODES.NotPrimaryOrSecondary,
]);

/** The primary is gone or going: replies carry the topology's version so that drivers notice at once. */
export const STATE_CHANGE_CODES: ReadonlySet<number> = new Set([
  CODES.ShutdownInProgress,
  CODES.PrimarySteppedDown,
  CODES.NotWritablePrimary,
  CODES.InterruptedAtShutdown,
  CODES.InterruptedDueToReplStateChange,
  CODES.NotPrimaryNoSecondaryOk,
  CODES.NotPrimaryOrSecondary,
]);
