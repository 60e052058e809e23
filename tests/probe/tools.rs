//! A tool server on its standard streams, and a client of one: the Model Context Protocol, a JSON-RPC message a line.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

pub(crate) fn attempt(words: &[&str]) -> Option<String> {
    match words {
        ["tool-server"] => serve(),
        ["tool-client", path, command @ ..] => Some(ask_and_stay(path, command)),
        _ => None,
    }
}

/// Answers until its input ends. The last word is said on standard error: standard output is the client's alone.
fn serve() -> ! {
    let mut answered = 0;
    for line in std::io::stdin().lock().lines() {
        let Ok(message) = line.map_err(|_| ()).and_then(|line| serde_json::from_str(&line).map_err(|_| ()))
        else {
            std::process::exit(3);
        };
        let Some(answer) = answer(&message) else { continue };
        let mut stdout = std::io::stdout().lock();
        if writeln!(stdout, "{answer}").and_then(|()| stdout.flush()).is_err() {
            std::process::exit(4);
        }
        answered += 1;
    }
    eprintln!("answered {answered}");
    std::process::exit(0);
}

/// A notification has no id and gets no answer.
fn answer(message: &Value) -> Option<Value> {
    let id = message.get("id")?;
    let result = match message["method"].as_str() {
        Some("initialize") => json!({
            "protocolVersion": message["params"]["protocolVersion"],
            "capabilities": { "tools": {} },
            "serverInfo": { "name": "probe", "version": "1" },
        }),
        Some("tools/list") => json!({ "tools": [{
            "name": "read",
            "description": "Reads a file.",
            "inputSchema": { "type": "object", "properties": { "path": { "type": "string" } }, "required": ["path"] },
        }] }),
        Some("tools/call") => {
            let path = message["params"]["arguments"]["path"].as_str().unwrap_or_default();
            let (text, failed) = match std::fs::read_to_string(path) {
                Ok(text) => (text, false),
                Err(error) => (crate::said::<()>(Err(error)), true),
            };
            json!({ "content": [{ "type": "text", "text": text }], "isError": failed })
        }
        _ => {
            let error = json!({ "code": -32601, "message": "no such method" });
            return Some(json!({ "jsonrpc": "2.0", "id": id, "error": error }));
        }
    };
    Some(json!({ "jsonrpc": "2.0", "id": id, "result": result }))
}

/// Starts a server, reads a file by its tool, prints what it says, and keeps the session until its own input ends.
fn ask_and_stay(path: &str, command: &[&str]) -> String {
    let mut server = Command::new(command[0])
        .args(&command[1..])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the server starts");
    let (mut input, output) = (server.stdin.take().expect("piped"), server.stdout.take().expect("piped"));
    let mut lines = BufReader::new(output).lines();
    for (id, method, params) in [
        (1, "initialize", json!({ "protocolVersion": "2025-06-18", "capabilities": {} })),
        (2, "tools/call", json!({ "name": "read", "arguments": { "path": path } })),
    ] {
        let message = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        writeln!(input, "{message}").expect("the server reads");
        println!("{}", lines.next().expect("the server answers").expect("it is text"));
    }
    let mut rest = Vec::new();
    std::io::stdin().read_to_end(&mut rest).expect("its input can be read");
    drop(input);
    format!("ended: {:?}", server.wait().ok().and_then(|status| status.code()))
}
