import {
  type Db,
  type Document,
  Long,
  type MongoClient,
  MongoServerError,
  ObjectId,
  type ReadPreferenceMode,
  Timestamp,
} from 'mongodb';
import { OFF_IN_A_ROW, offsetOf } from '../roulette/number.ts';
import { NUMBERS, type Sources, STRATEGIES } from '../roulette/source.ts';
import { collectionsNamed } from '../store/places.ts';
import { rights, streamCommand } from './doctor-rights.ts';
import { bad, type Finding, note, ok, unknown } from './findings.ts';

const BY_TABLE = ['roleta_id', 'timestamp'];
const BY_TIME = ['timestamp'];
const NAMESPACE_NOT_FOUND = 26;
const SHOWN = 5;

/** Which of the indexes that reads and ingest use are missing, in both layouts. Rejects with the driver's errors. */
async function indexes(client: MongoClient, databases: readonly string[], sources: Sources): Promise<Finding> {
  const about = 'indexes';
  sources.adopt(await collectionsNamed(client, databases, sources));
  const missing = (await Promise.all(databases.map((name) => missingIn(client.db(name), sources)))).flat();
  if (missing.length === 0) return ok(about, 'those that are needed are there, or will be made with the collections');
  const rest = missing.length > SHOWN ? ` and ${missing.length - SHOWN} more` : '';
  return note(
    about,
    `missing: ${missing.slice(0, SHOWN).join('; ')}${rest}`,
    'the service makes them at start, if its user may',
  );
}

async function missingIn(db: Db, sources: Sources): Promise<string[]> {
  const names = (await db.listCollections({}, { nameOnly: true, authorizedCollections: true }).toArray())
    .filter(({ name, type }) => type !== 'view' && wantedFor(name, sources).length > 0)
    .map(({ name }) => name)
    .sort();
  const missing: string[] = [];
  for (const name of names) {
    const present = await keysOf(db, name);
    for (const wanted of wantedFor(name, sources)) {
      const serves = present.some((fields) => wanted.every((field, at) => fields[at] === field));
      if (!serves) missing.push(`${db.databaseName}.${name} {${wanted.join(', ')}}`);
    }
  }
  return missing;
}

function wantedFor(name: string, sources: Sources): readonly (readonly string[])[] {
  if (name === NUMBERS) return [BY_TABLE, BY_TIME];
  if (name === STRATEGIES) return [BY_TABLE];
  return sources.of(name)?.kind === 'table-numbers' ? [BY_TIME] : [];
}

/** The fields of each index of a collection, in order. */
async function keysOf(db: Db, name: string): Promise<string[][]> {
  try {
    const found = await db.collection(name).listIndexes().toArray();
    return found.map(({ key }) => Object.keys(Object(key)));
  } catch (error) {
    // Dropped since it was listed: nothing is missing then.
    if (error instanceof MongoServerError && error.code === NAMESPACE_NOT_FOUND) return [BY_TABLE, BY_TIME];
    throw error;
  }
}

/** Collections that let go of their oldest documents, not on every version with a delete that a stream tells of. */
async function cappedOnes(client: MongoClient, databases: readonly string[], sources: Sources): Promise<Finding> {
  const about = 'capped collections';
  const found: string[] = [];
  for (const database of databases) {
    const listed = await client.db(database).listCollections({ 'options.capped': true }).toArray();
    for (const { name } of listed) if (sources.of(name) !== null) found.push(`${database}.${name}`);
  }
  if (found.length === 0) return ok(about, 'none of those that are read');
  return note(
    about,
    `${found.join(', ')}: what these let go may stay in snapshots until an instance starts again`,
    'copy it to a collection that is not capped, and delete what is old',
  );
}

/** Documents that are looked at, the newest of the shared collection. */
const LOOKED_AT = 2_000;
/** So many of a table, the newest: where every second one comes from a scraper with a wrong clock it is among them. */
const OF_A_TABLE = 2 * OFF_IN_A_ROW;

/**
 * Tables whose newest numbers, or those of one of their scrapers, are dated long before they were inserted, as their
 * ObjectIds tell: it writes local time without a zone, or has a wrong clock. Numbers older than `liveMaxAgeMs` are
 * never live.
 */
async function scraperClocks(database: Db, liveMaxAgeMs: number): Promise<Finding> {
  const about = 'clocks of the scrapers';
  const newest = database
    .collection('roleta_numeros')
    .find({}, { projection: { roleta_id: 1, timestamp: 1 } })
    .sort({ _id: -1 })
    .limit(LOOKED_AT);
  const ages = new Map<string, number[]>();
  for await (const { _id, roleta_id: table, timestamp } of newest) {
    if (!(_id instanceof ObjectId) || !(timestamp instanceof Date)) continue;
    const known = ages.get(String(table)) ?? [];
    if (known.length < OF_A_TABLE)
      ages.set(String(table), [...known, _id.getTimestamp().getTime() - timestamp.getTime()]);
  }
  const late = [...ages].flatMap(([table, list]) => {
    const offsetMs = offsetOf(list.filter((ageMs) => ageMs > liveMaxAgeMs).slice(0, OFF_IN_A_ROW));
    return offsetMs === null ? [] : [`${table} by ${Math.round(offsetMs / 60_000)} min`];
  });
  if (late.length === 0) return ok(about, `no table of ${ages.size} is dated long before it is stored`);
  return note(
    about,
    `dated too early: ${late.join(', ')}; such numbers are not published as live`,
    'write UTC, or a timestamp with its zone, and run NTP where the scraper runs',
  );
}

const OLDEST_MONGODB = [4, 4] as const;
const MAX_SKEW_MS = 2000;

export interface MongoChecks {
  readonly client: MongoClient;
  /** That of numbers and strategies, and the second one where the tables have their own; each once. */
  readonly databases: readonly string[];
  readonly recoveryWindowSeconds: number;
  /** Which collections the service reads. */
  readonly sources: Sources;
  readonly liveMaxAgeMs: number;
  /** FEED_READ_PREFERENCE. */
  readonly readPreference: ReadPreferenceMode;
}

/** Looks at a MongoDB from the service's point of view. Changes nothing. Never rejects. */
export async function checkMongo(checks: MongoChecks): Promise<Finding[]> {
  const { client, databases } = checks;
  const admin = client.db('admin');
  let hello: Document;
  const askedMs = Date.now();
  try {
    hello = await helloOf(admin);
  } catch (error) {
    const found = error instanceof Error ? error.message : String(error);
    return [bad('MongoDB', found, 'start it, or correct MONGODB_URI; the service itself retries for ever')];
  }
  const answeredMs = Date.now();
  const alone = Array.isArray(hello['hosts']) && hello['hosts'].length === 1;
  return [
    await finding('MongoDB version', () => version(admin)),
    replicaSet(hello),
    await finding('member that is read from', () => member(admin, hello, checks.readPreference)),
    clock(hello, (askedMs + answeredMs) / 2),
    await finding('privileges', () => rights((command) => admin.command(command), databases)),
    await finding('change streams', () => changeStream(client, databases)),
    await finding('log of changes', () => oplogWindow(client, checks.recoveryWindowSeconds)),
    await finding('indexes', () => indexes(client, databases, checks.sources)),
    await finding('capped collections', () => cappedOnes(client, databases, checks.sources)),
    await finding('clocks of the scrapers', () => scraperClocks(client.db(databases[0]), checks.liveMaxAgeMs)),
    await finding('write concern of direct writers', () => writeConcern(admin, alone)),
  ];
}

async function finding(about: string, look: () => Promise<Finding>): Promise<Finding> {
  try {
    return await look();
  } catch (error) {
    return unknown(about, error);
  }
}

/** Early 4.4 has no `hello`. */
async function helloOf(admin: Db): Promise<Document> {
  try {
    return await admin.command({ hello: 1 });
  } catch (error) {
    if (error instanceof MongoServerError && error.code === 59) return await admin.command({ isMaster: 1 });
    throw error;
  }
}

async function version(admin: Db): Promise<Finding> {
  const text = String((await admin.command({ buildInfo: 1 }))['version']);
  const [major = 0, minor = 0] = text.split('.').map(Number);
  const enough = major > OLDEST_MONGODB[0] || (major === OLDEST_MONGODB[0] && minor >= OLDEST_MONGODB[1]);
  return enough
    ? ok('MongoDB version', text)
    : bad(
        'MongoDB version',
        text,
        `${OLDEST_MONGODB.join('.')} or later is needed, for the driver and for change streams`,
      );
}

function replicaSet(hello: Document): Finding {
  const about = 'replica set';
  if (hello['msg'] === 'isdbgrid')
    return bad(about, 'this is a mongos', 'connect to a replica set, not to a sharded cluster');
  const name: unknown = hello['setName'];
  if (typeof name === 'string') {
    return ok(
      about,
      `${name}, ${String(hello['hosts'] ?? '')}, primary ${String(hello['primary'] ?? 'none at the moment')}`,
    );
  }
  if (hello['isreplicaset'] === true) return bad(about, 'not initiated', 'mongosh --eval "rs.initiate()"');
  return bad(about, 'a standalone server', 'start mongod with --replSet rs0, then mongosh --eval "rs.initiate()"');
}

/** What is read from a member that is behind arrives as much later. */
async function member(admin: Db, primary: Document, readPreference: ReadPreferenceMode): Promise<Finding> {
  const about = 'member that is read from';
  if (readPreference === 'primary') return ok(about, 'the primary');
  const hello = await admin.command({ hello: 1 }, { readPreference }).catch((error: unknown) => String(error));
  if (typeof hello === 'string') return bad(about, hello, 'start such a member, or change FEED_READ_PREFERENCE');
  const [there, here] = [primary, hello].map(({ lastWrite }) => lastWrite?.majorityOpTime?.ts);
  const behind =
    there instanceof Timestamp && here instanceof Timestamp
      ? `, ${Math.max(0, there.getHighBits() - here.getHighBits())} s behind the primary`
      : '';
  return ok(about, `${String(hello['me'])}, ${hello['secondary'] === true ? `a secondary${behind}` : 'the primary'}`);
}

function clock(hello: Document, hereMs: number): Finding {
  const about = 'clocks';
  const there: unknown = hello['localTime'];
  if (!(there instanceof Date)) return { about, verdict: 'unknown', found: 'the server does not tell its time' };
  const skewMs = Math.round(there.getTime() - hereMs);
  const found = `MongoDB's is ${Math.abs(skewMs)} ms ${skewMs < 0 ? 'behind' : 'ahead'}`;
  if (Math.abs(skewMs) <= MAX_SKEW_MS) return ok(about, found);
  return note(about, found, 'run NTP on both; a wrong clock makes live numbers look like backfill');
}

async function changeStream(client: MongoClient, databases: readonly string[]): Promise<Finding> {
  const about = 'change streams';
  const { db, stage } = streamCommand(client, databases);
  const names = databases.join(' and ');
  try {
    const opened = await db.command({ aggregate: 1, pipeline: [stage], cursor: {} });
    const id: unknown = opened['cursor']?.id;
    if (id instanceof Long) await db.command({ killCursors: '$cmd.aggregate', cursors: [id] });
    return ok(about, `can be opened on ${names}`);
  } catch (error) {
    if (!(error instanceof MongoServerError)) throw error;
    if (error.code === 13)
      return bad(
        about,
        'not allowed',
        `see privileges; readWrite on ${names} is enough${databases.length > 1 ? ', with readAnyDatabase for two databases' : ''}`,
      );
    if (error.code === 40573) return bad(about, 'need a replica set', 'see above');
    return bad(about, error.message, 'see the message');
  }
}

async function oplogWindow(client: MongoClient, wantedSeconds: number): Promise<Finding> {
  const about = 'log of changes';
  const oplog = client.db('local').collection<{ ts: Timestamp }>('oplog.rs');
  const ends = (direction: 1 | -1) =>
    oplog.find({}, { sort: { $natural: direction }, limit: 1, projection: { ts: 1 } }).next();
  const [first, last] = [await ends(1), await ends(-1)];
  if (first === null || last === null)
    return { about, verdict: 'unknown', found: 'nothing to be read in local.oplog.rs' };
  const seconds = last.ts.getHighBits() - first.ts.getHighBits();
  const found = `reaches back ${seconds} s`;
  if (seconds >= wantedSeconds) return ok(about, found);
  return note(
    about,
    `${found}, and RECOVERY_WINDOW_SECONDS is ${wantedSeconds}`,
    'normal for a young server; else enlarge the oplog',
  );
}

/** Measured on one node: with w:1 a change stream sees an insert after 54 ms (p50), with majority after 2.9 ms. */
async function writeConcern(admin: Db, alone: boolean): Promise<Finding> {
  const about = 'write concern of direct writers';
  const defaults = await admin.command({ getDefaultRWConcern: 1 });
  const w: unknown = defaults['defaultWriteConcern']?.w ?? 1;
  if (w === 'majority') return ok(about, 'majority by default');
  const remedy = 'let scrapers write with w: "majority"';
  return alone
    ? note(about, `w:${String(w)} by default: visible only at the next journal flush, some 50 ms later`, remedy)
    : note(about, `w:${String(w)} by default: an acknowledged write may be rolled back and never be delivered`, remedy);
}
