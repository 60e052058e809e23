//! systemd's user manager, or the host's own for root: it makes a transient scope around PID 1 while that waits, because a
//! user may not move a process out of a session of its own accord, and root's next folder is the host's root, which is
//! systemd's (org.freedesktop.systemd1(5), StartTransientUnit). The caller stays where it is.

use std::collections::BTreeSet;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ringfence_policy::{CpuList, Problem, Reason};
use rustbus::connection::Timeout;
use rustbus::connection::ll_conn::force_finish_on_error;
use rustbus::message_builder::{MarshalledMessage, MessageBuilder};
use rustbus::{MessageType, RpcConn};

use super::find::Hierarchy;
use super::{Account, Cgroup, Controller, Found, Lack, Wants, Watched, files, name, v2};

/// How long the manager may take for one thing: PID 1 waits no longer than for two of them.
const PATIENCE: Duration = Duration::from_secs(12);

const MANAGER: &str = "org.freedesktop.systemd1";
const OBJECT: &str = "/org/freedesktop/systemd1";

/// The manager's socket, and the folder where its scopes appear.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    socket: PathBuf,
    slice: PathBuf,
}

/// Asks the caller's user manager for its place in the hierarchy, and looks whether the controllers are there.
pub(super) fn find(hierarchy: &Hierarchy, wanted: &BTreeSet<Controller>) -> Found {
    let lacking = |why: String, remedy: &str| {
        let lack = Lack::new(why, remedy);
        Found { place: None, lacking: wanted.iter().map(|controller| (*controller, lack.clone())).collect() }
    };
    let start =
        "log in with a session of your own (loginctl enable-linger keeps one), or use a delegated cgroup";
    let Some(socket) = socket() else {
        return lacking("there is no bus of a user manager (systemd) for this user".to_owned(), start);
    };
    let group = match control_group(&socket) {
        Ok(group) => hierarchy.mount_point.join(group.trim_start_matches('/')),
        Err(why) => return lacking(format!("this user's manager (systemd) does not answer: {why}"), start),
    };
    let there = files::words(&group, "cgroup.controllers").unwrap_or_default();
    let names = wanted.iter().filter_map(|controller| controller.second_name());
    match names.into_iter().find(|name| there.iter().all(|there| there != name)) {
        None => {
            let place = Place { socket, slice: group.join(slice()) };
            Found { place: Some(super::Place::Systemd(place)), lacking: [].into() }
        }
        Some(name) => {
            let why = format!("this user's manager (systemd) was not given the controller `{name}`");
            lacking(why, "set Delegate= of user@.service so that it has it (systemd.resource-control(5))")
        }
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Where scopes of no session belong (systemd.special(7)).
fn slice() -> &'static str {
    if is_root() { "system.slice" } else { "app.slice" }
}

/// The session bus of this user, where the login put it; root's is the host's.
fn socket() -> Option<PathBuf> {
    if is_root() {
        let there = Path::new("/run/systemd/system").is_dir();
        return there.then(|| PathBuf::from("/run/dbus/system_bus_socket")).filter(|socket| socket.exists());
    }
    let user = rustix::process::geteuid().as_raw();
    let named = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let folders = named.into_iter().chain([PathBuf::from(format!("/run/user/{user}"))]);
    folders.map(|folder| folder.join("bus")).find(|socket| socket.exists())
}

fn connect(socket: &Path) -> Result<RpcConn, String> {
    let address = nix::sys::socket::UnixAddr::new(socket).map_err(|e| e.to_string())?;
    let mut connection =
        RpcConn::connect_to_path(address, Timeout::Duration(PATIENCE)).map_err(|e| format!("{e:?}"))?;
    // Only answers are waited for.
    connection.set_filter(Box::new(|message| matches!(message.typ, MessageType::Reply | MessageType::Error)));
    Ok(connection)
}

/// One call and its answer.
fn call(connection: &mut RpcConn, mut message: MarshalledMessage) -> Result<MarshalledMessage, String> {
    let sent = connection.send_message(&mut message).map_err(|e| format!("{e:?}"))?;
    let serial = sent.write_all().map_err(force_finish_on_error).map_err(|e| format!("{e:?}"))?;
    let answer =
        connection.wait_response(serial, Timeout::Duration(PATIENCE)).map_err(|e| format!("{e:?}"))?;
    if answer.typ != MessageType::Error {
        return Ok(answer);
    }
    let said = answer.body.parser().get::<String>().unwrap_or_default();
    Err(format!("{} {said}", answer.dynheader.error_name.clone().unwrap_or_default()))
}

/// A call of the manager's own interface.
fn manager(method: &str) -> MarshalledMessage {
    let interface = "org.freedesktop.systemd1.Manager";
    MessageBuilder::new().call(method).with_interface(interface).on(OBJECT).at(MANAGER).build()
}

fn control_group(socket: &Path) -> Result<String, String> {
    let mut connection = connect(socket)?;
    let mut message = MessageBuilder::new()
        .call("Get")
        .with_interface("org.freedesktop.DBus.Properties")
        .on(OBJECT)
        .at(MANAGER)
        .build();
    let property = ("org.freedesktop.systemd1.Manager", "ControlGroup");
    message.body.push_param2(property.0, property.1).map_err(|e| format!("{e:?}"))?;
    let answer = call(&mut connection, message)?;
    let value = answer.body.parser().get::<rustbus::wire::unmarshal::traits::Variant<'_, '_>>();
    value.and_then(|value| value.get::<String>()).map_err(|e| format!("{e:?}"))
}

/// The values that properties of a scope have.
type Numbers = Vec<u32>;
type Bytes = Vec<u8>;
rustbus::dbus_variant_sig!(Value, Text => String; Number => u64; Truth => bool; List => Numbers; Mask => Bytes);

/// A scope, once PID 1 is in it. The manager removes it when nothing lives in it any more.
#[derive(Debug)]
pub(super) struct Group {
    socket: PathBuf,
    unit: String,
    folder: PathBuf,
    wants: Wants,
}

impl Group {
    pub(super) fn make(place: &Place, wants: &Wants) -> Result<Self, Problem> {
        let name = name::fresh()?;
        let unit = format!("{name}.scope");
        let folder = place.slice.join(&unit);
        Ok(Self { socket: place.socket.clone(), unit, folder, wants: wants.clone() })
    }

    fn properties(&self, process: i32) -> Vec<(String, Value)> {
        let mut properties = vec![
            ("Description".to_owned(), Value::Text("a sandbox of ringfence".to_owned())),
            ("Slice".to_owned(), Value::Text(slice().to_owned())),
            ("CollectMode".to_owned(), Value::Text("inactive-or-failed".to_owned())),
            ("Delegate".to_owned(), Value::Truth(true)),
            ("PIDs".to_owned(), Value::List(vec![process.unsigned_abs()])),
        ];
        let mut add = |name: &str, value| properties.push((name.to_owned(), value));
        if let Some(bytes) = self.wants.memory {
            add("MemoryMax", Value::Number(bytes));
            add("MemorySwapMax", Value::Number(0));
        }
        if let Some(cpus) = self.wants.cpus {
            add("CPUQuotaPerSecUSec", Value::Number(u64::from(cpus.0) * 1000));
        }
        if let Some(list) = &self.wants.cpuset {
            add("AllowedCPUs", Value::Mask(mask(list)));
        }
        if let Some(pids) = self.wants.pids {
            add("TasksMax", Value::Number(pids + 1));
        }
        properties
    }

    fn start(&self, process: i32) -> Result<(), String> {
        let mut connection = connect(&self.socket)?;
        let mut message = manager("StartTransientUnit");
        let auxiliary: Vec<(String, Vec<(String, Value)>)> = Vec::new();
        message
            .body
            .push_param4(self.unit.as_str(), "fail", self.properties(process), auxiliary)
            .map_err(|e| format!("{e:?}"))?;
        call(&mut connection, message).map(drop)
    }
}

/// One bit for each processor, the first in the lowest.
fn mask(list: &CpuList) -> Vec<u8> {
    let last = list.ranges().last().map_or(0, |(_, last)| *last);
    let mut mask = vec![0; last as usize / 8 + 1];
    for cpu in list.ranges().iter().flat_map(|(first, last)| *first..=*last) {
        mask[cpu as usize / 8] |= 1 << (cpu % 8);
    }
    mask
}

impl Cgroup for Group {
    fn folder(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn add(&self, process: i32) -> Result<(), Problem> {
        let added = self.wait_for(process);
        if added.is_err() {
            // What comes too late would stay: nothing ever ends in it.
            let _the_first_failure_is_told = self.stop();
        }
        added
    }

    fn watched(&self) -> Result<Watched, Problem> {
        Ok(Watched {
            cpu_path: Some(self.folder.join("cpu.stat")),
            memory_path: self.wants.memory.map(|_| self.folder.join("memory.events")),
            ..Watched::default()
        })
    }

    fn account(&self) -> Account {
        v2::account(&self.folder, &self.wants)
    }

    fn is_fleeting(&self) -> bool {
        true
    }
}

impl Group {
    /// Asks for the scope, waits until PID 1 is in it, and reads its limits back.
    fn wait_for(&self, process: i32) -> Result<(), Problem> {
        let failed = |what: String| {
            Problem::new(Reason::Setup, "cgroup", what)
                .at(&self.folder)
                .remedy("see `systemctl status` (`--user`) and the manager's log; nothing was run")
        };
        self.start(process).map_err(|why| failed(format!("systemd makes no scope: {why}")))?;
        let end = Instant::now() + PATIENCE;
        let own = format!("/{}", self.unit);
        let is_there = || {
            let text = std::fs::read_to_string(format!("/proc/{process}/cgroup")).unwrap_or_default();
            text.lines().any(|line| line.starts_with("0::") && line.ends_with(&own))
        };
        while !is_there() {
            if Instant::now() >= end {
                return Err(failed("systemd has not moved PID 1 into its scope in time".to_owned()));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        v2::verify(&self.folder, &self.wants)
    }

    fn stop(&self) -> Result<(), String> {
        let mut connection = connect(&self.socket)?;
        let mut message = manager("StopUnit");
        message.body.push_param2(self.unit.as_str(), "replace").map_err(|e| format!("{e:?}"))?;
        call(&mut connection, message).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_processors_is_a_mask() {
        for (list, bytes) in [("0", &[1][..]), ("0-1,3", &[0b1011]), ("8", &[0, 1]), ("7-8", &[128, 1])] {
            assert_eq!(mask(&list.parse().unwrap()), bytes, "{list}");
        }
    }
}
