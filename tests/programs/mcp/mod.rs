//! Tool servers of the Model Context Protocol under `-p mcp`: a session of hours over pipes, ended by its client,
//! however that ends. With a server and a client of our own, and with the protocol's official library.

mod official;
mod own;
mod session;
