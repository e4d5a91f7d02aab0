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
}
