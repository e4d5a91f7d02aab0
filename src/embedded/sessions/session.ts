import type { Document } from 'bson';
import type { DocumentOperation } from '../oplog/oplog.ts';
import type { Ending, Unit } from './unit.ts';

/** What a statement of a retryable write did, to be answered again when it is sent again. */
export interface StatementOutcome {
  readonly reply: Document;
}

export interface Session {
  readonly key: string;
  /** `lsid` as oplog entries and transaction events carry it. */
  readonly lsid: Document;
  lastUse: number;
  txnNumber: bigint;
  /** Outcomes of the retryable write `txnNumber`, by statement. */
  readonly statements: Map<number, StatementOutcome>;
  transaction: Transaction | undefined;
}

export type TransactionState = 'active' | 'committed' | 'aborted';

export interface Transaction extends Ending {
  readonly session: Session;
  readonly number: bigint;
  readonly state: TransactionState;
  readonly unit: Unit;
  /** Buffered until now; all take effect together at commit. */
  readonly operations: readonly DocumentOperation[];
  commit(): void;
  abort(): void;
}
