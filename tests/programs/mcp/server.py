"""A server of the official library with one tool."""

from mcp.server import MCPServer

server = MCPServer("files")


@server.tool()
def read(path: str) -> str:
    """Reads a file."""
    try:
        with open(path) as file:
            return file.read()
    except OSError as error:
        return f"refused: {type(error).__name__}"


server.run()
