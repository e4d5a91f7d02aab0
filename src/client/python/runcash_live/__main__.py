"""`python3 -m runcash_live URL TOPIC ...` prints every message as a line of JSON."""

import asyncio
import json
import sys

from . import Client, Refused


async def main(url: str, topics: "list[str]") -> None:
    async with Client(url, topics) as client:
        async for message in client:
            print(json.dumps(message, ensure_ascii=False), flush=True)


if len(sys.argv) < 3:
    sys.exit(__doc__)
try:
    asyncio.run(main(sys.argv[1], sys.argv[2:]))
except Refused as refusal:
    sys.exit(f"refused: {refusal}")
except KeyboardInterrupt:
    pass
