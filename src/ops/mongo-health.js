// Run by mongosh as the health check of the compose file's MongoDB. The first time it makes a replica set of this one
// node, then the service's own user; healthy means that both are there and this node takes writes.
const password = process.env.LIVE_PASSWORD;
try {
  rs.status();
} catch (error) {
  // 94: not yet initiated. Anything else is a real problem.
  if (error.code !== 94) throw error;
  rs.initiate({ _id: 'rs0', members: [{ _id: 0, host: 'mongo:27017' }] });
}
if (!db.hello().isWritablePrimary) throw new Error('not primary yet');
const live = db.getSiblingDB('runcash');
if (live.getUser('live') === null) {
  // Reads, writes, indexes and change streams of its database, and nothing else.
  live.createUser({ user: 'live', pwd: password, roles: [{ role: 'readWrite', db: 'runcash' }] });
}
