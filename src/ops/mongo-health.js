// Run by mongosh as the health check of the compose file's first MongoDB. The first time it makes a replica set of the
// hosts that are named, then the service's own user; healthy means that both are there and the set takes writes.
const password = process.env.LIVE_PASSWORD;
const members = process.env.HOSTS.split(',').map((host, index) => ({
  _id: index,
  host: `${host}:27017`,
  // Preferred as the primary: this check can make the service's user only where it may write.
  priority: index === 0 ? 2 : 1,
}));
try {
  rs.status();
} catch (error) {
  // 94: not yet initiated. Anything else is a real problem.
  if (error.code !== 94) throw error;
  rs.initiate({ _id: 'rs0', members });
}
const { isWritablePrimary, primary } = db.hello();
if (primary === undefined) throw new Error('no primary yet');
const live = db.getSiblingDB('runcash');
// After a failover another node is primary, and this one is as healthy as before: its user was made long ago.
if (isWritablePrimary && live.getUser('live') === null) {
  // Reads, writes, indexes and change streams of its database, and nothing else.
  live.createUser({ user: 'live', pwd: password, roles: [{ role: 'readWrite', db: 'runcash' }] });
}
