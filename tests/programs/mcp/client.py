"""A session of the official client: COMMAND is the server. Says what happened, one JSON value a line."""

import asyncio
import json
import sys

from mcp.client.session import ClientSession
from mcp.client.stdio import StdioServerParameters, stdio_client


def say(value):
    print(json.dumps(value), flush=True)


async def main(ending, environment, data, secret, command, *arguments):
    server = StdioServerParameters(command=command, args=list(arguments), env=json.loads(environment))
    async with stdio_client(server) as streams, ClientSession(*streams) as session:
        say((await session.initialize()).server_info.name)
        say([tool.name for tool in (await session.list_tools()).tools])
        for path in [data, secret]:
            result = await session.call_tool("read", {"path": path})
            say([result.is_error, result.content[0].text])
        results = await asyncio.gather(*[session.call_tool("read", {"path": data}) for _ in range(300)])
        say(sum(len(result.content[0].text) for result in results))
        if ending == "stay":
            await asyncio.Event().wait()
    say("closed")


asyncio.run(main(*sys.argv[1:]))
