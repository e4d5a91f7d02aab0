import { MongoClient, MongoServerSelectionError, type ReadPreferenceMode } from 'mongodb';
import { ConnectionString } from 'mongodb-connection-string-url';
import { eachTime } from '../store/connect.ts';
import { fieldsOr } from './change.ts';
import type { FeedTimings } from './timings.ts';

/** A read at rest of a large collection without its index, on a cold cache, takes minutes. */
const AT_REST_MS = 600_000;

type ClientTimings = Pick<FeedTimings, 'connectMs' | 'heartbeatMs' | 'selectionMs'>;

/** Clients for one address: of the stream, and of reads at rest. None connects before it is used. */
function clientsOf(uri: string, timings: ClientTimings) {
  const common = {
    appName: 'runcash-live feed',
    connectTimeoutMS: timings.connectMs,
    heartbeatFrequencyMS: timings.heartbeatMs,
    serverSelectionTimeoutMS: timings.selectionMs,
    // One question per heartbeat. By default there are two, a stream of answers and a ping beside it, for each client.
    serverMonitoringMode: 'poll',
    readPreference: 'primary',
  } as const;
  // The getMore that waits, the question for the majority time beside it, a read by `_id`, and the end of a cursor.
  const client = new MongoClient(uri, { ...common, maxPoolSize: 5, retryReads: false });
  const reading = eachTime(uri, { ...common, maxPoolSize: 10, socketTimeoutMS: AT_REST_MS });
  return {
    client,
    atRest: reading.use,
    /** By force, whatever is under way. */
    close: async (): Promise<void> => {
      await Promise.all([client.close(true), reading.close()]);
    },
  };
}

/** The clients of a set, and those of the member that is read from: the primary, until another is chosen. */
export function openMembers(uri: string, preference: ReadPreferenceMode, timings: ClientTimings) {
  const set = clientsOf(uri, timings);
  let chosen = set;
  let chosenAddress: string | null = null;
  let isClosed = false;
  return {
    set,
    get chosen() {
      return chosen;
    },
    /** Chooses the member anew, for a stream that is opened; the clients of the former one end. Rejects like addressOfMember. */
    async choose(): Promise<void> {
      if (preference === 'primary') return;
      const address = await addressOfMember(set.client, uri, preference);
      if (address === chosenAddress || address === null || isClosed) return;
      const former = chosen;
      chosen = clientsOf(address, timings);
      chosenAddress = address;
      if (former !== set) await former.close();
    },
    /** By force, whatever is under way. */
    async close(): Promise<void> {
      isClosed = true;
      await Promise.all([set.close(), chosen.close()]);
    },
  };
}

/** What a preference prefers, and is asked for first: a client that has just connected may know only the other kind yet. */
const PREFERRED: Readonly<Partial<Record<ReadPreferenceMode, ReadPreferenceMode>>> = {
  primaryPreferred: 'primary',
  secondaryPreferred: 'secondary',
};

/** Options of an address that choose among several servers, or find them. */
const OF_SETS = ['srvMaxHosts', 'srvServiceName', 'readPreference', 'readPreferenceTags', 'maxStalenessSeconds'];

/**
 * The address of one member of the set that `preference` accepts, for a connection to that member alone; null where
 * `uri` names a single server, which is the only one there is. All that a feed reads comes from one member: a cursor
 * lives on one, and what another has committed says nothing of how far the stream is. Rejects with the driver's errors,
 * also when there is no such member.
 */
async function addressOfMember(set: MongoClient, uri: string, preference: ReadPreferenceMode): Promise<string | null> {
  if (set.options.directConnection || set.options.loadBalanced) return null;
  const ask = (readPreference: ReadPreferenceMode) => set.db('admin').command({ hello: 1 }, { readPreference });
  const answer = ask(PREFERRED[preference] ?? preference).catch((error: unknown) => {
    if (error instanceof MongoServerSelectionError && preference in PREFERRED) return ask(preference);
    throw error;
  });
  const { me } = fieldsOr(await answer);
  return typeof me === 'string' ? addressOf(me, uri, set) : null;
}

/**
 * `uri` with one host. What an address with `mongodb+srv` leaves to the name server is known to `set`, which is
 * connected, and is written out: nobody can be asked for it under the name of one member.
 */
export function addressOf(host: string, uri: string, { options }: Pick<MongoClient, 'options'>): string {
  const address = new ConnectionString(uri);
  const { searchParams } = address;
  for (const name of OF_SETS) searchParams.delete(name);
  address.protocol = 'mongodb:';
  address.hosts = [host];
  searchParams.set('directConnection', 'true');
  searchParams.set('tls', String(options.tls === true));
  if (options.credentials !== undefined) searchParams.set('authSource', options.credentials.source);
  if (options.replicaSet !== undefined) searchParams.set('replicaSet', options.replicaSet);
  return address.toString();
}
