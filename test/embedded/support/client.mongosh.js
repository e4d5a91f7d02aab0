// What a person does in a shell. Prints one line of JSON.
use('from_mongosh');
const seen = {};
seen.inserted = db.numbers.insertMany([
  { _id: 1, n: 0 },
  { _id: 2, n: 36 },
]).acknowledged;
seen.databases = db
  .adminCommand({ listDatabases: 1 })
  .databases.map(({ name }) => name)
  .includes('from_mongosh');
seen.shown = show('dbs').type;
seen.collections = db.getCollectionNames();
seen.found = db.numbers.find({ n: { $gt: 0 } }).toArray();
seen.updated = db.numbers.updateOne({ _id: 1 }, { $inc: { n: 5 } }).modifiedCount;
db.numbers.createIndex({ n: 1 });
seen.indexes = db.numbers.getIndexes().map(({ name }) => name);
seen.plan = db.numbers.find({ n: 5 }).explain().queryPlanner.winningPlan.stage;
seen.counted = db.numbers.countDocuments();
seen.status = rs.status().ok;
const stream = db.numbers.watch([], { maxAwaitTimeMS: 100 });
stream.tryNext();
db.numbers.insertOne({ _id: 3 });
let event = null;
while (event === null) event = stream.tryNext();
seen.event = event.documentKey;
stream.close();
db.numbers.insertOne({ _id: 4 });
const resumed = db.numbers.watch([], { resumeAfter: event._id });
event = null;
while (event === null) event = resumed.tryNext();
seen.resumed = event.documentKey;
resumed.close();
seen.dropped = db.dropDatabase().ok;
print(JSON.stringify(seen));
