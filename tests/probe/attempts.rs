//! Attempts on files, sockets and what is inherited.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixStream};

use crate::{called, said};

pub(crate) fn attempt(words: &[&str]) -> Option<String> {
    Some(match *words {
        ["open", path] => said(File::open(path)),
        ["open-write", path] => said(OpenOptions::new().write(true).open(path)),
        ["write", path, text] => said(fs::write(path, text)),
        ["append", path, text] => said(
            OpenOptions::new().append(true).open(path).and_then(|mut file| file.write_all(text.as_bytes())),
        ),
        ["read", path] => fs::read(path).map_or_else(|e| said::<()>(Err(e)), |bytes| printable(&bytes)),
        ["read-link", path] => {
            fs::read_link(path).map_or_else(|e| said::<()>(Err(e)), |to| to.display().to_string())
        }
        ["list", path] => list(path),
        ["rename", from, to] => said(fs::rename(from, to)),
        ["make-folder", path] => said(fs::create_dir(path)),
        ["remove", path] => said(fs::remove_file(path)),
        ["connect", path] => said(UnixStream::connect(path)),
        ["connect-abstract", name] => {
            said(SocketAddr::from_abstract_name(name).and_then(|address| UnixStream::connect_addr(&address)))
        }
        ["connect-tcp", address] => said(std::net::TcpStream::connect(address)),
        ["loopback"] => loopback(),
        ["through-fd", number] => through_fd(number),
        ["streams"] => streams(),
        ["fill", path, size] => fill(path, size.parse().unwrap_or(0)),
        ["many-files", folder, count] => many_files(folder, count.parse().unwrap_or(0)),
        ["environment"] => environment(),
        ["directory"] => {
            std::env::current_dir().map_or_else(|e| said::<()>(Err(e)), |at| at.display().to_string())
        }
        ["exit", code] => std::process::exit(code.parse().unwrap_or(99)),
        _ => return None,
    })
}

fn printable(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).replace('\0', " ").trim().to_owned()
}

fn list(path: &str) -> String {
    match fs::read_dir(path) {
        Err(e) => said::<()>(Err(e)),
        Ok(entries) => {
            let mut names: Vec<_> =
                entries.flatten().map(|e| e.file_name().to_string_lossy().into_owned()).collect();
            names.sort();
            names.join(" ")
        }
    }
}

/// A listener and a connection on the sandbox's own loopback.
fn loopback() -> String {
    let listener = match std::net::TcpListener::bind("127.0.0.1:0") {
        Ok(listener) => listener,
        Err(e) => return said::<()>(Err(e)),
    };
    match listener.local_addr() {
        Ok(address) => said(std::net::TcpStream::connect(address)),
        Err(e) => said::<()>(Err(e)),
    }
}

/// Opens what is above an inherited folder.
fn through_fd(number: &str) -> String {
    let fd = number.parse().unwrap_or(-1);
    // SAFETY: a terminated path; the descriptor may be anything, the kernel says.
    called(unsafe { libc::openat(fd, c"..".as_ptr(), libc::O_RDONLY | libc::O_DIRECTORY) }.into())
}

/// What the three streams are.
fn streams() -> String {
    let name = |fd: i32| {
        fs::read_link(format!("/proc/self/fd/{fd}"))
            .map_or_else(|_| "closed".into(), |p| p.display().to_string())
    };
    format!("{} {} {}", name(0), name(1), name(2))
}

fn fill(path: &str, size: usize) -> String {
    let block = vec![b'x'; 64 * 1024];
    let file = File::create(path);
    said(file.and_then(|mut file| (0..size.div_ceil(block.len())).try_for_each(|_| file.write_all(&block))))
}

fn many_files(folder: &str, count: usize) -> String {
    said((0..count).try_for_each(|number| File::create(format!("{folder}/{number}")).map(drop)))
}

fn environment() -> String {
    let mut lines: Vec<_> =
        std::env::vars_os().map(|(name, value)| format!("{}={}", name.display(), value.display())).collect();
    lines.sort();
    lines.join("\n")
}
