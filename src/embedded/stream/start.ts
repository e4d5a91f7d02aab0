import { type Document, Timestamp } from 'bson';
import { CODES } from '../codes.ts';
import { CommandError, location, typeMismatch } from '../errors.ts';
import { type ClusterTime, compareTimes, fromTimestamp, successor } from '../oplog/clock.ts';
import type { Oplog } from '../oplog/oplog.ts';
import { highWaterMark, parseToken, type TokenVersion } from '../oplog/tokens.ts';
import { isDocument } from '../values/types.ts';

/** Where a stream begins. */
export interface StreamStart {
  /** Sequence of the first oplog entry to look at. */
  readonly sequence: number;
  /** Entries before this time are passed over. */
  readonly time: ClusterTime;
  /** An event's token that must be met; the stream begins after it. */
  readonly after?: string;
  /** The first post-batch token. */
  readonly token: string;
}

function historyLost(): CommandError {
  return new CommandError(
    CODES.ChangeStreamHistoryLost,
    'Resume of change stream was not possible, as the resume point may no longer be in the oplog. ',
    { errorLabels: ['NonResumableChangeStreamError'] },
  );
}

/**
 * Reads `resumeAfter`, `startAfter` and `startAtOperationTime`.
 *
 * As recorded on 4.4: a time before the oplog's first entry is refused at once (286), an event's token is not: its
 * stream opens and fails at the next event. Since 5.0 both are refused at once (`strict`).
 *
 * @throws CommandError 9, 260 for tokens; 286; 40674 when more than one is given.
 */
export function streamStart(options: Document, oplog: Oplog, version: TokenVersion, strict: boolean): StreamStart {
  const given = ['resumeAfter', 'startAfter', 'startAtOperationTime'].filter((name) => options[name] !== undefined);
  if (given.length > 1) {
    throw location(40674, 'Only one type of resume option is allowed, but multiple were found.');
  }
  const name = given[0];
  if (name === undefined) {
    const time = successor(oplog.last);
    return { sequence: oplog.nextSequence, time, token: highWaterMark(time, version) };
  }
  const value: unknown = options[name];
  if (name === 'startAtOperationTime') {
    if (!(value instanceof Timestamp)) {
      throw typeMismatch(
        "BSON field '$changeStream.startAtOperationTime' is the wrong type, expected type 'timestamp'",
      );
    }
    return atTime(fromTimestamp(value), oplog, highWaterMark(fromTimestamp(value), version));
  }
  const data = tokenData(name, value);
  const fields = parseToken(data);
  if (name === 'resumeAfter' && fields.fromInvalidate) {
    throw new CommandError(
      CODES.InvalidResumeToken,
      "Attempting to resume a change stream using 'resumeAfter' is not allowed from an invalidate notification.",
    );
  }
  if (fields.type === 'high-water mark') return atTime(fields.clusterTime, oplog, data);
  if (strict && beforeHistory(fields.clusterTime, oplog)) throw historyLost();
  return { sequence: oplog.seek(fields.clusterTime), time: fields.clusterTime, after: data, token: data };
}

function beforeHistory(time: ClusterTime, oplog: Oplog): boolean {
  return oplog.truncated && compareTimes(time, oplog.first) < 0;
}

function atTime(time: ClusterTime, oplog: Oplog, token: string): StreamStart {
  if (beforeHistory(time, oplog)) throw historyLost();
  return { sequence: oplog.seek(time), time, token };
}

function tokenData(name: string, value: unknown): string {
  if (!isDocument(value)) {
    throw typeMismatch(`BSON field '$changeStream.${name}' is the wrong type, expected type 'object'`);
  }
  const data: unknown = value['_data'];
  if (typeof data !== 'string')
    throw location(40647, `Bad resume token: _data of missing or of wrong type: ${typeof data}`);
  return data.toUpperCase();
}
