import { Binary, type Document, Long } from 'bson';
import { CODES } from '../codes.ts';
import type { Engine } from '../engine.ts';
import { CommandError, location } from '../errors.ts';
import type { Session, Transaction } from '../sessions/session.ts';
import { startTransaction } from '../sessions/transaction.ts';
import type { Command } from './command.ts';
import { missingField, optionalDocument, wrongType } from './fields.ts';

export interface ResolvedSession {
  readonly session: Session | undefined;
  readonly transaction: Transaction | undefined;
  readonly retryNumber: bigint | undefined;
}

/** The session id of an `lsid`. @throws CommandError 14, 40414 */
export function sessionId(lsid: Document, path: string): Binary {
  const id: unknown = lsid['id'];
  if (id === undefined) throw missingField(`${path}.id`);
  if (!(id instanceof Binary)) throw wrongType(`${path}.id`, id, 'binData');
  return id;
}

function noSuchTransaction(
  number: bigint,
  message = `Given transaction number ${number} does not match any in-progress transactions.`,
): CommandError {
  return new CommandError(CODES.NoSuchTransaction, message);
}

/**
 * Finds the session that a command of that user runs in, and what its `txnNumber` means: a statement of a transaction, or a
 * retryable write.
 *
 * @throws CommandError 225 TransactionTooOld, 251 NoSuchTransaction, 256 TransactionCommitted, 72, 20, 263
 */
export function resolveSession(engine: Engine, uid: Binary, command: Command, body: Document): ResolvedSession {
  const lsid = optionalDocument(body, 'lsid');
  const rawNumber: unknown = body['txnNumber'];
  if (lsid === undefined) {
    if (rawNumber !== undefined)
      throw new CommandError(CODES.InvalidOptions, 'Transaction number requires a session ID to also be specified');
    return { session: undefined, transaction: undefined, retryNumber: undefined };
  }
  const session = engine.sessions.use(sessionId(lsid, 'lsid'), uid);
  if (rawNumber === undefined) {
    if (body['startTransaction'] !== undefined || body['autocommit'] !== undefined) {
      throw new CommandError(
        CODES.InvalidOptions,
        "'autocommit' field requires a transaction number to also be specified",
      );
    }
    return { session, transaction: undefined, retryNumber: undefined };
  }
  if (!(rawNumber instanceof Long)) throw wrongType('txnNumber', rawNumber, 'long');
  const number = rawNumber.toBigInt();
  if (number < 0n) throw new CommandError(CODES.InvalidOptions, 'Transaction number cannot be negative');
  if (engine.options.standalone) {
    throw new CommandError(
      CODES.IllegalOperation,
      'Transaction numbers are only allowed on a replica set member or mongos',
    );
  }
  if (number < session.txnNumber) {
    throw new CommandError(
      CODES.TransactionTooOld,
      `Cannot start transaction ${number} on session because a newer transaction ${session.txnNumber} has already started.`,
    );
  }
  if (body['autocommit'] === undefined)
    return { session, transaction: undefined, retryNumber: retryWrite(session, number, command, body) };
  return { session, transaction: statementOf(engine, session, number, command, body), retryNumber: undefined };
}

function retryWrite(session: Session, number: bigint, command: Command, body: Document): bigint {
  if (body['startTransaction'] !== undefined) {
    throw new CommandError(CODES.InvalidOptions, 'Specifying startTransaction=true requires autocommit=false');
  }
  if (command.writeConcern !== true || command.inTransaction !== true) {
    throw location(
      50768,
      'txnNumber may only be provided for multi-document transactions and retryable write commands.',
    );
  }
  if (number > session.txnNumber) beginNumber(session, number);
  else if (session.transaction?.number === number) {
    throw location(50911, `Cannot start a retryable write with the number ${number} of a transaction`);
  }
  return number;
}

function beginNumber(session: Session, number: bigint): void {
  session.transaction?.abort();
  session.transaction = undefined;
  session.txnNumber = number;
  session.statements.clear();
}

function statementOf(engine: Engine, session: Session, number: bigint, command: Command, body: Document): Transaction {
  if (body['autocommit'] !== false)
    throw new CommandError(CODES.InvalidOptions, 'Specifying autocommit=true is not allowed.');
  if (command.inTransaction !== true) {
    throw new CommandError(
      CODES.OperationNotSupportedInTransaction,
      `Cannot run '${command.name}' in a multi-document transaction.`,
    );
  }
  const isEnd = command.name === 'commitTransaction' || command.name === 'abortTransaction';
  const startsHere = body['startTransaction'];
  if (startsHere !== undefined) {
    if (startsHere !== true)
      throw new CommandError(CODES.InvalidOptions, 'Specifying startTransaction=false is not allowed.');
    if (isEnd)
      throw new CommandError(
        CODES.OperationNotSupportedInTransaction,
        `Cannot run '${command.name}' as the first operation of a transaction`,
      );
    if (number === session.txnNumber) {
      // The same number is free again only when the transaction that had it was aborted before it did anything lasting.
      if (session.transaction === undefined || session.transaction.state !== 'aborted' || session.statements.size > 0) {
        throw new CommandError(
          CODES.ConflictingOperationInProgress,
          `Given transaction number ${number} is already in use`,
        );
      }
    }
    beginNumber(session, number);
    session.transaction = startTransaction(engine, session, number);
    return session.transaction;
  }
  const { transaction } = session;
  if (number !== session.txnNumber || transaction === undefined) {
    throw noSuchTransaction(
      number,
      `Given transaction number ${number} does not match any in-progress transactions. The active transaction number is ${session.txnNumber}`,
    );
  }
  if (body['readConcern'] !== undefined && !isEnd) {
    throw new CommandError(CODES.InvalidOptions, 'Only the first command in a transaction may specify a readConcern');
  }
  if (isEnd) return transaction;
  if (transaction.state === 'aborted') throw noSuchTransaction(number, `Transaction ${number} has been aborted.`);
  if (transaction.state === 'committed')
    throw new CommandError(CODES.TransactionCommitted, `Transaction ${number} has been committed.`);
  return transaction;
}
