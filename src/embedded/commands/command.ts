import type { Document } from 'bson';
import type { Need } from '../auth/roles.ts';
import type { Connection } from '../connection.ts';
import type { Engine } from '../engine.ts';
import type { Operation } from '../operation.ts';
import type { Session, Transaction } from '../sessions/session.ts';
import type { Snapshot } from '../sessions/snapshots.ts';

/** A command as it arrived, with what its session and transaction are already resolved. */
export interface CommandContext {
  readonly engine: Engine;
  readonly connection: Connection;
  readonly operation: Operation;
  readonly db: string;
  readonly body: Document;
  /** What its user must be granted, and is. */
  readonly needs: readonly Need[];
  /** What currentOp shows of the command: all of it but a write's batch; of a large one, its beginning. */
  readonly shown: Document;
  /** The batch of a write command, raw, whether it came as an array or as a document sequence. */
  readonly batch: readonly Buffer[];
  readonly session: Session | undefined;
  readonly transaction: Transaction | undefined;
  /** What a read with read concern "snapshot" outside a transaction sees. */
  readonly snapshot: Snapshot | undefined;
  /** Set for a retryable write. */
  readonly retryNumber: bigint | undefined;
}

/** 9 where 4.4 parses by hand, 51177 in findAndModify, 40415 where it parses by its interface files. */
export type UnknownFieldCode = 9 | 40415 | 51177;

export interface Command {
  readonly name: string;
  /** Fields of its own. */
  readonly fields: ReadonlySet<string>;
  /** Fields that 4.4 does not know. */
  readonly modernFields?: ReadonlySet<string>;
  /** What an unknown field is answered with; not checked at all when absent. */
  readonly unknownField?: UnknownFieldCode;
  /** The field that may come as a document sequence. */
  readonly batchField?: 'documents' | 'updates' | 'deletes' | 'ops';
  readonly adminOnly?: boolean;
  /** Needs the primary. */
  readonly writes?: boolean;
  readonly inTransaction?: boolean;
  /** Takes read concern "snapshot" outside transactions. */
  readonly snapshotReads?: boolean;
  /** Unknown to 4.4. */
  readonly modernOnly?: boolean;
  /** Takes `writeConcern`. */
  readonly writeConcern?: boolean;
  /** Answers while the node is not primary, whatever the read preference. */
  readonly always?: boolean;
  run(context: CommandContext): Document | Promise<Document>;
}

export function fields(...names: string[]): ReadonlySet<string> {
  return new Set(names);
}
