import type { Binary } from 'bson';
import type { Exchange } from './auth/scram.ts';

export interface UserName {
  readonly user: string;
  /** Where the user was created, and authenticates (`authSource`). */
  readonly db: string;
}

/** What commands know of the connection that they came on. */
export interface Connection {
  readonly id: number;
  /** `host:port` of this server, as the client reached it. */
  readonly serverAddress: string;
  /** `host:port` of the client. */
  readonly clientAddress: string;
  /** `client.application.name` of the handshake. */
  appName: string | undefined;
  /** A fail point wants the connection closed instead of the answer sent. */
  closing: boolean;
  /** Who has authenticated. */
  user: UserName | undefined;
  /** To whom its sessions belong. */
  uid: Binary;
  /** An authentication under way. */
  conversation:
    | {
        readonly exchange: Exchange;
        readonly user: UserName;
        readonly isShort: boolean;
        /** Only the client's empty last message is missing. */
        readonly isProven: boolean;
      }
    | undefined;
}
