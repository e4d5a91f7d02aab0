"""What a program with Motor does, PyMongo's asynchronous sister: it writes while it watches. Prints one line of JSON."""
import asyncio
import json
import os

from motor.motor_asyncio import AsyncIOMotorClient
from pymongo.errors import DuplicateKeyError


async def main():
    client = AsyncIOMotorClient(os.environ["MONGODB_URI"], serverSelectionTimeoutMS=20000)
    numbers = client["from_motor"]["numbers"]
    await numbers.create_index([("n", -1)])
    seen = {}

    async def watch(stream, count):
        events = []
        async for event in stream:
            events.append(event)
            if len(events) == count:
                return events

    async with numbers.watch([{"$match": {"operationType": "insert"}}]) as stream:
        await stream.try_next()
        watching = asyncio.ensure_future(watch(stream, 20))
        await asyncio.gather(*(numbers.insert_one({"_id": i, "n": i % 37}) for i in range(20)))
        events = await watching
    seen["watched"] = sorted(event["documentKey"]["_id"] for event in events)

    async with numbers.watch(resume_after=events[9]["_id"]) as stream:
        resumed = await watch(stream, 10)
    seen["resumed"] = [event["documentKey"] for event in resumed] == [event["documentKey"] for event in events[10:]]

    seen["found"] = [d["_id"] async for d in numbers.find({"n": {"$gte": 15}}).sort("n", -1)]
    seen["changed"] = (await numbers.update_many({"n": {"$lt": 3}}, {"$set": {"low": True}})).modified_count
    try:
        await numbers.insert_one({"_id": 1})
    except DuplicateKeyError as error:
        seen["duplicate"] = error.code

    async with await client.start_session() as session:
        async with session.start_transaction():
            await numbers.insert_one({"_id": 300}, session=session)
            await client["from_motor"]["other"].insert_one({"_id": 300}, session=session)
    seen["both"] = [await client["from_motor"][name].count_documents({"_id": 300}) for name in ("numbers", "other")]
    await client.drop_database("from_motor")
    seen["dropped"] = "from_motor" not in await client.list_database_names()
    print(json.dumps(seen))


asyncio.run(main())
