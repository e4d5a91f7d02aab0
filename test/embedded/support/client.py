"""What a scraper does with PyMongo, and how it follows changes. Prints one line of JSON."""
import datetime
import json
import os

import pymongo
from pymongo import MongoClient, UpdateOne, InsertOne, WriteConcern
from pymongo.errors import DuplicateKeyError

client = MongoClient(os.environ["MONGODB_URI"], serverSelectionTimeoutMS=20000)
database = client["from_python"]
numbers = database.get_collection("numbers", write_concern=WriteConcern("majority", j=True))
seen = {}

numbers.create_index([("roleta_id", 1), ("n", -1)], name="by_table")
stream = numbers.watch(max_await_time_ms=500)
stream.try_next()
numbers.insert_one({"_id": 1, "roleta_id": "2010165", "n": 17, "at": datetime.datetime.utcnow()})
first = stream.next()
token = first["_id"]
stream.close()

numbers.insert_many([{"_id": i, "roleta_id": "2010165", "n": i} for i in range(2, 40)])
seen["found"] = [d["_id"] for d in numbers.find({"roleta_id": "2010165", "n": {"$gte": 35}}).sort("n", -1)]
seen["matched"] = numbers.update_many({"n": {"$lt": 5}}, {"$set": {"low": True}}).matched_count
seen["upserted"] = numbers.update_one({"_id": 100}, {"$inc": {"n": 3}}, upsert=True).upserted_id
seen["after"] = numbers.find_one_and_update({"_id": 100}, {"$inc": {"n": 4}}, return_document=True)["n"]
seen["bulk"] = numbers.bulk_write(
    [InsertOne({"_id": 200}), UpdateOne({"_id": 200}, {"$set": {"n": 1}})], ordered=True
).modified_count
seen["groups"] = list(
    numbers.aggregate([{"$match": {"low": True}}, {"$group": {"_id": "$low", "count": {"$sum": 1}}}])
)
seen["deleted"] = numbers.delete_many({"_id": {"$gte": 100}}).deleted_count
seen["count"] = numbers.count_documents({})
seen["distinct"] = numbers.distinct("roleta_id")
try:
    numbers.insert_one({"_id": 1})
except DuplicateKeyError as error:
    seen["duplicate"] = error.code

with client.start_session() as session:

    def both(s):
        numbers.insert_one({"_id": 300}, session=s)
        database["other"].insert_one({"_id": 300}, session=s)

    session.with_transaction(both)
seen["both"] = [numbers.count_documents({"_id": 300}), database["other"].count_documents({"_id": 300})]

with numbers.watch([{"$match": {"operationType": "insert"}}], resume_after=token) as resumed:
    seen["resumed"] = [resumed.next()["documentKey"]["_id"] for _ in range(38)]
with numbers.watch(start_at_operation_time=first["clusterTime"]) as again:
    seen["by_time"] = again.next()["documentKey"]["_id"]
seen["databases"] = "from_python" in client.list_database_names()
client.drop_database("from_python")
seen["dropped"] = "from_python" not in client.list_database_names()
print(json.dumps(seen))
