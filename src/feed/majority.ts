import { type MongoClient, MongoServerError, Timestamp } from 'mongodb';
import { z } from 'zod';
import type { ClusterTime } from '../protocol/position.ts';

const opTime = z.object({ ts: z.instanceof(Timestamp) });
const helloReply = z.object({
  setName: z.string().optional(),
  msg: z.string().optional(),
  lastWrite: z.object({ opTime, majorityOpTime: opTime }).optional(),
});

/** What the primary says about itself and the set. Null times: not a replica set member. */
export interface ServerStanding {
  /** Everything up to here is majority committed: change streams may show it. */
  readonly majority: ClusterTime | null;
  /** The last write that the primary took, perhaps not committed yet. */
  readonly last: ClusterTime | null;
  readonly isMongos: boolean;
}

const timeOf = (value: { ts: Timestamp } | undefined): ClusterTime | null =>
  value === undefined ? null : { t: value.ts.getHighBitsUnsigned(), i: value.ts.getLowBitsUnsigned() };

const COMMAND_NOT_FOUND = 59;

/** Asks the primary by `hello`, or `isMaster` where a server is too old to know it (seen: early 4.4). */
export async function askStanding(client: MongoClient): Promise<ServerStanding> {
  const admin = client.db('admin');
  const answer = await admin.command({ hello: 1 }).catch((error: unknown) => {
    if (error instanceof MongoServerError && error.code === COMMAND_NOT_FOUND) return admin.command({ isMaster: 1 });
    throw error;
  });
  const hello = helloReply.parse(answer);
  return {
    majority: timeOf(hello.lastWrite?.majorityOpTime),
    last: timeOf(hello.lastWrite?.opTime),
    isMongos: hello.msg === 'isdbgrid',
  };
}
